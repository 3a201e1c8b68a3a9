"""`neurolink proxy replay`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.logs import moment
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import config_option, format_option
from neurolink_mitm.cli.ui.terminal import print_report, say
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.records import what_if
from neurolink_mitm.records.estimate import NUMBERS, assumptions, outcome_report
from neurolink_mitm.records.format import one_line
from neurolink_mitm.records.log_files import OnBytes
from neurolink_mitm.records.recording import Recording
from neurolink_mitm.records.replay_pool import Setting

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.cli.ui.tables import FittedTable

LAST = "24h"
WORTH_A_BAR = 20_000
"""Bytes or requests from which on a bar is shown."""


@click.command("replay")
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--last", help=f"Replay so long a time up to now: 30m, 24h, 7d.  [default: {LAST}]")
@click.option("--since", help="Replay from then on: 2h, 7d, yesterday, 2026-11-22 (local).")
@click.option("--until", help="Up to then.")
@click.option("-s", "--strategy", "strategies", multiple=True,
    help="Only this strategy; may be given several times (default: all).",
)  # fmt: skip
@config_option()
@format_option
def command(
    file: Path | None,
    last: str | None,
    since: str | None,
    until: str | None,
    strategies: tuple[str, ...],
    config: Path | None,
    form: str,
) -> None:
    """Estimate what other strategies would have done with the requests of the last hours; nothing is sent.

    With FILE (proxy-attempts-….jsonl) it replays that one, by itself.

    Example: neurolink proxy replay --last 24h
    """
    for each in strategies:
        if each not in STRATEGIES:
            fail(f"unknown strategy {each!r:.80}; choose {', '.join(STRATEGIES)}", USAGE)
    current, setting = None, Setting()
    if file is not None:
        if last or since or until or config:
            fail("FILE goes without --last, --since, --until and --config", USAGE)
        recording, times = _of_file(file), {}
    else:
        begin, end = _times(last, since, until)
        current, setting = _setting(config)
        from neurolink_mitm.cli.ui.home import home

        recording = what_if.record(home().logs, begin, end, _progress)
        times = {"since": iso(begin), "until": iso(end)}
    names = tuple(dict.fromkeys(strategies)) or tuple(STRATEGIES)
    outcomes = what_if.compare(recording, setting, names, _progress)
    reports = {name: outcome_report(outcome) for name, outcome in outcomes.items()}
    assumed = list(assumptions(recording, setting))
    report = {**times, "strategy": current, "estimate": True, "assumptions": assumed, **reports}
    print_report(form, report, lambda: _text(reports, current, assumed))
    if not recording.requests:
        say("no request in this time; neurolink logs tail shows the latest")


def _of_file(file: Path) -> Recording:
    recording = what_if.record_file(file, _progress)
    if not recording.requests:
        fail(f"{file} holds no attempts", FAILED)
    if recording.bad:
        say(f"neurolink: {recording.bad} lines of {file.name} are no attempts, left out")
    return recording


def _times(last: str | None, since: str | None, until: str | None) -> tuple[float, float]:
    """Return the time to replay."""
    if last and (since or until):
        fail("--last goes without --since and --until", USAGE)
    end = moment(until or "now")
    begin = 0.0 if until and not since else moment(since or last or LAST)
    if begin >= end:
        fail("there is no time to replay: it would end before it begins", USAGE)
    return begin, end


def _setting(config: Path | None) -> tuple[str | None, Setting]:
    """Return the strategy in force and what is configured beside it; a broken configuration is left out."""
    import os

    from neurolink_mitm.cli.ui.home import home
    from neurolink_mitm.cli.ui.running import running_status
    from neurolink_mitm.config.check import check

    inputs, faults = check(os.environ, home(), config, None)
    if inputs is None:
        say("\n  ".join(("neurolink: left out, the configuration can't be used:", *faults)))
        return None, Setting()
    status = running_status() or {}
    current = status.get("strategy", inputs.strategy)
    return current, what_if.setting_of(inputs.config, inputs.accounts)


@contextmanager
def _progress(what: str, total: int) -> Iterator[OnBytes]:
    """Show a bar on a terminal, if it takes long."""
    if total < WORTH_A_BAR or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def _text(
    reports: Mapping[str, Mapping[str, Any]], current: str | None, assumed: Sequence[str]
) -> str:
    from rich.console import Group
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import printed

    lines = [Text(f"- {one_line(each)}") for each in assumed]
    heading = Text("\nAn estimate. It assumes, and leaves out:")
    return printed(Group(replay_table(reports, current), heading, *lines))


def replay_table(
    reports: Mapping[str, Mapping[str, Any]], current: str | None = None
) -> FittedTable:
    """Return the outcomes as a row a strategy."""
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable

    outcomes = reports.values()
    names = [f"{name} (in force)" if name == current else name for name in reports]
    served = (
        ", ".join(f"{one_line(label)} {count}" for label, count in each["served"].items())
        or "nobody"
        for each in outcomes
    )
    return FittedTable(
        (
            Column("strategy", [Text(name) for name in names]),
            *(
                Column(title, [Text(_cell(field, o[field])) for o in outcomes], right=True)
                for title, field in COLUMNS
            ),
            Column("served by", [Text(each) for each in served], min_width=24),
        )
    )


COLUMNS = tuple(
    zip(
        ("requests", "429s met", "failovers", "refused", "paid", "list price", "cache moved"),
        ("requests", *NUMBERS),
        strict=True,
    )
)


def _cell(field: str, value: float) -> str:
    if field.endswith("Usd"):
        return f"${value:.2f}" if value >= 0.1 or not value else f"${value:.4f}"
    return str(value)
