"""Tables that fit a terminal: titles are stacked, cells shortened, columns left out; nothing is cut off."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
"""Characters between two columns."""
NONE = "–"
"""A cell without a value."""
NO_BREAK = "\u00a0"
"""A space of a title at which it is not stacked."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and how it gives way on a narrow terminal.

    At `shorten_step` its cells become `short`, at `drop_step` it is left out: lower steps first, None for never. With
    `min_width` it may be folded at words, down to that many characters.
    """

    title: str
    cells: Sequence[Text]
    min_width: int | None = None
    short: Sequence[Text] = ()
    shorten_step: int | None = None
    drop_step: int | None = None
    right: bool = False

    @property
    def width(self) -> int:
        """Return the characters of the longest line, unfolded."""
        return max(cell.cell_len for cell in (*map(Text, self.title.split("\n")), *self.cells))

    @property
    def narrowest(self) -> int:
        return self.width if self.min_width is None else min(self.width, self.min_width)


def filled(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that have a value in any cell."""
    return [each for each in columns if any(cell.plain != NONE for cell in each.cells)]


def fitting(columns: Sequence[Column], room: int) -> list[Column]:
    """Return the columns as they fit into `room` characters, or as narrow as they can be."""
    fitted = list(columns)
    for fitted in _narrower(fitted):  # noqa: B020 # each step begins where the one before has ended
        if sum(each.narrowest for each in fitted) + GAP * (len(fitted) - 1) <= room:
            break
    return fitted


def _narrower(columns: list[Column]) -> Iterator[list[Column]]:
    yield columns
    columns = [replace(each, title=each.title.replace(" ", "\n")) for each in columns]
    yield columns
    steps = {n for each in columns for n in (each.shorten_step, each.drop_step) if n is not None}
    for step in sorted(steps):
        columns = [
            replace(each, cells=each.short, short=()) if each.shorten_step == step else each
            for each in columns
            if each.drop_step != step
        ]
        yield columns


def widths(columns: Sequence[Column], room: int) -> list[int]:
    """Return the width of each column; the widest that may be folded are, until all fit into `room`."""
    result = [each.width for each in columns]
    least = [each.narrowest for each in columns]
    while sum(result) + GAP * (len(result) - 1) > room:
        at = max(range(len(result)), key=lambda n: (result[n] > least[n], result[n]), default=0)
        if not result or result[at] <= least[at]:
            break
        result[at] -= 1
    return result


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table that is drawn as wide as the console."""

    columns: Sequence[Column]
    titles: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = fitting(self.columns, options.max_width)
        table = Table(box=None, pad_edge=False, show_header=self.titles)
        for each, width in zip(columns, widths(columns, options.max_width), strict=True):
            side = "right" if each.right else "left"
            title = each.title.replace(NO_BREAK, " ")
            table.add_column(title, width=width, overflow="fold", justify=side)  # type: ignore[arg-type]
        for cells in zip(*(each.cells for each in columns), strict=True):
            table.add_row(*cells)
        yield table


UNFOLDED = 1000
"""Characters of a line that is piped."""


def printed(content: RenderableType) -> str:
    """Return the text as wide as the terminal; for a pipe without colour, and no line is folded."""
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
        console.print(content)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def duration(seconds: float) -> str:
    """Return `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    minutes, hours, days = (int(seconds // n) for n in (60, 3600, 86400))
    if minutes < 1:
        return f"{int(seconds)} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"
