"""The table, the lines below it, and the JSON file."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bench.samples import Measured
from bench.slow import SlowRun
from bench.summary import BASELINE, Line, OptionLine
from bench.targets import Verdict
from bench.variants import DEFAULT, OFF

_TABLE_WIDTH = 96
_HEADINGS = (
    *("first\np50", "byte\np99", "\nx"),
    *("total\np50", "\np99", "\nx"),
    *("\nreq/s", "CPU\nms/req", "\nx", "peak\nRSS"),
)


@dataclass(frozen=True)
class Report:
    rounds: int
    requests: int
    seconds: float
    lines: Sequence[Line]
    options: Sequence[OptionLine]
    measured: Sequence[Measured]
    slow: Sequence[SlowRun]
    targets: Sequence[Verdict]


def make_console() -> Console:
    """Return a console wide enough for the table; plain text in a pipe."""
    console = Console()
    console.width = max(console.width, _TABLE_WIDTH)
    return console


def write_json(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **asdict(report)}, indent=2) + "\n")


def machine() -> dict[str, str | int | None]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "mitmproxy": version("mitmproxy"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
    }


def show(report: Report, console: Console) -> None:
    console.print(_table(report))
    if report.options:
        console.print()
        console.print(_options_table(report.options))
    for run in report.slow:
        console.print(_slow_text(run), highlight=False, soft_wrap=True)
    console.print()
    for verdict in report.targets:
        console.print(_verdict_text(verdict), highlight=False, soft_wrap=True)


def _table(report: Report) -> Table:
    title = f"{report.rounds} rounds of {report.requests} requests, medians over the rounds"
    caption = f"times in ms, memory in MB; x: times {BASELINE}'s, within each round"
    table = Table(title=title, caption=caption, box=box.HORIZONTALS, padding=0, show_edge=False)
    table.add_column("\nanswer", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for cell, group in groupby(report.lines, key=lambda line: line.cell):
        table.add_row(f"[bold]{cell.kind} x {cell.concurrency}[/]")
        for line in group:
            table.add_row(*_cells(line))
        table.add_section()
    return table


def _options_table(lines: Sequence[OptionLine]) -> Table:
    title = "What options cost: CPU per request"
    table = Table(title=title, box=box.HORIZONTALS, padding=0, show_edge=False)
    table.add_column("answer", no_wrap=True)
    for heading in ("ms/req", f"x {OFF}", f"x {DEFAULT}"):
        table.add_column(f"  {heading}", justify="right", no_wrap=True)
    for cell, group in groupby(lines, key=lambda line: line.cell):
        table.add_row(f"[bold]{cell.kind} x {cell.concurrency}[/]")
        for line in group:
            figures = (line.cpu_ms, line.by_off, line.by_default)
            table.add_row(f"  {line.row}", *(_number(figure, 6) for figure in figures))
        table.add_section()
    return table


def _cells(line: Line) -> list[str]:
    times, cost, ratios = line.sample.times, line.sample.cost, line.ratios
    return [
        f"  {line.row}",
        _number(times.first_byte_p50, 6),
        _number(times.first_byte_p99, 6),
        _number(ratios.first_byte_p50, 4),
        _number(times.total_p50, 6),
        _number(times.total_p99, 6),
        _number(ratios.total_p50, 4),
        _number(times.requests_per_second, 5, digits=0),
        _number(cost.cpu_ms if cost else None, 6),
        _number(ratios.cpu_ms, 4),
        _number(cost.peak_rss_mb if cost else None, 5, digits=1),
    ]


def _number(value: float | None, width: int, digits: int = 2) -> str:
    return ("–" if value is None else f"{value:.{digits}f}").rjust(width)


def _slow_text(run: SlowRun) -> str:
    helpers = f", helper processes {run.helpers_rss_mb:.1f} MB" if run.helpers_rss_mb else ""
    faults = "".join(f"\n  {count} x {fault}" for fault, count in run.faults.items())
    return (
        f"{run.row}: {run.complete} of {run.streams} slow concurrent streams whole in "
        f"{run.seconds:.1f} s, first byte p50 {run.first_byte_p50_ms:.0f} ms, "
        f"CPU {run.cpu_ms:.1f} ms a stream{faults}\n"
        f"  RSS {run.rss_before_mb:.1f} MB before, {run.rss_peak_mb:.1f} at most, "
        f"{run.rss_after_mb:.1f} after, {run.rss_later_mb:.1f} after {run.later_requests} "
        f"requests more{helpers}"
    )


def _verdict_text(verdict: Verdict) -> str:
    marks = {True: "[green]met    [/]", False: "[red]NOT MET[/]", None: "[yellow]unknown[/]"}
    return f"{marks[verdict.met]}  {verdict.target}  ->  {verdict.found}"
