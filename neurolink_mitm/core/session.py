"""Which session a request belongs to."""

from __future__ import annotations

import re

import msgspec

from neurolink_mitm.core.unreadable import UNREADABLE

_LEGACY = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")
LONGEST = 256
"""Characters of a session's name at most: it is a key of tables, and stands in rows."""


class _UserId(msgspec.Struct):
    session_id: str | None = None


def session_in_user_id(user_id: str | None) -> str | None:
    """The session that Claude Code names in `metadata.user_id`.

    Two forms are in use: `user_<device>_account_<uuid>_session_<uuid>`, and a JSON object in a string.
    """
    if not user_id:
        return None
    if user_id.startswith("{"):
        try:
            found = msgspec.json.decode(user_id, type=_UserId).session_id
        except UNREADABLE:
            return None
        return found[:LONGEST] if found else None
    match = _LEGACY.search(user_id)
    return match.group(1) if match else None
