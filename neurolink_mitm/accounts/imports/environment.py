"""Credentials in the environment, or in a file of variables.

Sources: Claude Code's documentation, "Environment variables" (https://code.claude.com/docs/en/env-vars): an API key, a
bearer token, the long-lived token of `claude setup-token`, and where its requests go.
"""

from __future__ import annotations

from collections.abc import Mapping

from neurolink_mitm.accounts.imports.entries import (
    Entry,
    Findings,
    Login,
    Setting,
    either_entry,
    one_line,
)
from neurolink_mitm.adapters.other_programs import Program

NAME = "env"
VARIABLES: Mapping[str, str] = {
    "ANTHROPIC_API_KEY": "api-key",
    "CLAUDE_API_KEY": "api-key",
    "ANTHROPIC_AUTH_TOKEN": "auth-token",
    "CLAUDE_CODE_OAUTH_TOKEN": "setup-token",
    "ANTHROPIC_OAUTH_TOKEN": "setup-token",
}
"""Variables with a credential, and the label that it gets."""
_REFRESH = ("CLAUDE_CODE_OAUTH_REFRESH_TOKEN", "ANTHROPIC_OAUTH_REFRESH_TOKEN")
_SETTINGS = (
    "ANTHROPIC_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip


def find(environ: Mapping[str, str], place: str, now: float) -> Findings:
    """Return the credentials that variables of `environ` hold; `place` says where they are set."""
    entries = [
        either_entry(label, name, Login(environ[name]), now)
        for name, label in VARIABLES.items()
        if environ.get(name)
    ]
    entries += [
        Entry(
            name, name, reason="a refresh token alone: log in with: neurolink auth login anthropic"
        )
        for name in _REFRESH
        if environ.get(name)
    ]
    settings = [
        Setting(name, "", one_line(environ[name])) for name in _SETTINGS if environ.get(name)
    ]
    if environ.get("ANTHROPIC_CUSTOM_HEADERS"):
        settings.append(Setting("ANTHROPIC_CUSTOM_HEADERS", ""))
    return Findings(Program("the environment"), place, tuple(_renamed(entries)), tuple(settings))


def _renamed(entries: list[Entry]) -> list[Entry]:
    """Return the entries with their variables as names: the labels are for the pool."""
    return [Entry(each.where, each.where, each.account, each.reason) for each in entries]
