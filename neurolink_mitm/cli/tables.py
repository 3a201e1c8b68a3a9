"""Tables that fit a terminal: titles are stacked, cells shortened, columns left out; nothing is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

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
class Fitting:
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
