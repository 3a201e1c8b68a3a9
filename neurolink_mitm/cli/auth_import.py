"""The login of an installed Claude Code: read, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.stored import StoredAccount, check_token, ends_at, plan_of
from neurolink_mitm.core.unreadable import UNREADABLE

LARGEST = 50_000_000
"""Bytes; `.claude.json` grows with use."""


class ImportFailed(Exception):
    """One line with what to do instead."""


class _Login(msgspec.Struct, rename="camel"):
    access_token: str
    refresh_token: str | None = None
    expires_at: float | str | None = None
    subscription_type: object = None


class _Credentials(msgspec.Struct, rename="camel"):
    claude_ai_oauth: _Login | None = None


class _Owner(msgspec.Struct, rename="camel"):
    account_uuid: str | None = None
    email_address: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None


class _State(msgspec.Struct, rename="camel"):
    oauth_account: _Owner | None = None


def found(environ: Mapping[str, str]) -> StoredAccount:
    """The login in `.credentials.json` of Claude Code's folder. Raises `ImportFailed`."""
    path = _folder(environ) / ".credentials.json"
    try:
        login = msgspec.json.decode(_content(path), type=_Credentials).claude_ai_oauth
    except FileNotFoundError:
        raise ImportFailed(
            f"{path} is not there: log in with Claude Code first. On macOS it keeps its login in the"
            " keychain; there, use --method oauth or --method setup-token"
        ) from None
    except OSError as e:
        raise ImportFailed(f"can't read {path}: {e.strerror}") from None
    except UNREADABLE:
        raise ImportFailed(f"{path} is not what Claude Code writes; use --method oauth") from None
    if login is None:
        raise ImportFailed(f"{path} holds no login to a subscription; use --method oauth")
    try:
        return _account(login)
    except ValueError as e:
        raise ImportFailed(f"a token in {path} {e}; use --method oauth") from None


def owner(login: StoredAccount, environ: Mapping[str, str]) -> StoredAccount:
    """The login with the identity that Claude Code wrote down beside it, where it did."""
    try:
        state = msgspec.json.decode(_content(_state(environ)), type=_State)
    except (OSError, *UNREADABLE):
        return login
    whose = state.oauth_account or _Owner()
    return replace(
        login,
        label=whose.email_address or login.label,
        account_uuid=whose.account_uuid,
        organization_uuid=whose.organization_uuid,
        organization_name=whose.organization_name,
        email=whose.email_address,
    )


def _account(login: _Login) -> StoredAccount:
    refresh = login.refresh_token
    return StoredAccount(
        label="claude-code",
        access_token=Secret(check_token(login.access_token)),
        refresh_token=Secret(check_token(refresh)) if refresh else None,
        expires_at=ends_at(login.expires_at, "expiresAt"),
        plan=plan_of(login.subscription_type),
    )


def _folder(environ: Mapping[str, str]) -> Path:
    chosen = environ.get("CLAUDE_CONFIG_DIR")
    return Path(chosen) if chosen else Path(environ.get("HOME", "/")) / ".claude"


def _state(environ: Mapping[str, str]) -> Path:
    """Beside the folder, unless the folder was chosen: then in it."""
    chosen = environ.get("CLAUDE_CONFIG_DIR")
    return Path(chosen or environ.get("HOME", "/")) / ".claude.json"


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)
