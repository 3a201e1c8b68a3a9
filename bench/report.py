"""The tables, the lines below them, and the JSON file."""

import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import rich.table
from rich import box
from rich.console import Console

from bench.comparison import Table
from bench.distance import ROUND_TRIP_MS, SITUATIONS, Distance
from bench.parts import Results
from bench.slow import SlowRun
from bench.summary import Line, OptionLine
from bench.targets import Verdict, verdicts
from bench.variants import DEFAULT, OFF

WIDTH = 110
_HEADINGS = (
    *("first\np50", "byte\np99", "\nx"),
    *("total\np50", "\np99", "\nx"),
    *("\nreq/s", "CPU\nms/req", "\nx", "peak\nRSS"),
)


_SLOW_HEADINGS = (
    *("\n  lost", "first\n  byte p50", "\n  gap p99", "CPU a\n  stream"),
    *("\n  before", "RSS\n  peak", "\n  after", "\n  later", "\n  helpers"),
)


@dataclass(frozen=True)
class Report:
    """The results of the parts that were run; `faults` are those of parts that could not be finished."""

    seconds: float
    tables: Sequence[Table] = ()
    distances: Sequence[Distance] = ()
    slow: Sequence[SlowRun] = ()
    targets: Sequence[Verdict] = ()
    faults: Sequence[str] = ()


def make_report(results: Results, seconds: float) -> Report:
    return Report(
        seconds,
        results.tables,
        results.distances,
        results.slow,
        verdicts(results.tables, results.distances, results.slow),
        results.faults,
    )


def make_console() -> Console:
    """Return a console wide enough for the table; plain text in a pipe."""
    console = Console()
    console.width = max(console.width, WIDTH)
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
    for table in report.tables:
        console.print(_figures(table))
        console.print()
        if table.options:
            console.print(_options_table(table.options))
            console.print()
    if report.distances:
        console.print(_distance_table(report.distances))
        console.print()
    if report.slow:
        console.print(_slow_table(report.slow))
        console.print()
    for line in (*_lost(report.slow), *report.faults):
        console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    for verdict in report.targets:
        console.print(_verdict_text(verdict), highlight=False, soft_wrap=True)


def _new_table(title: str, *headings: str, caption: str | None = None) -> rich.table.Table:
    """Return a table whose first column is text; all others are figures."""
    table = rich.table.Table(
        title=title, caption=caption, box=box.HORIZONTALS, padding=0, show_edge=False
    )
    first, *figures = headings
    table.add_column(first, no_wrap=True)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _figures(found: Table) -> rich.table.Table:
    title = f"{found.title}: {found.rounds} rounds of {found.requests} requests, medians"
    caption = f"times in ms, memory in MB; x: times that of {found.baseline}, within each round"
    table = _new_table(title, "\nanswer", *_HEADINGS, caption=caption)
    for cell, group in groupby(found.lines, key=lambda line: line.cell):
        table.add_row(f"[bold]{cell}[/]")
        for line in group:
            table.add_row(*_cells(line))
        table.add_section()
    return table


def _options_table(lines: Sequence[OptionLine]) -> rich.table.Table:
    headings = (f"  {heading}" for heading in ("ms/req", f"x {OFF}", f"x {DEFAULT}"))
    table = _new_table("What options cost: CPU per request", "answer", *headings)
    for cell, group in groupby(lines, key=lambda line: line.cell):
        table.add_row(f"[bold]{cell}[/]")
        for line in group:
            figures = (line.cpu_ms, line.by_off, line.by_default)
            table.add_row(f"  {line.row}", *(_number(figure, 6) for figure in figures))
        table.add_section()
    return table


def _distance_table(distances: Sequence[Distance]) -> rich.table.Table:
    title = f"An upstream {ROUND_TRIP_MS} ms away, over TLS: first byte, p50"
    caption = "ms, and round trips; failover: what it takes more than a request without"
    headings = (text for each in SITUATIONS for text in (f"  {each}", "trips"))
    table = _new_table(title, "", *headings, caption=caption)
    found = {(each.row, each.situation): each for each in distances}
    for row in dict.fromkeys(each.row for each in distances):
        cells = [found.get((row, situation)) for situation in SITUATIONS]
        table.add_row(row, *(text for each in cells for text in _distance_cells(each)))
    return table


def _distance_cells(distance: Distance | None) -> tuple[str, str]:
    if distance is None:
        return "–", "–".rjust(6)
    return _number(distance.p50_ms, 0, digits=1), _number(distance.round_trips, 6)


def _slow_table(runs: Sequence[SlowRun]) -> rich.table.Table:
    title = f"{runs[0].streams} slow streams"
    caption = "ms, MB of memory; helpers: other processes of the proxy"
    table = _new_table(title, "", *_SLOW_HEADINGS, caption=caption)
    for run in runs:
        table.add_row(
            f"{run.row}{' over TLS' if run.tls else ''}",
            f"  {run.streams - run.complete}",
            *(_number(figure, 6, digits=0) for figure in (run.first_byte_p50_ms, run.gap_p99_ms)),
            _number(run.cpu_ms, 7, digits=1),
            *(_number(figure, 6, digits=0) for figure in _memory(run)),
        )
    return table


def _memory(run: SlowRun) -> tuple[float, ...]:
    return (
        *(run.rss_before_mb, run.rss_peak_mb, run.rss_after_mb, run.rss_later_mb),
        run.helpers_rss_mb,
    )


def _lost(runs: Sequence[SlowRun]) -> Iterator[str]:
    """Yield why slow streams were lost."""
    for run in runs:
        for fault, count in run.faults.items():
            yield f"{run.row}: {count} x {fault}"


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


def _verdict_text(verdict: Verdict) -> str:
    marks = {True: "[green]met    [/]", False: "[red]NOT MET[/]", None: "[yellow]unknown[/]"}
    return f"{marks[verdict.met]}  {verdict.target}  ->  {verdict.found}"
