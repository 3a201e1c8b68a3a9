from __future__ import annotations

import hashlib
import hmac
import re

import msgspec

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.json_spans import Edit
from neurolink_mitm.core.shaping.outgoing import About, OutgoingRequest

_LEGACY = re.compile(r"(user_[0-9a-zA-Z]+_account_)[0-9a-zA-Z-]*+(_session_.+)", re.DOTALL)


def with_account(user_id: str, uuid: str) -> str | None:
    """Return Claude Code's `user_id` with the account `uuid` in it; None if it has another form.

    Two forms are in use: `user_<device>_account_<uuid>_session_<uuid>`, and a JSON object in a string.
    """
    if user_id.startswith("{"):
        return _in_json(user_id.encode("utf-8", "surrogatepass"), uuid)
    legacy = _LEGACY.fullmatch(user_id)
    return f"{legacy[1]}{uuid}{legacy[2]}" if legacy else None


def _in_json(text: bytes, uuid: str) -> str | None:
    try:
        root = spans.root(text)
        found = spans.member(text, root, "account_uuid")
        if found is None or spans.member(text, root, "session_id") is None:
            return None
    except ValueError:
        return None
    return spans.apply(text, [Edit(found, msgspec.json.encode(uuid))]).decode()


class SessionIdentity:
    """Sets `metadata.user_id` to the account in use; of other clients, to a stable id that tells nothing.

    A malformed body is left as it is: it contains nothing private of ours, and upstream will refuse it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        if outgoing.about.kind is not Kind.MESSAGES:  # `count_tokens` takes no metadata
            return outgoing
        before = outgoing.about.user_id
        after = self.wanted(outgoing.about)
        if after is None or after == before:
            return outgoing
        index = outgoing.indexed()
        try:
            return outgoing.edited(index, [_edit(index, msgspec.json.encode(after))])
        except ValueError:
            return outgoing

    def wanted(self, about: About) -> str | None:
        """Return the `user_id` to send; None to leave it as it is."""
        uuid = about.account_uuid or ""
        named = with_account(about.user_id, uuid) if about.user_id else None
        if named is not None:
            # of a login that does not say whose it is, the client may know
            return about.user_id if about.account_type == "oauth" and not uuid else named
        return None if about.claude_code else self._opaque(about.user_id or "")

    def _opaque(self, user_id: str) -> str:
        text = user_id.encode("utf-8", "surrogatepass")
        return f"user_{hmac.digest(self._key, b'user ' + text, hashlib.sha256).hex()[:32]}"


def _edit(index: BodyIndex, user_id: bytes) -> Edit:
    """Return the edit that sets `metadata.user_id`. Raises `ValueError`."""
    body, metadata = index.body, index.member("metadata")
    if metadata is None:
        return index.add("metadata", b'{"user_id":%s}' % user_id)
    if not body.startswith(b"{", metadata.start):
        return Edit(metadata, b'{"user_id":%s}' % user_id)
    members = spans.parts(body, metadata)
    there = spans.named(members, "user_id")
    return (
        Edit(there, user_id) if there else spans.added(metadata, members, b'"user_id":' + user_id)
    )
