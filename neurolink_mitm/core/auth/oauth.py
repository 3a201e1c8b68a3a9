"""The rules of logins and refreshes: what the token endpoint said, and when to ask it.

https://www.rfc-editor.org/rfc/rfc6749 sections 4.1, 5 and 6; bodies are JSON, as upstream's are.
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
"""Failed refreshes in a row after which an account waits for a new login."""
AHEAD = 3600.0
"""Seconds before its end in which a token is refreshed."""
LONGEST_PAUSE = 60.0
UNTOLD_PAUSE = 60.0
"""Seconds to leave a token endpoint alone that said 429 and not for how long."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint handed out, and whose it is as far as it said so."""

    access_token: Secret
    refresh_token: Secret | None
    """None: the one in use stays good (RFC 6749 section 6)."""
    expires_at: float | None
    """Seconds since the epoch; None if it didn't say."""
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
    """Why there are no new tokens."""

    INVALID_GRANT = "invalid grant"  # the refresh token or code is spent or revoked: log in again
    RATE_LIMITED = "rate limited"  # later
    TRANSIENT = "transient"  # perhaps the next time
    REFUSED = "refused"  # the same request would be refused again


class RefreshError(Exception):
    """There are no new tokens. Its text is for people, and holds none."""

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
        """Seconds; None if the server didn't say."""
        self.answered = answered
        """Whether the endpoint was reached at all: being offline says nothing about the account."""


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
    # the rest is of no use to lose tokens over, should it have another shape one day
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
    """A good answer of the token endpoint. `ValueError`, without any of its content, if it is none."""
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


def classify(status: int | None, body: bytes, retry_after: float | None) -> Trouble:
    """What an answer that brought no tokens means; `status` is None where there was no answer."""
    # 1. no answer, a redirection, a page or other stuff with a good status, a server in trouble
    if status is None or status < 400 or status >= 500 or status in (408, 425):
        return Trouble.TRANSIENT
    # 2. too often; other refusals that pass, since they say when
    if status == 429:
        return Trouble.RATE_LIMITED
    code, _ = refusal(body)
    if code == "invalid_grant":
        return Trouble.INVALID_GRANT
    if code == "rate_limit_error" or retry_after is not None:
        return Trouble.RATE_LIMITED
    # 3. a page of whoever stands between here and there
    if not code and status != 404:
        return Trouble.TRANSIENT
    return Trouble.REFUSED


def refusal(body: bytes) -> tuple[str, str]:
    """Code and description of an OAuth error or of one of Anthropic's; empty where there is none."""
    found = _decode(body, _Refusal)
    if found is None:
        return "", ""
    if isinstance(found.error, str):
        return found.error, found.error_description
    return found.error.type, found.error.message


def asks_second_url(status: int | None) -> bool:
    """Whether another address of the token endpoint may do better: the first said nothing of the grant."""
    return status is None or status == 404 or status >= 500


def needs_refresh(expires_at: float | None, now: float, ahead: float = AHEAD) -> bool:
    """Whether it ends within `ahead` seconds; None never ends."""
    return expires_at is not None and expires_at - now <= ahead


def ahead_of(lifetime: float | None) -> float:
    """An hour; of tokens that hardly last that long, half their life, so that each is used."""
    return AHEAD if lifetime is None else min(AHEAD, lifetime / 2)


def pause_after(failures: int) -> float:
    """Seconds until the next try after so many failures in a row: 1, 2, 4 … 60."""
    return min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE) if failures > 0 else 0.0


def split_pasted(text: str) -> tuple[str, str | None]:
    """Code and state, from what a user copied: `code#state`, the code, or the page's whole address.

    Raises `ValueError` that says what is wrong with it.
    """
    # terminals wrap, and mail programs break lines
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
    # a century; beyond it, times can't be told
    return seconds if 0 <= seconds <= 3.2e9 else None


def _decode(data: bytes | msgspec.Raw, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE:
        return None
