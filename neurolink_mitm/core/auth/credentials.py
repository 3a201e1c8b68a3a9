"""Stored credentials: the token store and the legacy file, from bytes to values.

Times in the files are milliseconds since the epoch, here they are seconds. Unknown fields are ignored. A file that
can't be read raises `ValueError`, whose message has nothing of its content.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec

from neurolink_mitm.core.redact.secret import Secret

PROVIDER = "anthropic:"
LEGACY_LABEL = "default"
NEEDS_LOGIN = "needs login"
"""Start of the reason of an account whose refresh token was refused."""
GAVE_UP = "refreshes failed in a row"
"""Part of the reason of an account that is not refreshed any more."""
_LONGEST_LABEL = 64
_LONGEST_PLAN = 32
_LONGEST_KEY = 4096
_AS_SECONDS = 1e9, 1e11
"""Times in between are read as seconds (2001 to 5138): as milliseconds they are 1970 to 1973."""
_LATEST = 253_402_300_799.0
"""Seconds: the end of the year 9999."""
_PRINTABLE = re.compile(r"[!-~]+")
_KEY_PREFIX, _OAUTH_PREFIX, _REFRESH_PREFIX = "sk-ant-", "sk-ant-oat", "sk-ant-ort"

AccountType = Literal["oauth", "api_key"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A stored login or API key. Times are seconds since the epoch."""

    label: str
    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: float | None = None
    account_uuid: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None
    email: str | None = None
    disabled: str | None = None
    """Why it serves no requests until the next login."""
    plan: str | None = None
    """Plan of the subscription, in Claude Code's words (`pro`, `max`, …)."""
    origin: str | None = None
    """The program that it was imported from, and its name there."""

    @property
    def type(self) -> AccountType:
        return account_type(self.access_token)


def account_type(token: Secret) -> AccountType:
    """Return the type of a credential; a login's token starts with `sk-ant-oat`."""
    return "oauth" if token.reveal().startswith(_OAUTH_PREFIX) else "api_key"


def check_label(text: str) -> str:
    """Return `text` if it can be a label, which appears in headers and logs; else raise `ValueError`."""
    if not text or len(text) > _LONGEST_LABEL or text != text.strip() or not text.isprintable():
        raise ValueError(
            f"must be 1 to {_LONGEST_LABEL} printable characters, without spaces at the ends"
        )
    return text


def check_token(text: str) -> str:
    """Return `text` stripped, if it can be in a header; else raise `ValueError`."""
    token = text.strip()
    if not token:
        raise ValueError("must not be empty")
    if not _PRINTABLE.fullmatch(token):
        raise ValueError("must be printable ASCII characters without spaces")
    return token


def _pasted(text: str) -> str:
    token = check_token(text)
    if len(token) > _LONGEST_KEY:  # a header of this length still fits into what servers take
        raise ValueError(f"must be {_LONGEST_KEY} characters at most")
    return token


def check_key(text: str) -> Secret:
    """Return an API key. Raises `ValueError` with advice, and nothing of `text`."""
    token = _pasted(text)
    if token.startswith((_OAUTH_PREFIX, _REFRESH_PREFIX)):
        raise ValueError("this is the token of a login, not an API key: use --method setup-token")
    if not token.startswith(_KEY_PREFIX):
        raise ValueError(
            f"an API key starts with {_KEY_PREFIX}; see https://platform.claude.com/settings/keys"
        )
    return Secret(token)


def check_setup_token(text: str) -> Secret:
    """Return a long-lived token. Raises `ValueError` with advice, and nothing of `text`."""
    token = _pasted(text)
    if not token.startswith(_OAUTH_PREFIX):
        raise ValueError(f"such a token starts with {_OAUTH_PREFIX}; run: claude setup-token")
    return Secret(token)


def plan_of(value: object) -> str | None:
    """Return `value` if it can be the name of a plan; else None."""
    good = isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_PLAN
    return (str(value).strip() or None) if good else None


class _Tokens(msgspec.Struct, rename="camel"):
    access_token: str
    refresh_token: str | None = None
    expires_at: float | str | None = None


class _Identity(msgspec.Struct, rename="camel"):
    uuid: str | None = None
    email: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None
    # optional: of any type, so that no login is lost over it
    subscription_type: object = None


