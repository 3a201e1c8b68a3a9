"""What is found in another program's files: entries with accounts, and settings that are only listed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from neurolink_mitm.adapters.other_programs import Program
from neurolink_mitm.core.auth.credentials import (
    StoredAccount,
    account_type,
    check_key,
    check_token,
    ends_at,
    plan_of,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import redact, without_passwords

ANTHROPIC = "api.anthropic.com"
LONGEST_TOKEN = 8192
_LONGEST = 160
"""Characters of a text of theirs that is shown."""
_LONGEST_ID = 100
_QUERY = re.compile(r"(?<=[^\s?])\?\S+")
"""The query of a URL, which may have a key under any name."""

Row = Mapping[str, object]


class SourceError(Exception):
    """The files can't be read; one line that names the place and nothing that it holds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An account of another program; `reason` says why it is not taken."""

    name: str
    where: str
    account: StoredAccount | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is not taken over."""

    where: str
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """The accounts and settings of a program; `place` is what was read."""

    program: Program
    place: str
    entries: tuple[Entry, ...] = ()
    settings: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()
    runs: str | None = None
    """How the files themselves tell that the program runs."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login as another program wrote it: any value may be anything."""

    access: object
    refresh: object = None
    ends: object = None
    identity: Row = field(default_factory=dict)
    """Members `uuid`, `organization_uuid`, `organization_name`, `email` and `plan`."""


def login_entry(name: str, where: str, login: Login, now: float) -> Entry:
    """Return the entry of a login, without an account where it can't serve."""
    try:
        account = _login(login, one_line(name) or "account", where)
    except ValueError as e:
        return Entry(name, where, reason=str(e))
    ended = account.expires_at is not None and account.expires_at <= now
    if ended and account.refresh_token is None:
        return Entry(name, where, reason="its token has expired, and there is none to refresh it")
    return Entry(name, where, account)


def key_entry(name: str, where: str, key: object, email: object = None) -> Entry:
    """Return the entry of an API key."""
    try:
        text = _text(key, "the API key")
        account = StoredAccount(one_line(name) or "api-key", check_key(text), email=_word(email))
    except ValueError as e:
        return Entry(name, where, reason=f"the key can't be used: {e}")
    return Entry(name, where, account)


def either_entry(name: str, where: str, login: Login, now: float) -> Entry:
    """Return the entry of a credential that may be a login's token or an API key."""
    text = login.access
    if isinstance(text, str) and account_type(Secret(text.strip())) == "oauth":
        return login_entry(name, where, login, now)
    return key_entry(name, where, text, login.identity.get("email"))


def other_provider(name: str, where: str, provider: object) -> Entry:
    return Entry(name, where, reason=f"another provider's ({one_line(provider) or 'unnamed'})")


def with_origin(entry: Entry, program: str, mark: str) -> Entry:
    """Return the entry with the name by which a second import recognises it."""
    if entry.account is None:
        return entry
    return replace(entry, account=replace(entry.account, origin=f"{program}:{mark}"[:_LONGEST]))


def foreign_url(url: object) -> str | None:
    """Return `url`, to be one_line, if it is not Anthropic's own; None where it is, or there is none."""
    text = url.strip() if isinstance(url, str) else ""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        plain = parts.scheme == "https" and "@" not in parts.netloc and parts.port in (None, 443)
        return None if plain and parts.hostname == ANTHROPIC else one_line(text)
    except ValueError:
        return one_line(text)


def one_line(value: object) -> str:
    """Return a text of theirs in one line for a terminal, without passwords, tokens and queries of URLs."""
    text = value if isinstance(value, str) else "" if value is None else str(value)[:_LONGEST]
    line = "".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST]).strip()
    return redact(_QUERY.sub("?***", without_passwords(line)))[:_LONGEST]


def _login(login: Login, name: str, where: str) -> StoredAccount:
    access = Secret(_token(login.access, "its access token"))
    if account_type(access) != "oauth":
        raise ValueError("its access token is not one of an Anthropic login")
    refresh = _token(login.refresh, "its refresh token") if login.refresh else None
    ends = login.ends
    if isinstance(ends, bool) or not isinstance(ends, int | float | str | None):
        raise ValueError("the end of its token is not a time")
    who = login.identity
    email = _word(who.get("email"))
    return StoredAccount(
        label=email or name,
        access_token=access,
        refresh_token=Secret(refresh) if refresh else None,
        expires_at=ends_at(ends, "the end of its token"),
        account_uuid=_word(who.get("uuid")),
        organization_uuid=_word(who.get("organization_uuid")),
        organization_name=_word(who.get("organization_name")),
        email=email,
        plan=plan_of(who.get("plan")),
    )


def _token(value: object, what: str) -> str:
    text = _text(value, what)
    try:
        return check_token(text)
    except ValueError as e:
        raise ValueError(f"{what} {e}") from None


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is missing")
    if len(value) > LONGEST_TOKEN:
        raise ValueError(f"{what} is longer than {LONGEST_TOKEN} characters")
    return value


def _word(value: object) -> str | None:
    good = isinstance(value, str) and value.isprintable() and len(value) <= _LONGEST_ID
    return (str(value).strip() or None) if good else None
