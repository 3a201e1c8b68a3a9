"""`neurolink proxy doctor`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.proxy.contract import examine
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import (
    config_option,
    env_file_option,
    format_option,
    port_option,
)
from neurolink_mitm.cli.ui.running import ask_status, running_status
from neurolink_mitm.cli.ui.tables import printed
from neurolink_mitm.cli.ui.terminal import print_report, progress
from neurolink_mitm.core.status.diagnostic import Diagnostic
from neurolink_mitm.doctor.checks import ProbeContext, run_probes
from neurolink_mitm.doctor.diagnostics import diagnose, failed
from neurolink_mitm.doctor.examination import contents
from neurolink_mitm.doctor.examination import report as report_of
from neurolink_mitm.doctor.probes import measure_clock_skew
from neurolink_mitm.doctor.support_bundle import write_bundle


@click.command(name="doctor")
@format_option
@config_option("the running proxy's, else proxy-config.yaml in NEUROLINK_HOME")
@env_file_option
@port_option("Port to look at where no proxy runs (default: that of the last one, else 55669).")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a zip for a bug report, too: findings, configuration, end of the logs; no secrets.",
)
@click.option(
    "--contract",
    "of_contract",
    is_flag=True,
    help="Hold the running proxy against what Anthropic asks of gateways (neurolink docs gateway).",
)
@click.option(
    "--url",
    help="With --contract: another gateway, asked with ANTHROPIC_AUTH_TOKEN or ANTHROPIC_API_KEY.",
)
@click.option(
    "--spend", is_flag=True, help="With --contract: send a message, too; it costs tokens."
)
def command(
    form: str,
    config: Path | None,
    env_file: Path | None,
    port: int | None,
    bundle: Path | None,
    of_contract: bool,
    url: str | None,
    spend: bool,
) -> None:
    """Look for whatever could keep requests from being answered, and say what to do. Nothing is changed.

    Example: neurolink proxy doctor --bundle report.zip
    """
    if (url or spend) and not of_contract:
        fail("--url and --spend go with --contract", USAGE)
    if of_contract and bundle is not None:
        fail("--bundle does not go with --contract", USAGE)
    if of_contract:
        examine(form, url, port, spend=spend)
        return
    if bundle is not None and bundle.exists():
        fail(f"{bundle} is there already: choose another name, or delete it", FAILED)
    context = _context(config, env_file, port)
    with progress("looking around …"):
        results = run_probes(context)
    diagnostics = diagnose(results)
    report = report_of(diagnostics)
    print_report(form, report, lambda: printed(_view(diagnostics)))
    if bundle is not None:
        _write_bundle(bundle, context, results.proxy.status if results.proxy else None, report)
    if failed(diagnostics):
        raise SystemExit(FAILED)


def _context(config: Path | None, env_file: Path | None, port: int | None) -> ProbeContext:
    try:
        home = Home.from_environment(os.environ)
    except ValueError:
        home = None
    return ProbeContext(
        environ=os.environ,
        home=home,
        now=time.time(),
        ask=ask_status,
        config=config or (_config_of_running() if home else None),
        env_file=env_file,
        port=port,
        skew=measure_clock_skew,
    )


def _config_of_running() -> Path | None:
    """Return the file that the running proxy uses, which may not be that of the home."""
    status = running_status()
    path = status["config"]["path"] if status else None
    return Path(path) if path else None


def _view(diagnostics: tuple[Diagnostic, ...]) -> RenderableType:
    """Return a grid: levels on the left, texts and fixes on the right."""
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    table = Table.grid(padding=0)
    table.add_column(width=5)
    table.add_column(overflow="fold")
    for each in diagnostics:
        name = f" [{each.id}]" if each.fix else ""
        table.add_row(
            Text(each.level, style=styles[each.level]),
            Text(each.text).append(name, style="dim"),
        )
        if each.fix:
            table.add_row("", Text(f"fix: {each.fix}", style="dim"))
    return Group(table, Text(_summary(diagnostics)))


def _summary(diagnostics: tuple[Diagnostic, ...]) -> str:
    fails = sum(each.level == "fail" for each in diagnostics)
    warns = sum(each.level == "warn" for each in diagnostics)
    if not fails and not warns:
        return "all is well"
    return f"{fails} to repair, {warns} to look at; neurolink docs troubleshooting has more by the name in brackets"


def _write_bundle(path: Path, context: ProbeContext, status: Any, report: dict[str, Any]) -> None:
    try:
        write_bundle(path, contents(context, status, report))
    except OSError as e:
        fail(f"can't write {path}: {e.strerror}", FAILED)
    click.echo(f"written: {path}; look through it before you hand it on", err=True)
