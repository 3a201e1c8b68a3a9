"""`neurolink proxy doctor`, and the files of its support bundle."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neurolink_mitm import __version__
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import StateFile
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
from neurolink_mitm.core.redact.known_secrets import secrets_of
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.status.diagnostic import Diagnostic
from neurolink_mitm.doctor.checks import HomeContents, ProbeContext, read_home, run_probes
from neurolink_mitm.doctor.diagnostics import diagnose, failed
from neurolink_mitm.doctor.probes import measure_clock_skew
from neurolink_mitm.doctor.support_bundle import Censor, plain, tail, write_bundle

LINES = 200
"""Of each log, from its end."""
FAMILIES = (
    "proxy-2*.jsonl", "proxy-attempts-2*.jsonl", "audit-2*.jsonl",
    "guard.log", "service.log", "stalls.log", "translator.log",
)  # fmt: skip


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
    report = _report(diagnostics)
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


def _report(diagnostics: tuple[Diagnostic, ...]) -> dict[str, Any]:
    levels = [diagnostic.level for diagnostic in diagnostics]
    return {
        "ok": "fail" not in levels,
        "counts": {level: levels.count(level) for level in ("ok", "warn", "fail")},
        "findings": [
            {"id": each.id, "level": each.level, "text": each.text, "fix": each.fix or None}
            for each in diagnostics
        ],
    }


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


def contents(context: ProbeContext, status: Any, report: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the bundle's files by name, with all secrets masked."""
    home_contents = read_home(context)
    censor = Censor(_secrets(context, home_contents), context.environ.get("HOME", ""))
    documents = {
        "doctor.json": report,
        "versions.json": _versions(),
        "status.json": status,
        "configuration.json": plain(home_contents.config),
    }
    files = {name: json.dumps(each, indent=2) + "\n" for name, each in documents.items() if each}
    for path in _logs(context):
        files[f"logs/{path.name}"] = "".join(f"{line}\n" for line in tail(path, LINES))
    return {name: censor(text) for name, text in files.items()}


def _secrets(context: ProbeContext, home_contents: HomeContents) -> Iterator[Secret]:
    """Yield all secrets that are known here: they are masked in any text, whatever they look like."""
    yield from secrets_of(home_contents.config, home_contents.accounts or (), home_contents.environ)
    state = StateFile(context.home.state).read() if context.home else None
    if state:
        yield Secret(state.admin_token)


def _logs(context: ProbeContext) -> Iterator[Path]:
    """Yield the newest log of each family."""
    if context.home is not None:
        for pattern in FAMILIES:
            yield from sorted(context.home.logs.glob(pattern))[-1:]


def _versions() -> dict[str, Any]:
    packages = {each.metadata["Name"]: each.version for each in distributions()}
    return {
        "neurolink": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }
