"""The login of an installed Claude Code, read and never changed. Without one Claude Code asks nothing, of nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.claude_settings import settings_path
from neurolink_mitm.core.auth.credentials import StoredAccount, check_token, ends_at, plan_of
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret

LARGEST = 50_000_000
"""Bytes; `.claude.json` grows with use."""
VARIABLES = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")


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


def logged_in(environ: Mapping[str, str]) -> bool:
    """As far as files and environment say. The keychain of macOS is not asked: the account's name is in a file."""
    path = settings_path(environ)
    if any(environ.get(name) for name in VARIABLES):
        return True
    if path is None:
        return False
    settings, login = _object(path), _object(path.with_name(".credentials.json"))
    in_folder = bool(environ.get("CLAUDE_CONFIG_DIR"))
    state = _object((path.parent if in_folder else path.parent.parent) / ".claude.json")
    env = settings.get("env")
    return bool(
        login.get("claudeAiOauth")
        or state.get("oauthAccount")
        or state.get("primaryApiKey")
        or settings.get("apiKeyHelper")
        or (isinstance(env, dict) and any(env.get(name) for name in VARIABLES))
    )


def find_login(environ: Mapping[str, str]) -> StoredAccount:
    """Return the login in `.credentials.json` of Claude Code's folder, with its owner. Raises `ImportFailed`."""
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
        return _with_owner(_account(login), environ)
    except ValueError as e:
        raise ImportFailed(f"a token in {path} {e}; use --method oauth") from None


def _with_owner(login: StoredAccount, environ: Mapping[str, str]) -> StoredAccount:
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


def _object(path: Path) -> dict[str, Any]:
    """What is there; nothing where it can't be read."""
    try:
        found = json.loads(_content(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)
