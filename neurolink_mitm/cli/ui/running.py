"""How the command is called, for lines that are to be pasted.

The proxy that runs in this home, for commands that ask or stop it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import OURS, ProxyState, StateFile
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import NOT_RUNNING, USAGE, fail
from neurolink_mitm.core.logs.rows import iso


def program() -> str:
    """How the user's shell finds us: by name, else by path."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "neurolink"
    by_name = shutil.which(called.name)
    if by_name and os.path.realpath(by_name) == os.path.realpath(called):
        return called.name
    return os.path.relpath(called) if called.absolute().is_relative_to(Path.cwd()) else str(called)


def home() -> Home:
    """The home directory, or exit code 2."""
    try:
        return Home.from_environment(os.environ)
    except ValueError as e:
        fail(str(e), USAGE)


def port_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--port`, of one of several proxies."""
    return click.option("-p", "--port", type=click.IntRange(1, 65535), help=text)


def running_states() -> tuple[ProxyState, ...]:
    """Of all proxies of this home that run; the first is the one that is meant where none is named."""
    return StateFile(home().state).running()


def running_state(port: int | None = None) -> ProxyState:
    """The state of the running proxy, or of the one on that port; exit code 3 if there is none."""
    path = home().state
    found = StateFile(path).running()
    if port is not None:
        return _on(port, found)
    if found:
        return found[0]
    state = StateFile(path).read()
    if state is None:
        fail("the proxy is not running; start it with: neurolink proxy start", NOT_RUNNING)
    fail(
        f"the proxy is not running: process {state.pid} ended without cleaning up {path};"
        " the next start takes it over",
        NOT_RUNNING,
    )


def _on(port: int, found: Sequence[ProxyState]) -> ProxyState:
    for state in found:
        if state.port == port:
            return state
    where = ", ".join(str(each.port) for each in found)
    others = f"; there is one on {where}" if found else ""
    fail(f"no proxy of this home runs on port {port}{others}", NOT_RUNNING)


def listed(states: Iterable[ProxyState]) -> str:
    """`http://127.0.0.1:55669 (pid 12), http://127.0.0.1:8080 (mitmdump, pid 13)`."""
    return ", ".join(f"{each.url} ({named(each)})" for each in states)


def named(state: ProxyState) -> str:
    """What runs it, where that is not the usual, and its pid."""
    return f"pid {state.pid}" if state.program == OURS else f"{state.program}, pid {state.pid}"


def owner(state: ProxyState) -> dict[str, str]:
    """Shows the proxy that it is asked by who started it: only that user can read its state file."""
    return {"x-neurolink-admin": state.admin_token}


def ask_status(state: ProxyState, query: http_client.Query | None = None) -> dict[str, Any] | None:
    """What `/status` says, with what only the state file knows; None where nothing answers."""
    report = http_client.get_json(f"{state.url}/status", query, owner(state))
    if report is None:
        return None
    known = {"running": True, "url": state.url, "startTime": state.start_time}
    return {**report, **known, **_seldom(state)}


def _seldom(state: ProxyState) -> dict[str, Any]:
    """What is only told where there is something to tell."""
    attached, proxies = claude_code(state.pid), _proxies()
    found: dict[str, Any] = {}
    if attached and (attached["detached"] or attached["outages"]):
        found["claudeCode"] = attached
    if len(proxies) > 1:
        found["proxies"] = proxies
    return found


def _proxies() -> list[dict[str, Any]]:
    return [
        {"url": each.url, "pid": each.pid, "program": each.program, "startTime": each.start_time}
        for each in running_states()
    ]


def claude_code(pid: int) -> dict[str, Any] | None:
    """How Claude Code comes to that proxy; None where its settings are left alone."""
    from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError

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
