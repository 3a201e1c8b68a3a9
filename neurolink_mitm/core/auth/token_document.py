"""`tokens.json`, for changes: every value that is not changed stays as it was written.

Entries of other providers and unknown fields are carried along unread.
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

JsonObject = dict[str, Any]
"""Values are plain, or `msgspec.Raw` if they are carried along."""


class TokenDocument:
    """The token store's document. No method returns a token."""

    def __init__(self, data: bytes | None = None) -> None:
        """`data` is None for a new document. Raises `ValueError`, without its content, if it is broken."""
        if data is not None:
            parse_token_store(data)
        self._top = _object(data or b"{}")
        self._providers = _object(self._top.get("providers", b"{}"))

    def encode(self, now: float) -> bytes:
        """Return the file's content; `now` becomes `lastModified`."""
        whole = {"version": VERSION, **self._top}
        whole |= {"lastModified": _milliseconds(now), "providers": self._providers}
        return msgspec.json.encode(whole) + b"\n"

    def put(self, login: StoredAccount, now: float) -> None:
        """Add `login`, or replace the one of its label. Raises `ValueError` if it could not be read back."""
        key = PROVIDER + check_label(login.label)
        entry = _object(self._providers.get(key, b"{}"))
        kind = login.type
        tokens = _object(entry.get("tokens", b"{}"))
        tokens["accessToken"] = check_token(login.access_token.reveal())
        tokens.pop("refreshToken", None)
        if login.refresh_token:
            tokens["refreshToken"] = check_token(login.refresh_token.reveal())
        tokens["expiresAt"] = _milliseconds(login.expires_at or 0)
        if kind == "oauth":
            tokens["tokenType"] = "Bearer"
        identity = _identity(login)
        account = _account(entry) | identity
        if login.plan:
            account["subscriptionType"] = login.plan
        elif not _is_of(entry, identity):  # a browser login doesn't report its plan
            account.pop("subscriptionType", None)
        entry |= {"tokens": tokens, "account": account, "type": kind}
        if login.origin:
            entry["origin"] = login.origin
        entry.setdefault("createdAt", _milliseconds(now))
        entry["lastAccessed"] = _milliseconds(now)
        _clear_marks(entry)
        if login.disabled:
            entry["disabled"] = {"at": _milliseconds(now), "reason": login.disabled}
        self._set(login.label, entry)

    def replace_tokens(self, label: str, new: Tokens, spent: Secret | None = None) -> bool:
        """Replace the tokens, clear failures and a "needs login"; a refresh token is kept unless there is a new one.

        Return False if there is no such account, or not with the refresh token `spent`: then there is a new login.
        """
        if (entry := self._entry(label, spent)) is None:
            return False
        tokens = _object(entry.get("tokens", b"{}"))
        tokens["accessToken"] = new.access_token.reveal()
        if new.refresh_token:
            tokens["refreshToken"] = new.refresh_token.reveal()
        tokens["expiresAt"] = _milliseconds(new.expires_at or 0)
        if new.scope:
            tokens["scope"] = new.scope
        identity = {name: value for name, value in _identity(new).items() if value}
        entry |= {"tokens": tokens, "account": _account(entry) | identity}
        entry.pop("failures", None)
        if _reason(entry).startswith(NEEDS_LOGIN):
            entry.pop("disabled")
        return self._set(label, entry)

    def adopt(self, data: bytes) -> None:
        """Add the entries of another document, those under keys that this one has not."""
        theirs = _object(_object(data).get("providers", b"{}"))
        self._providers = {**theirs, **self._providers}

    def entries(self) -> dict[str, bytes]:
        """Return our accounts' entries, as they are written, by label."""
        return {
            key.removeprefix(PROVIDER): bytes(raw)
            for key, raw in self._providers.items()
            if key.startswith(PROVIDER)
        }

    def replace_entry(self, label: str, raw: bytes | None) -> None:
        """Replace an entry as it is written, or remove it. Raises `ValueError` if it could not be read back."""
        key = PROVIDER + check_label(label)
        if raw is None:
            self._providers.pop(key, None)
            return
        parse_token_store(msgspec.json.encode({"providers": {key: msgspec.Raw(raw)}}))
        self._providers[key] = msgspec.Raw(raw)

    def holds(self, label: str) -> bool:
        return PROVIDER + label in self._providers

    def remove(self, label: str) -> bool:
        """Remove an account. Return False if there is none."""
        return self._providers.pop(PROVIDER + label, None) is not None

    def disable(self, label: str, reason: str, at: float, spent: Secret | None = None) -> bool:
        """Disable an account, `at` seconds since the epoch. Return False as `replace_tokens` does."""
        if (entry := self._entry(label, spent)) is None:
            return False
        entry["disabled"] = {"at": _milliseconds(at), "reason": reason}
        return self._set(label, entry)

    def enable(self, label: str) -> bool:
        """Enable an account and clear its failures. Return False if there is none."""
        if (entry := self._entry(label)) is None:
            return False
        if not entry.keys() & _MARKS:
            return True
        _clear_marks(entry)
        return self._set(label, entry)

    def failures(self, label: str) -> int:
        """Return the failed refreshes in a row; 0 if there is no such account."""
        entry = self._entry(label) or {}
        try:
            return max(0, msgspec.json.decode(entry.get("failures", b"0"), type=int))
        except UNREADABLE:
            return 0

    def note_failure(self, label: str, spent: Secret | None = None) -> int:
        """Count a failed refresh. Return the number in a row; 0 where `disable` returns False."""
        if (entry := self._entry(label, spent)) is None:
            return 0
        entry["failures"] = count = self.failures(label) + 1
        self._set(label, entry)
        return count

    def _entry(self, label: str, spent: Secret | None = None) -> JsonObject | None:
        """Return the entry; None if there is none, or not with the refresh token `spent`."""
        raw = self._providers.get(PROVIDER + label)
        if raw is None:
            return None
        entry = _object(raw)
        return entry if spent is None or _refresh_token(entry) == spent else None

    def _set(self, label: str, entry: JsonObject) -> bool:
        # encoded at once, so that all entries are raw
        self._providers[PROVIDER + label] = msgspec.Raw(msgspec.json.encode(entry))
        return True


def _clear_marks(entry: JsonObject) -> None:
    for mark in _MARKS:
        entry.pop(mark, None)


def _is_of(entry: JsonObject, identity: Mapping[str, str | None]) -> bool:
    """Return whether `entry` is of this account and organisation."""
    account = _account(entry)
    return all(
        bytes(account.get(name, b"null")) == msgspec.json.encode(identity[name])
        for name in ("uuid", "organizationUuid")
    )


def _refresh_token(entry: JsonObject) -> Secret:
    tokens = _object(entry.get("tokens", b"{}"))
    return Secret((msgspec.json.decode(tokens.get("refreshToken", b"null")) or "").strip())


def _reason(entry: JsonObject) -> str:
    """Return why an entry is disabled; empty if it is not, or in an unknown form."""
    try:
        mark = msgspec.json.decode(entry.get("disabled", b"{}"), type=dict[str, object])
    except UNREADABLE:
        return ""
    return str(mark.get("reason", ""))


def _identity(source: StoredAccount | Tokens) -> dict[str, str | None]:
    return {
        "uuid": source.account_uuid,
        "email": source.email,
        "organizationUuid": source.organization_uuid,
        "organizationName": source.organization_name,
    }


def _account(entry: JsonObject) -> JsonObject:
    raw = entry.get("account", b"null")
    return dict(msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) or {})


def _object(raw: bytes | msgspec.Raw) -> JsonObject:
    return dict(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
