"""Tables that fit a terminal: titles are stacked, cells shortened, columns left out; nothing is cut.

Turns reports into text: rich on a terminal, plain where it is piped or NO_COLOR is set.

Steps of a longer command, each with its tick: coloured on a terminal, plain where it is piped.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import click
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from neurolink_mitm.cli.ui.exits import FAILED
from neurolink_mitm.records.replay import Outcome

GAP = 2
"""Between two columns."""
NONE = "–"
"""A cell without a value."""


@dataclass(frozen=True, slots=True)
class Column:
    """`shorten` and `leave` are when this gives way, smallest first; None: never.

    A column with `least` may be folded, at words, down to that width. `short` is what it is shortened to.
    """

    title: str
    cells: Sequence[Text]
    least: int | None = None
    short: Sequence[Text] = ()
    shorten: int | None = None
    leave: int | None = None
    right: bool = False

    @property
    def width(self) -> int:
        """Unfolded."""
        return max(cell.cell_len for cell in (*map(Text, self.title.split("\n")), *self.cells))

    @property
    def needs(self) -> int:
        return self.width if self.least is None else min(self.width, self.least)


def filled(columns: Sequence[Column]) -> list[Column]:
    """Those that hold anything."""
    return [each for each in columns if any(cell.plain != NONE for cell in each.cells)]


def fitting(columns: Sequence[Column], room: int) -> list[Column]:
    """The columns as they fit into `room`, or as narrow as they can be."""
    found = list(columns)
    for found in _narrower(found):  # noqa: B020 # each step begins where the one before has ended
        if sum(each.needs for each in found) + GAP * (len(found) - 1) <= room:
            break
    return found


def _narrower(columns: list[Column]) -> Iterator[list[Column]]:
    yield columns
    columns = [replace(each, title=each.title.replace(" ", "\n")) for each in columns]
    yield columns
    steps = sorted({n for each in columns for n in (each.shorten, each.leave) if n is not None})
    for step in steps:
        columns = [
            replace(each, cells=each.short, short=()) if each.shorten == step else each
            for each in columns
            if each.leave != step
        ]
        yield columns


def widths(columns: Sequence[Column], room: int) -> list[int]:
    """Those of all columns; what may be folded is, the widest first, until they fit into `room`."""
    found = [each.width for each in columns]
    least = [each.needs for each in columns]
    while sum(found) + GAP * (len(found) - 1) > room:
        at = max(range(len(found)), key=lambda n: (found[n] > least[n], found[n]), default=0)
        if not found or found[at] <= least[at]:
            break
        found[at] -= 1
    return found


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table, drawn as wide as there is room."""

    columns: Sequence[Column]
    titles: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = fitting(self.columns, options.max_width)
        table = Table(box=None, pad_edge=False, show_header=self.titles)
        for each, width in zip(columns, widths(columns, options.max_width), strict=True):
            side = "right" if each.right else "left"
            table.add_column(each.title, width=width, overflow="fold", justify=side)  # type: ignore[arg-type]
        for cells in zip(*(each.cells for each in columns), strict=True):
            table.add_row(*cells)
        yield table


Report = Mapping[str, Any]

UNFOLDED = 1000
"""Columns of what is piped."""


def as_json(report: Report) -> str:
    return json.dumps(report, indent=2) + "\n"


def replay_report(before: Outcome, after: Outcome, strategy: str) -> dict[str, Any]:
    """What happened beside what would have."""
    return {"recorded": _outcome(before), strategy: _outcome(after)}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "requests": outcome.requests,
        "rateLimits": outcome.rate_limits,
        "refused": outcome.refused,
        "served": dict(outcome.served.most_common()),
    }


def replay_text(report: Report) -> str:
    return printed(replay_table(report))


def replay_table(report: Report) -> FittedTable:
    """Side by side."""
    outcomes = report.values()
    served = (
        ", ".join(f"{label} {count}" for label, count in each["served"].items()) or "nobody"
        for each in outcomes
    )
    fields = (("requests", "requests"), ("429s met", "rateLimits"), ("refused", "refused"))
    return FittedTable(
        (
            Column("strategy", [Text(name) for name in report]),
            *(Column(title, [Text(str(o[name])) for o in outcomes]) for title, name in fields),
            Column("served by", [Text(each) for each in served], least=24),
        )
    )


def printed(shown: RenderableType) -> str:
    """As wide as the terminal; for a pipe wide enough that no line is folded, and without colour."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        color_system="auto" if terminal and "NO_COLOR" not in os.environ else None,
        width=None if terminal else UNFOLDED,
        markup=False,  # labels and reasons mean themselves, whatever is in them
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(shown)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def duration(seconds: float) -> str:
    """In words: `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    minutes, hours, days = (int(seconds // n) for n in (60, 3600, 86400))
    if minutes < 1:
        return f"{int(seconds)} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


_PLAIN = {"✓": "[ok]", "–": "[--]", "✗": "[failed]"}


def done(text: str) -> None:
    click.echo(f"{_mark('✓', 'green')} {text}")


def skipped(text: str) -> None:
    """There is something to know, but nothing went wrong."""
    click.echo(f"{_mark('–', 'yellow')} {text}")


def failed(text: str) -> NoReturn:
    click.echo(f"{_mark('✗', 'red')} {text}", err=True)
    raise SystemExit(FAILED)


def _mark(sign: str, colour: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return _PLAIN[sign]
    return click.style(sign, fg=colour)
