"""OAuth: responses of the token endpoint, and when to refresh a token.

https://www.rfc-editor.org/rfc/rfc6749 sections 4.1, 5 and 6; bodies are JSON, as Anthropic's are.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from neurolink_mitm.core.auth.credentials import StoredAccount, check_token
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret

MAX_FAILURES = 15
"""Failed refreshes in a row after which an account is disabled until the next login."""
AHEAD = 3600.0
"""Seconds before its end at which a token is refreshed."""
MAX_BACKOFF = 60.0
"""Seconds between two refreshes after failures, at most."""
DEFAULT_RETRY_AFTER = 60.0
"""Seconds to wait after a 429 without Retry-After."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that the token endpoint granted, and whose they are, where it reports that."""

    access_token: Secret
    refresh_token: Secret | None
    """None: the present one stays valid (RFC 6749 section 6)."""
    expires_at: float | None
    """Seconds since the epoch; None if not reported."""
    scope: str = ""
    account_uuid: str | None = None
    email: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None

    def as_login(self, label: str) -> StoredAccount:
        return StoredAccount(
            label=label,
            access_token=self.access_token,
            refresh_token=self.refresh_token,
            expires_at=self.expires_at,
            account_uuid=self.account_uuid,
            organization_uuid=self.organization_uuid,
            organization_name=self.organization_name,
            email=self.email,
        )


class Trouble(enum.Enum):
    """Why the token endpoint granted no tokens."""

    INVALID_GRANT = "invalid grant"  # the refresh token or code is used or revoked: log in again
    RATE_LIMITED = "rate limited"
    TRANSIENT = "transient"  # a retry may succeed
    REFUSED = "refused"  # a retry is refused too


class RefreshError(Exception):
    """The token endpoint granted no tokens. The message is for users, and has no secrets."""

    def __init__(
        self,
        trouble: Trouble,
        message: str,
        retry_after: float | None = None,
        *,
        answered: bool = True,
    ) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.message = message
        self.retry_after = retry_after
        """Seconds; None if not reported."""
        self.answered = answered
        """Whether the endpoint was reached: being offline says nothing about the account."""


class _Named(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Refusal(msgspec.Struct):
    # RFC 6749 section 5.2 has a string, Anthropic's API an object
    error: str | _Named
    error_description: str = ""


class _Granted(msgspec.Struct):
    access_token: str
    refresh_token: str | None = None
    # optional: of any type, so that no tokens are lost over it
    expires_in: msgspec.Raw = msgspec.Raw()
    scope: msgspec.Raw = msgspec.Raw()
    account: msgspec.Raw = msgspec.Raw()
    organization: msgspec.Raw = msgspec.Raw()


class _Account(msgspec.Struct):
    uuid: str | None = None
    email_address: str | None = None


class _Organization(msgspec.Struct):
    uuid: str | None = None
    name: str | None = None


def parse_tokens(body: bytes, now: float) -> Tokens:
    """Read a successful response of the token endpoint. Raises `ValueError`, without its content."""
    granted = _decode(body, _Granted)
    if granted is None:
        raise ValueError("the token endpoint's answer has no tokens that can be read")
    account = _decode(granted.account, _Account) or _Account()
    organization = _decode(granted.organization, _Organization) or _Organization()
    lasts = _lenient_seconds(granted.expires_in)
    return Tokens(
        access_token=_secret(granted.access_token, "access_token"),
        refresh_token=(
            _secret(granted.refresh_token, "refresh_token") if granted.refresh_token else None
        ),
        expires_at=None if lasts is None else now + lasts,
        scope=_decode(granted.scope, str) or "",
        account_uuid=account.uuid or None,
        email=account.email_address or None,
        organization_uuid=organization.uuid or None,
        organization_name=organization.name or None,
    )


def trouble_of(status: int | None, body: bytes, retry_after: float | None) -> Trouble:
    """Return the trouble of a response without tokens; `status` is None where none arrived."""
    # 1. no response, a redirection, anything else with a good status, a server error
    if status is None or status < 400 or status >= 500 or status in (408, 425):
        return Trouble.TRANSIENT
    # 2. too often; other refusals that pass, since they have a Retry-After
    if status == 429:
        return Trouble.RATE_LIMITED
    code, _ = oauth_error(body)
    if code == "invalid_grant":
        return Trouble.INVALID_GRANT
    if code == "rate_limit_error" or retry_after is not None:
        return Trouble.RATE_LIMITED
    # 3. a page of a gateway
    if not code and status != 404:
        return Trouble.TRANSIENT
    return Trouble.REFUSED


def oauth_error(body: bytes) -> tuple[str, str]:
    """Return code and description of an OAuth or Anthropic error; empty where there is none."""
    refusal = _decode(body, _Refusal)
    if refusal is None:
        return "", ""
    if isinstance(refusal.error, str):
        return refusal.error, refusal.error_description
    return refusal.error.type, refusal.error.message


def asks_second_url(status: int | None) -> bool:
    """Return whether to try the second URL of the token endpoint: the first did not judge the grant."""
    return status is None or status == 404 or status >= 500


def needs_refresh(expires_at: float | None, now: float, ahead: float = AHEAD) -> bool:
    """Return whether a token ends within `ahead` seconds; None never ends."""
    return expires_at is not None and expires_at - now <= ahead


def ahead_of(lifetime: float | None) -> float:
    """Return how long before its end a token is refreshed: an hour, or half its lifetime if that is shorter."""
    return AHEAD if lifetime is None else min(AHEAD, lifetime / 2)


def pause_after(failures: int) -> float:
    """Return the seconds until the next try after `failures` in a row: 1, 2, 4 … 60."""
    return min(2.0 ** min(failures - 1, 10), MAX_BACKOFF) if failures > 0 else 0.0


def split_pasted(text: str) -> tuple[str, str | None]:
    """Return code and state from what a user pasted: `code#state`, the code, or the page's URL.

    Raises `ValueError` with what is wrong.
    """
    # terminals and mail programs break lines
    pasted = "".join(text.split())
    if "code=" in pasted or "error=" in pasted:
        code, state = _from_address(pasted)
    else:
        code, _, state = pasted.partition("#")
    if not code or "://" in code:
        raise ValueError("there is no code in it: copy the whole code that the page shows")
    if not (pasted.isascii() and pasted.isprintable()):
        raise ValueError("a code has no such characters: copy the whole code that the page shows")
    return code, state or None


def _from_address(pasted: str) -> tuple[str, str]:
    parts = urlsplit(pasted)
    query = parse_qs(parts.query or parts.fragment or pasted)
    if "error" in query and "code" not in query:
        raise ValueError("the page reported that the login was refused: start again")
    return query.get("code", [""])[0], query.get("state", [""])[0]


def _secret(text: str, name: str) -> Secret:
    try:
        return Secret(check_token(text))
    except ValueError as e:
        raise ValueError(f"the token endpoint's {name} {e}") from None


def _lenient_seconds(raw: msgspec.Raw) -> float | None:
    try:
        seconds = msgspec.json.decode(raw, type=float, strict=False)
    except UNREADABLE:
        return None
    # a century at most, so that the end is a valid time
    return seconds if 0 <= seconds <= 3.2e9 else None


def _decode(data: bytes | msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE:
        return None
