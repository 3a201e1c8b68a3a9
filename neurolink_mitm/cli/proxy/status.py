"""`neurolink proxy status`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from neurolink_mitm.adapters.state_file import ProxyState, StateFile
from neurolink_mitm.cli.ui.exits import FAILED, NOT_RUNNING, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.options import format_option, port_option
from neurolink_mitm.cli.ui.running import (
    ask_status,
    choose,
    claude_code,
    not_running,
    others,
    running_states,
)
from neurolink_mitm.core.logs.timestamps import local_time

if TYPE_CHECKING:  # slow to import
    from rich.console import RenderableType

    from neurolink_mitm.core.status.diagnostic import Diagnostic


@dataclass(frozen=True, slots=True)
class StatusResult:
    """The report of one request to `/status`, or why there is none."""

    report: dict[str, Any] | None
    why: str = ""
    code: int = 0
    left_over: tuple[Diagnostic, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """What `--format json` prints."""
        if self.report is not None:
            return self.report
        left = [{"id": each.id, "text": each.text, "fix": each.fix} for each in self.left_over]
        return {"running": False, "reason": self.why, "leftOver": left}


LISTED = 50
"""Requests in flight that `--watch` prints at most into a pipe."""
Ask = Callable[[], StatusResult]


@click.command(name="status")
@format_option
@click.option(
    "--explain", is_flag=True, help="Say which account comes next, and why not the others."
)
@click.option("--model", help="Explain it for requests for this model.")
@click.option(
    "--client",
    type=click.Choice(["claude-code", "other"]),
    help="Explain it for requests of this client (default: claude-code).",
)
@click.option("-w", "--watch", is_flag=True, help="Show it live, until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how often to look.",
)
@port_option("Of several proxies, show the one on this port.")
def command(
    form: str,
    explain: bool,
    model: str | None,
    client: str | None,
    watch: bool,
    interval: float,
    port: int | None,
) -> None:
    """Show whether the proxy runs and how its accounts are doing.

    Example: neurolink proxy status --explain --model claude-opus-4-6
    """
    query = {name: value for name, value in (("model", model), ("client", client)) if value}
    if explain or query:
        query["explain"] = "1"
    ask = partial(look, query, port)
    if watch:
        _watch(ask, form, interval)
    result = ask()
    if form == "json":
        click.echo(json.dumps(result.document, indent=2))
    if result.report is None:
        if form == "text":
            click.echo(_leftover_text(result), nl=False)
        fail(result.why, result.code)
    if form == "text":
        click.echo(_text(result), nl=False)


def look(query: dict[str, str], port: int | None = None) -> StatusResult:
    """Ask the proxy on `port`, or the default one, for its report."""
    running = running_states()
    state = choose(running, port)
    if state is None:
        left_over = () if running else _left_over(StateFile(home().state).read())
        return StatusResult(None, not_running(running, port), NOT_RUNNING, left_over)
    report = ask_status(state, query)
    if report is not None:
        return StatusResult(report)
    why = f"process {state.pid} runs, but {state.url}/status does not answer"
    return StatusResult(None, why + _detached(state) + others(running, state), FAILED)


def _detached(state: ProxyState) -> str:
    away = (claude_code(state.pid) or {}).get("detached")
    if not away:
        return ""
    return f"; Claude Code is detached from it since {local_time(away['since'])}, until it answers again"


def _left_over(state: ProxyState | None) -> tuple[Diagnostic, ...]:
    from neurolink_mitm.adapters.persisted_state import read_cooldowns
    from neurolink_mitm.doctor.checks import claude_settings, proxy_of
    from neurolink_mitm.doctor.stale_state import diagnose_stale_state

    settings = claude_settings(os.environ)
    return diagnose_stale_state(
        proxy_of(state), settings, read_cooldowns(home().cooldowns), time.time()
    )


def _text(result: StatusResult, requests: int = 0) -> str:
    from neurolink_mitm.cli.proxy.status_text import Detail, view
    from neurolink_mitm.cli.ui.tables import printed

    if result.report is None:
        return f"{result.why}\n{_leftover_text(result)}"
    return printed(view(result.report, time.time(), Detail(requests)))


def _leftover_text(result: StatusResult) -> str:
    from neurolink_mitm.cli.proxy.status_text import down_view
    from neurolink_mitm.cli.ui.tables import printed

    rest = [each for each in result.left_over if each.id != "leftover-state"]  # `why` says so
    return printed(down_view("", rest)) if rest else ""


def _watch(ask: Ask, form: str, interval: float) -> NoReturn:
    """Print the report every `interval` seconds, until Ctrl-C; as JSON, an object a line."""
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")  # can't be drawn on again
    if form == "text" and sys.stdout.isatty() and not dumb:
        _watch_live(ask, interval)
    while True:
        result = ask()
        click.echo(json.dumps(result.document) if form == "json" else _text(result, LISTED))
        time.sleep(interval)


def _watch_live(ask: Ask, interval: float) -> NoReturn:
    from rich.console import Console
    from rich.live import Live

    console = Console(markup=False, emoji=False, highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            live.update(_live_view(ask()), refresh=True)
            time.sleep(interval)


def _live_view(result: StatusResult) -> RenderableType:
    from neurolink_mitm.cli.proxy.live_text import LiveStatus
    from neurolink_mitm.cli.proxy.status_text import down_view

    if result.report is not None:
        return LiveStatus(result.report, time.time())
    at = local_time(time.time())
    return down_view(f"{result.why}\nstill watching ({at}); Ctrl-C ends this", result.left_over)
