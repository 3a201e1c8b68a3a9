"""`tokens.json` as it is changed: what is not changed stays as it was written, value by value.

Entries of other providers and fields that are unknown here are carried along unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from neurolink_mitm.core.auth.credentials import (
    NEEDS_LOGIN,
    PROVIDER,
    StoredAccount,
    check_label,
    check_token,
    parse_token_store,
)
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret

VERSION = "2.0"
_MARKS = frozenset({"disabled", "failures"})

Fields = dict[str, Any]
"""Values are plain ones, or `msgspec.Raw` of what is carried along."""


class TokenDocument:
    """The whole store, held while it is changed. No method shows a token."""

    def __init__(self, data: bytes | None = None) -> None:
        """`data` is None for a new one. Raises `ValueError`, without content, if it is broken."""
        if data is not None:
            parse_token_store(data)
        self._top = _fields(data or b"{}")
        self._providers = _fields(self._top.get("providers", b"{}"))

    def encode(self, now: float) -> bytes:
        """`now` becomes `lastModified`."""
        whole = {"version": VERSION, **self._top}
        whole |= {"lastModified": _milliseconds(now), "providers": self._providers}
        return msgspec.json.encode(whole) + b"\n"

    def put(self, login: StoredAccount, now: float) -> None:
        """Add it, or replace what has its label. Raises `ValueError` for what can't be read back."""
        key = PROVIDER + check_label(login.label)
        entry = _fields(self._providers.get(key, b"{}"))
        kind = login.type
        tokens = _fields(entry.get("tokens", b"{}"))
        tokens["accessToken"] = check_token(login.access_token.reveal())
        # a new login owes nothing to the refresh token of the one before
        tokens.pop("refreshToken", None)
        if login.refresh_token:
            tokens["refreshToken"] = check_token(login.refresh_token.reveal())
        tokens["expiresAt"] = _milliseconds(login.expires_at or 0)
        if kind == "oauth":
            tokens["tokenType"] = "Bearer"
        identity = {
            "uuid": login.account_uuid,
            "email": login.email,
            "organizationUuid": login.organization_uuid,
            "organizationName": login.organization_name,
        }
        account = _identified(entry, identity)
        if login.plan:
            account["subscriptionType"] = login.plan
        elif not _is_of(entry, identity):  # a login in the browser doesn't say its plan
            account.pop("subscriptionType", None)
        entry |= {"tokens": tokens, "account": account, "type": kind}
        entry.setdefault("createdAt", _milliseconds(now))
        entry["lastAccessed"] = _milliseconds(now)
        _stand_again(entry)
        if login.disabled:
            entry["disabled"] = {"at": _milliseconds(now), "reason": login.disabled}
        self._set(login.label, entry)

    def replace_tokens(self, label: str, new: Tokens, spent: Secret | None = None) -> bool:
        """False if there is no such account, or not with the refresh token `spent` any more: then a
        new login came in between. A refresh token that didn't come anew is kept.

        They disprove that it needs a login: another process has tried a token that was spent.
        """
        if (entry := self._entry(label, spent)) is None:
            return False
        tokens = _fields(entry.get("tokens", b"{}"))
        tokens["accessToken"] = new.access_token.reveal()
        if new.refresh_token:
            tokens["refreshToken"] = new.refresh_token.reveal()
        tokens["expiresAt"] = _milliseconds(new.expires_at or 0)
        if new.scope:
            tokens["scope"] = new.scope
        said = {
            "uuid": new.account_uuid,
            "email": new.email,
            "organizationUuid": new.organization_uuid,
            "organizationName": new.organization_name,
        }
        told = {name: value for name, value in said.items() if value}
        entry |= {"tokens": tokens, "account": _identified(entry, told)}
        entry.pop("failures", None)
        if _reason(entry).startswith(NEEDS_LOGIN):
            entry.pop("disabled")
        return self._set(label, entry)

    def holds(self, label: str) -> bool:
        return PROVIDER + label in self._providers

    def remove(self, label: str) -> bool:
        """False if there is no such account."""
        return self._providers.pop(PROVIDER + label, None) is not None

    def disable(self, label: str, reason: str, at: float, spent: Secret | None = None) -> bool:
        """The same. `at` is in seconds."""
        if (entry := self._entry(label, spent)) is None:
            return False
        entry["disabled"] = {"at": _milliseconds(at), "reason": reason}
        return self._set(label, entry)

    def enable(self, label: str) -> bool:
        """False if there is no such account. Failures are forgotten too."""
        if (entry := self._entry(label)) is None:
            return False
        if not entry.keys() & _MARKS:
            return True
        _stand_again(entry)
        return self._set(label, entry)

    def failures(self, label: str) -> int:
        """Failed refreshes in a row; 0 for what isn't there."""
        entry = self._entry(label) or {}
        try:
            return max(0, msgspec.json.decode(entry.get("failures", b"0"), type=int))
        except UNREADABLE:
            return 0

    def note_failure(self, label: str, spent: Secret | None = None) -> int:
        """One more; how many that makes. 0 where `disable` is False."""
        if (entry := self._entry(label, spent)) is None:
            return 0
        entry["failures"] = count = self.failures(label) + 1
        self._set(label, entry)
        return count

    def _entry(self, label: str, spent: Secret | None = None) -> Fields | None:
        """None if it isn't there, or not with this refresh token."""
        raw = self._providers.get(PROVIDER + label)
        if raw is None:
            return None
        entry = _fields(raw)
        return entry if spent is None or _refresh_token(entry) == spent else None

    def _set(self, label: str, entry: Fields) -> bool:
        # encoded at once, so that every entry is raw when it is next looked at
        self._providers[PROVIDER + label] = msgspec.Raw(msgspec.json.encode(entry))
        return True


def _stand_again(entry: Fields) -> None:
    for mark in _MARKS:
        entry.pop(mark, None)


def _is_of(entry: Fields, identity: Mapping[str, str | None]) -> bool:
    """Whether the entry is of this account and organisation."""
    known = _identified(entry, {})
    return all(
        bytes(known.get(name, b"null")) == msgspec.json.encode(identity[name])
        for name in ("uuid", "organizationUuid")
    )


def _refresh_token(entry: Fields) -> Secret:
    tokens = _fields(entry.get("tokens", b"{}"))
    return Secret((msgspec.json.decode(tokens.get("refreshToken", b"null")) or "").strip())


def _reason(entry: Fields) -> str:
    """Why it is disabled; empty where it is not, or by others in another form."""
    try:
        mark = msgspec.json.decode(entry.get("disabled", b"{}"), type=dict[str, object])
    except UNREADABLE:
        return ""
    return str(mark.get("reason", ""))


def _identified(entry: Fields, identity: Mapping[str, str | None]) -> Fields:
    known = entry.get("account", b"null")
    return {**(msgspec.json.decode(known, type=dict[str, msgspec.Raw] | None) or {}), **identity}


def _fields(raw: bytes | msgspec.Raw) -> Fields:
    return dict(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