class _Disabled(msgspec.Struct):
    reason: str | None = None


class _Entry(msgspec.Struct):
    tokens: _Tokens
    account: _Identity | None = None
    disabled: _Disabled | None = None
    origin: object = None


class _Store(msgspec.Struct):
    # raw: entries of other providers may have any shape
    providers: dict[str, msgspec.Raw] = {}


class _Legacy(msgspec.Struct, rename="camel"):
    oauth: _Tokens | None = None
    type: object = None
    api_key: str | None = None


def parse_token_store(data: bytes) -> tuple[StoredAccount, ...]:
    """Return the Anthropic accounts of a `tokens.json`, in its order.

    `{"version": "2.0", "providers": {"anthropic:work": {"tokens": {…}, "account": {…}, …}}}`
    """
    store = _decode(data, _Store)
    return tuple(
        _stored(key, entry) for key, entry in store.providers.items() if key.startswith(PROVIDER)
    )


def parse_legacy(data: bytes) -> StoredAccount | None:
    """Return the account of an `anthropic-credentials.json`: `{"oauth": {"accessToken": …, …}}`.

    The original NeuroLink also writes `{"type": "api-key", "apiKey": …}` (its `src/cli/commands/auth.ts`).
    """
    legacy = _decode(data, _Legacy)
    if legacy.type == "api-key" and legacy.api_key:
        return _account(LEGACY_LABEL, _Entry(_Tokens(legacy.api_key)), "apiKey")
    if legacy.oauth is None:
        return None
    return _account(LEGACY_LABEL, _Entry(legacy.oauth), "oauth")


def _stored(key: str, raw: msgspec.Raw) -> StoredAccount:
    where = f"providers[{msgspec.json.encode(key).decode()}]"
    try:
        label = check_label(key.removeprefix(PROVIDER))
    except ValueError as e:
        raise ValueError(f"{where}: the label {e}") from None
    return _account(label, _decode(raw, _Entry, f"{where}: "), f"{where}.tokens")


def _account(label: str, entry: _Entry, where: str) -> StoredAccount:
    tokens, identity, disabled = entry.tokens, entry.account or _Identity(), entry.disabled
    return StoredAccount(
        label=label,
        access_token=_token(tokens.access_token, f"{where}.accessToken"),
        refresh_token=(
            _token(tokens.refresh_token, f"{where}.refreshToken") if tokens.refresh_token else None
        ),
        expires_at=ends_at(tokens.expires_at, f"{where}.expiresAt"),
        account_uuid=identity.uuid or None,
        organization_uuid=identity.organization_uuid or None,
        organization_name=identity.organization_name or None,
        email=identity.email or None,
        disabled=(disabled.reason or "disabled") if disabled else None,
        plan=plan_of(identity.subscription_type),
        origin=entry.origin if isinstance(entry.origin, str) else None,
    )


def ends_at(written: float | str | None, where: str) -> float | None:
    """Convert the end of a token to seconds; 0 stands for no end.

    Other programs that write the file use milliseconds, seconds or ISO 8601. A time beyond the calendar becomes its
    last, one before 1970 has passed.
    """
    if not written:
        return None
    try:
        number = float(written)
    except ValueError:
        return _iso(str(written), where)
    except OverflowError:  # an integer of more than 308 digits
        number = math.inf if written > 0 else -math.inf  # type: ignore[operator]
    return _bounded(number if _AS_SECONDS[0] <= number < _AS_SECONDS[1] else number / 1000, where)


def _iso(text: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        seconds = math.nan
    return _bounded(seconds, where)


def _bounded(seconds: float, where: str) -> float:
    if math.isnan(seconds):
        raise ValueError(f"{where} must be a time in milliseconds since 1970")
    return min(max(seconds, 1.0), _LATEST)


def _token(text: str, where: str) -> Secret:
    try:
        return Secret(check_token(text))
    except ValueError as e:
        raise ValueError(f"{where} {e}") from None


def _decode(data: bytes | msgspec.Raw, kind: type[T], where: str = "") -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as e:
        # its messages name types and paths, never values
        raise ValueError(f"{where}{e}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{where}not UTF-8") from None
    except RecursionError:
        raise ValueError(f"{where}nested too deeply") from None
