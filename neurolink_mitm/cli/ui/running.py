"""The proxies of this home that run, for commands that ask or stop one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from neurolink_mitm.adapters.state_file import OURS, ProxyState, StateFile
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import NOT_RUNNING, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.core.logs.rows import iso


def running_states() -> tuple[ProxyState, ...]:
    """Return the state of each proxy; the first is the default where no port is given."""
    return StateFile(home().state).running()


def running_state(port: int | None = None) -> ProxyState:
    """Return the state of the proxy on `port`, or of the default one; exit with 3 if it does not run."""
    running = running_states()
    return choose(running, port) or fail(not_running(running, port), NOT_RUNNING)


def choose(running: Iterable[ProxyState], port: int | None) -> ProxyState | None:
    return next((each for each in running if port in (None, each.port)), None)


def not_running(running: Sequence[ProxyState], port: int | None) -> str:
    """Return why there is no proxy on `port`, in one line."""
    file = StateFile(home().state)
    state = file.read()
    if running:
        return f"no proxy of this home runs on port {port}{others(running)}"
    if state is None:
        return "the proxy is not running; start it with: neurolink proxy start"
    return (
        f"the proxy is not running: process {state.pid} ended without cleaning up {file.path};"
        " the next start takes it over"
    )


def others(running: Iterable[ProxyState], state: ProxyState | None = None) -> str:
    """Return the end of a line that names the proxies beside `state`."""
    rest = [each for each in running if each is not state]
    return f"; there is another one: {listed(rest)}" if rest else ""


def listed(states: Iterable[ProxyState]) -> str:
    """Return `http://127.0.0.1:55669 (pid 12), http://127.0.0.1:8080 (mitmdump, pid 13)`."""
    return ", ".join(f"{each.caller_url} ({named(each)})" for each in states)


def named(state: ProxyState) -> str:
    """Return `pid 12`, or `mitmdump, pid 12` where another program runs the proxy."""
    return f"pid {state.pid}" if state.program == OURS else f"{state.program}, pid {state.pid}"


def admin_headers(state: ProxyState) -> dict[str, str]:
    """Return headers by which the proxy knows its own user: nobody else can read the state file."""
    return {"x-neurolink-admin": state.admin_token}


def ask_status(state: ProxyState, query: http_client.Query | None = None) -> dict[str, Any] | None:
    """Return the report of `/status`, with what only the state file says; None if nothing answers."""
    report = http_client.get_json(f"{state.url}/status", query, admin_headers(state))
    if report is None:
        return None
    report |= {"running": True, "url": state.caller_url, "startTime": state.start_time}
    attached, proxies = claude_code(state.pid), _proxies()
    if attached and (attached["detached"] or attached["outages"]):
        report["claudeCode"] = attached
    if len(proxies) > 1:
        report["proxies"] = proxies
    return report


def running_status() -> dict[str, Any] | None:
    """Return the report of the default proxy; None if none runs or answers."""
    state = choose(running_states(), None)
    return ask_status(state) if state else None


def claude_code(pid: int) -> dict[str, Any] | None:
    """Return how Claude Code reaches the proxy `pid`; None where its settings are left alone."""
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


def _proxies() -> list[dict[str, Any]]:
    return [
        {
            "url": each.caller_url,
            "pid": each.pid,
            "program": each.program,
            "startTime": each.start_time,
        }
        for each in running_states()
    ]
