"""Stored credentials: the token store and the legacy file, from bytes to values.

Times in these files are milliseconds since the epoch, here they are seconds. Unknown fields are
let pass. What can't be read raises `ValueError` with a message that holds no content of the file.
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
"""Begins the reason of an account whose refresh token was refused."""
_LONGEST_LABEL = 64
_LONGEST_PLAN = 32
_TODAY = 1e9, 1e11
"""As seconds these are the years 2001 and 5138, as milliseconds 1970 and 1973."""
_LATEST = 253_402_300_799.0
"""Seconds: the end of the year 9999."""
_PRINTABLE = re.compile(r"[!-~]+")
_KEY_PREFIX, _OAUTH_PREFIX, _REFRESH_PREFIX = "sk-ant-", "sk-ant-oat", "sk-ant-ort"

AccountType = Literal["oauth", "api_key"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A login or key as it was written down. Times in seconds since the epoch."""

    label: str
    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: float | None = None
    account_uuid: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None
    email: str | None = None
    disabled: str | None = None
    """Why it takes no requests until the next login; None if it does."""
    plan: str | None = None
    """Of a subscription, in Claude Code's words (`pro`, `max`, …), where they are known."""

    @property
    def type(self) -> AccountType:
        return account_type(self.access_token)


def account_type(token: Secret) -> AccountType:
    """Tokens of a subscription login start with `sk-ant-oat`; anything else is an API key."""
    return "oauth" if token.reveal().startswith(_OAUTH_PREFIX) else "api_key"


def check_label(text: str) -> str:
    """The label, which appears in headers and logs; `ValueError` if it can't stand there."""
    if not text or len(text) > _LONGEST_LABEL or text != text.strip() or not text.isprintable():
        raise ValueError(
            f"must be 1 to {_LONGEST_LABEL} printable characters, without spaces at the ends"
        )
    return text


def check_token(text: str) -> str:
    """The key or token without space around it; `ValueError` if it can't stand in a header."""
    token = text.strip()
    if not token:
        raise ValueError("must not be empty")
    if not _PRINTABLE.fullmatch(token):
        raise ValueError("must be printable ASCII characters without spaces")
    return token


def check_key(text: str) -> Secret:
    """Raises `ValueError` with what to do instead, and nothing of the text."""
    token = check_token(text)
    if token.startswith((_OAUTH_PREFIX, _REFRESH_PREFIX)):
        raise ValueError("this is the token of a login, not an API key: use --method setup-token")
    if not token.startswith(_KEY_PREFIX):
        raise ValueError(
            f"an API key starts with {_KEY_PREFIX}; see https://platform.claude.com/settings/keys"
        )
    return Secret(token)


def check_setup_token(text: str) -> Secret:
    """The same for a long-lived token."""
    token = check_token(text)
    if not token.startswith(_OAUTH_PREFIX):
        raise ValueError(f"such a token starts with {_OAUTH_PREFIX}; run: claude setup-token")
    return Secret(token)


def plan_of(said: object) -> str | None:
    """The name of a plan, as it can be shown; None for what is none."""
    good = isinstance(said, str) and said.isprintable() and len(said) <= _LONGEST_PLAN
    return (str(said).strip() or None) if good else None


class _Tokens(msgspec.Struct, rename="camel"):
    access_token: str
    refresh_token: str | None = None
    expires_at: float | str | None = None


class _Identity(msgspec.Struct, rename="camel"):
    uuid: str | None = None
    email: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None
    # of no use to lose a login over, should it have another shape one day
    subscription_type: object = None


class _Disabled(msgspec.Struct):
    reason: str | None = None


class _Entry(msgspec.Struct):
    tokens: _Tokens
    account: _Identity | None = None
    disabled: _Disabled | None = None


class _Store(msgspec.Struct):
    # raw: entries of other providers may have any shape
    providers: dict[str, msgspec.Raw] = {}


class _Legacy(msgspec.Struct):
    oauth: _Tokens | None = None


def parse_token_store(data: bytes) -> tuple[StoredAccount, ...]:
    """The Anthropic accounts of a `tokens.json`, in its order.

    `{"version": "2.0", "providers": {"anthropic:work": {"tokens": {…}, "account": {…}, …}}}`
    """
    store = _decode(data, _Store)
    return tuple(
        _stored(key, entry) for key, entry in store.providers.items() if key.startswith(PROVIDER)
    )


def parse_legacy(data: bytes) -> StoredAccount | None:
    """The account of an `anthropic-credentials.json`: `{"oauth": {"accessToken": …, …}}`."""
    legacy = _decode(data, _Legacy)
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
    )


def ends_at(written: float | str | None, where: str) -> float | None:
    """Seconds, from milliseconds; 0 is written for tokens that don't expire.

    Programs that share the file also write seconds (which would be of 1970), or texts. A moment beyond the calendar is
    its last, one before 1970 has passed.
    """
    if not written:
        return None
    try:
        number = float(written)
    except ValueError:
        return _iso(str(written), where)
    return _bounded(number if _TODAY[0] <= number < _TODAY[1] else number / 1000, where)


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
        # its messages name types and places, never values
        raise ValueError(f"{where}{e}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{where}not UTF-8") from None
    except RecursionError:
        raise ValueError(f"{where}nested too deeply") from None
