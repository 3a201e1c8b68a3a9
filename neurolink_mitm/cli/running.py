"""The proxy that runs in this home, for commands that ask or stop it."""

from __future__ import annotations

import os
from typing import Any

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import State, StateFile
from neurolink_mitm.cli import http_client
from neurolink_mitm.cli.exits import NOT_RUNNING, USAGE, fail
from neurolink_mitm.core.record import iso


def home() -> Home:
    """The home directory, or exit code 2."""
    try:
        return Home.from_environment(os.environ)
    except ValueError as e:
        fail(str(e), USAGE)


def running_state() -> State:
    """The state of the running proxy, or exit code 3."""
    path = home().state
    state = StateFile(path).read()
    if state is None:
        fail("the proxy is not running; start it with: neurolink proxy start", NOT_RUNNING)
    if not state.alive:
        fail(
            f"the proxy is not running: process {state.pid} ended without cleaning up {path};"
            " the next start takes it over",
            NOT_RUNNING,
        )
    return state


def owner(state: State) -> dict[str, str]:
    """Shows the proxy that it is asked by who started it: only that user can read its state file."""
    return {"x-neurolink-admin": state.admin_token}


def ask_status(state: State, query: http_client.Query | None = None) -> dict[str, Any] | None:
    """What `/status` says, with what only the state file knows; None where nothing answers."""
    report = http_client.get_json(f"{state.url}/status", query, owner(state))
    if report is None:
        return None
    known = {"running": True, "url": state.url, "startTime": state.start_time}
    return {**report, **known, "claudeCode": claude_code(state.pid)}


def claude_code(pid: int) -> dict[str, Any] | None:
    """How Claude Code comes to that proxy; None where its settings are left alone."""
    from neurolink_mitm.adapters.claude_settings import ClaudeSettings, SettingsError

    try:
        entry = ClaudeSettings(home().claude_settings).entry(pid)
    except SettingsError:
        return None
    if entry is None:
        return None
    away = entry.away
    return {
        "settings": entry.path,
        "attached": away is None,
        "detached": away and {"since": iso(away.since), "why": away.why},
        "outages": [
            {"since": iso(each.since), "until": iso(each.until), "why": each.why}
            for each in entry.outages
        ],
    }
