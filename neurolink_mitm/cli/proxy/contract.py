"""`neurolink proxy doctor --contract`: what Anthropic asks of a gateway, asked of a running proxy."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from rich.console import Group
from rich.table import Table
from rich.text import Text

from neurolink_mitm.adapters.state_file import ProxyState, StateFile
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.running import running_state
from neurolink_mitm.cli.ui.tables import printed
from neurolink_mitm.cli.ui.terminal import print_report, progress
from neurolink_mitm.doctor import contract
from neurolink_mitm.doctor.contract_gateway import Gateway

KEYS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
STYLES = {"ok": "green", "failed": "bold red", "not run": "dim"}


def examine(form: str, url: str | None, port: int | None, *, spend: bool) -> None:
    """Judge the running proxy, or the gateway at `url`; exit with 1 if a row failed, 3 if no proxy runs."""
    gateway = _gateway(url, port, spend=spend)
    with progress("asking the gateway …"):
        results = list(contract.run(gateway))
    ok = all(each.outcome.state != "failed" for each in results)
    report: dict[str, Any] = {
        "ok": ok,
        "url": gateway.url,
        "rows": [each.report for each in results],
    }
    print_report(form, report, lambda: _view(gateway.url, results))
    if not ok:
        raise SystemExit(FAILED)


def _gateway(url: str | None, port: int | None, *, spend: bool) -> Gateway:
    """Return the gateway: the key of the environment is only shown to an address that the user has typed."""
    if url is None:
        state = running_state(port)
        pin, guarded = _pin(state), _demands_key(state)
        key = state.admin_token if guarded else None
        return Gateway(state.url, key, spend=spend, fingerprint=pin)
    if not _is_base(url):
        fail("--url: must be http://HOST or https://HOST, perhaps with a port and a path", USAGE)
    key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)
    own = {each.url: each for each in StateFile(home().state).running()}.get(url.rstrip("/"))
    if own and _demands_key(own):
        key = own.admin_token
    return Gateway(url, key, spend=spend, fingerprint=_pin(own) if own else None)


def _is_base(url: str) -> bool:
    """Whether the address is one that Claude Code could be given; a password in it would be shown."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


def _demands_key(state: ProxyState) -> bool:
    return Gateway(state.url, fingerprint=_pin(state)).listed({}).status == 401


def _pin(state: ProxyState) -> str | None:
    return state.tls.fingerprint if state.tls else None


def _view(url: str, results: list[contract.Result]) -> str:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=7)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in results:
        outcome = each.outcome
        text = each.row.requirement.replace("`", "")
        if outcome.state != "ok":
            text = f"{outcome.came}" if outcome.state == "not run" else f"{text}; {outcome.came}"
        table.add_row(Text(outcome.state, style=STYLES[outcome.state]), each.row.id, Text(text))
    states = [each.outcome.state for each in results]
    summary = ", ".join(f"{states.count(state)} {state}" for state in STYLES if state in states)
    return printed(Group(table, Text(f"{url}: {summary}; neurolink docs gateway says more")))
