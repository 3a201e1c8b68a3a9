"""The login of an installed Claude Code: read, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.files import read
from neurolink_mitm.claude_code.settings import settings_path
from neurolink_mitm.core.auth.credentials import StoredAccount, check_token, ends_at, plan_of
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret

LARGEST = 50_000_000
"""Bytes of a file; `.claude.json` grows with use."""
VARIABLES = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
"""Environment variables that Claude Code takes a credential from."""


class ImportFailed(Exception):
    """There is no login to import; the text is one line with what to do instead."""


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


def has_login(environ: Mapping[str, str]) -> bool:
    """Whether Claude Code has a credential, as far as files and environment say; without one it sends nothing.

    The keychain of macOS is not asked: `.claude.json` has the account's name.
    """
    if any(environ.get(name) for name in VARIABLES):
        return True
    path = settings_path(environ)
    if path is None:
        return False
    settings, login = _object(path), _object(path.with_name(".credentials.json"))
    state, env = _object(_state_path(path, environ)), settings.get("env")
    return bool(
        login.get("claudeAiOauth")
        or state.get("oauthAccount")
        or state.get("primaryApiKey")
        or settings.get("apiKeyHelper")
        or (isinstance(env, dict) and any(env.get(name) for name in VARIABLES))
    )


def read_login(environ: Mapping[str, str]) -> StoredAccount:
    """Return the login in `.credentials.json` of Claude Code's folder, with its owner. Raises `ImportFailed`."""
    settings = settings_path(environ) or Path("/.claude/settings.json")
    path = settings.with_name(".credentials.json")
    try:
        data = read(path, LARGEST)
        login = msgspec.json.decode(data, type=_Credentials).claude_ai_oauth if data else None
    except OSError as e:
        raise ImportFailed(f"can't read {path}: {e.strerror}") from None
    except (ValueError, *UNREADABLE):
        raise ImportFailed(f"{path} is not what Claude Code writes; use --method oauth") from None
    if data is None:
        raise ImportFailed(
            f"{path} is not there: log in with Claude Code first. On macOS it keeps its login in the"
            " keychain; there, use --method oauth or --method setup-token"
        )
    if login is None:
        raise ImportFailed(f"{path} holds no login to a subscription; use --method oauth")
    try:
        return _with_owner(_account(login), _state_path(settings, environ))
    except ValueError as e:
        raise ImportFailed(f"a token in {path} {e}; use --method oauth") from None


def _with_owner(login: StoredAccount, path: Path) -> StoredAccount:
    """Return `login` with the identity that Claude Code wrote to `path`, if there is one."""
    try:
        state = msgspec.json.decode(read(path, LARGEST) or b"", type=_State)
    except (OSError, ValueError, *UNREADABLE):
        return login
    owner = state.oauth_account or _Owner()
    return replace(
        login,
        label=owner.email_address or login.label,
        account_uuid=owner.account_uuid,
        organization_uuid=owner.organization_uuid,
        organization_name=owner.organization_name,
        email=owner.email_address,
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


def _state_path(settings: Path, environ: Mapping[str, str]) -> Path:
    """`.claude.json` lies beside Claude Code's folder, or in a folder that `CLAUDE_CONFIG_DIR` names."""
    folder = settings.parent
    return (folder if environ.get("CLAUDE_CONFIG_DIR") else folder.parent) / ".claude.json"


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; an empty one if it can't be read."""
    try:
        document = json.loads(read(path, LARGEST) or b"")
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
