"""Whether Claude Code has a credential of its own: without one it asks nothing, of nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurolink_mitm.adapters.claude_settings import settings_path

LARGEST = 50_000_000
"""Bytes; `.claude.json` grows with use."""
VARIABLES = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")


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


def _object(path: Path) -> dict[str, Any]:
    """What is there; nothing where it can't be read."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
