"""`neurolink stats`."""

from __future__ import annotations

import csv
import io
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from neurolink_mitm.cli.logs import filter_options, moment
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.terminal import as_json, say
from neurolink_mitm.core.logs.summary import duration
from neurolink_mitm.core.logs.timestamps import local_zone
from neurolink_mitm.records.format import one_line
from neurolink_mitm.records.row_reader import RequestFilter
from neurolink_mitm.records.stats import (
    BY,
    GroupSums,
    Stats,
    columns,
    fields_of,
    flat,
    report,
    sparkline,
)
from neurolink_mitm.records.summing import sum_up
from neurolink_mitm.records.sums import AttemptTimes

WORTH_A_BAR = 20_000_000
"""Bytes from which on reading takes long enough for a progress bar."""


@click.command(name="stats")
@click.option(
    "--by", type=click.Choice(list(BY)), default="day",
    show_default=True, help="What to sum up by.",
)  # fmt: skip
@click.option("--since", help="From then on: 2h, 7d, yesterday, 2026-11-22 (local).")
@click.option("--until", help="Up to then.")
@filter_options
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table",
    show_default=True, help="How to print it.",
)  # fmt: skip
def command(
    by: str, since: str | None, until: str | None, form: str, **filters: str | None
) -> None:
    """Sum up requests, errors, failovers, tokens, costs, and the times of answers and connections.

    Example: neurolink stats --by account --since yesterday --until today
    """
    begin, end = (moment(text) if text else None for text in (since, until))
    stats = Stats(by)
    reading = sum_up(home().logs, stats, begin, end, _progress, RequestFilter(**filters))
    for note in reading.notes():
        say(f"neurolink: {note}")
    click.echo(_printed(stats, form), nl=False)
    if not stats.groups and form == "table":
        say("no request in this time; neurolink logs tail shows the latest")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal, if `total` bytes take long."""
    if total < WORTH_A_BAR or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=total)
        yield lambda read: progress.advance(task, read)


def _printed(stats: Stats, form: str) -> str:
    if form == "json":
        rows = list(flat(stats.by, stats))
        return as_json({"by": stats.by, "rows": rows, "total": report(stats.total())})
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, [stats.by, *fields_of(stats.by)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat(stats.by, stats))
        return text.getvalue()
    tables = (_table(stats), _times_table(stats))
    return "\n".join(table for table in tables if table)


_ID = re.compile(r"\b([0-9a-z]{8})[0-9a-f-]{8,}")
"""An id of a session or an agent: its beginning is enough to tell it, and to filter by it."""


def _table(stats: Stats) -> str:
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable, printed

    columns = [
        Column(
            f"day ({local_zone(time.time())})" if title == "day" else title,
            [Text(cell) for cell in cells],
            min_width=NARROWEST if title == stats.by else None,
            short=[Text(_ID.sub(r"\1…", cell)) for cell in cells] if title == stats.by else (),
            shorten_step=-1 if title == stats.by else None,  # before any column is left out
            drop_step=LEFT_OUT.index(title) if title in LEFT_OUT else None,
            right=title not in (stats.by, *GRAPHS),
        )
        for title, cells in _columns(stats).items()
    ]
    return printed(FittedTable(columns))


def _times_table(stats: Stats) -> str:
    """Return the table of how soon attempts were connected and answered; empty where that is not known."""
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable, printed

    if stats.times.empty:
        return ""
    rows = [(name, group.times) for name, group in stats.ordered() if not group.times.empty]
    if [times for _, times in rows] != [stats.times]:
        rows.append(("total", stats.times))
    names = [Text(one_line(name)) for name, _ in rows]
    columns = [Column("attempts", names, min_width=NARROWEST)]
    for at, (title, step) in enumerate(TIMES):
        cells = [Text(_times_cells(times)[at]) for _, times in rows]
        columns.append(Column(title, cells, drop_step=step, right=True))
    return printed(FittedTable(columns))


TIMES = (
    ("reused", None), ("connect p50", None), ("p95", 1), ("TLS p50", None), ("p95", 0),
    ("wait p50", None), ("p95", None),
)  # fmt: skip
"""Titles, and the step at which a column is left out on a narrow terminal."""


def _times_cells(times: AttemptTimes) -> list[str]:
    share = times.reused_share
    return [
        "–" if share is None else f"{share:.0%}",
        *("–" if ms is None else duration(ms) for ms in times.quantiles()),
    ]


def _columns(stats: Stats) -> dict[str, list[str]]:
    """Return the cells by title; sparklines on a terminal only."""
    rows = stats.ordered()
    if len(rows) > 1:
        rows.append(("total", stats.total()))
    cells = {stats.by: [_name(stats, name) for name, _ in rows]}
    cells |= {title: [_cells(one)[at] for _, one in rows] for at, title in enumerate(TITLES)}
    if stats.parents:
        trees = stats.trees() | {"total": rows[-1][1]}
        cells[TREE] = [_cost(trees[name]) for name, _ in rows]
    if sys.stdout.isatty():
        across = columns(stats.by, stats.groups)
        title = GRAPHS[0] if stats.by == "day" else GRAPHS[1]
        cells[title] = [sparkline(one.over_time, across) for _, one in rows]
    return cells


def _name(stats: Stats, name: str) -> str:
    """Return the name of a group; of an agent, behind a mark for each one above it."""
    return "· " * (len(stats.line(name)) - 1) + one_line(name)


TREE = "with its agents"
"""The column of what an agent and those that it started have cost."""
TITLES = (
    "requests", "errors", "failovers", "in", "out", "into cache", "from cache", "hit rate", "moved", "cost",
    "first byte p50", "p95",
)  # fmt: skip
GRAPHS = ("by hour", "by day")
LEFT_OUT = (*GRAPHS, "moved", "into cache", "failovers", "from cache", "p95")
"""Columns in the order they are left out on a narrow terminal."""
NARROWEST = 10
"""Characters of the column of names, which may be folded."""


def _cells(one: GroupSums) -> list[str]:
    quantiles = (one.first_byte.at(share) for share in (0.5, 0.95))
    return [
        *(str(count) for count in (one.requests, one.errors, one.failovers)),
        *(_short(count) for count in (one.input, one.output, one.cache_creation, one.cache_read)),
        "–" if one.hit_rate is None else f"{one.hit_rate:.0%}",
        _short(one.moved),
        _cost(one),
        *("–" if ms is None else duration(ms) for ms in quantiles),
    ]


def _cost(one: GroupSums) -> str:
    """Return the cost, with `+` where requests of unknown cost are left out."""
    if not one.priced:
        return "–"
    digits = 2 if one.cost >= 0.1 else 4
    return f"${one.cost:.{digits}f}{'+' if one.priced < one.requests else ''}"


def _short(count: int) -> str:
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if count >= size:
            return f"{count / (1000 if unit == 'k' else size):.1f}{unit}"
    return str(count)
