from __future__ import annotations

import pytest

from bench.samples import CELLS, Cell, Cost, Measured, Sample, Times
from bench.summary import OptionLine, lines, option_lines

CELL = Cell("streamed", 20)
TIMES = Times(1, 1, 1, 1, 1)


def measured(row: str, *cpu: float) -> list[Measured]:
    """A round for each figure, in each cell."""
    return [
        Measured(turn, row, cell, Sample(TIMES, Cost(each, 100)))
        for turn, each in enumerate(cpu)
        for cell in CELLS
    ]


def option(measured: list[Measured], *rows: str) -> OptionLine:
    """The last row's."""
    return next(
        line
        for line in option_lines(measured, rows, CELLS)
        if (line.row, line.cell) == (rows[-1], CELL)
    )


def test_an_option_is_compared_within_each_round() -> None:
    """The second round was twice as slow for everybody."""
    off, default = measured("neurolink-off", 2, 4, 2), measured("neurolink", 3, 6, 3)
    line = option([*off, *default], "neurolink-off", "neurolink")
    assert line == OptionLine("neurolink", CELL, 3, by_off=1.5, by_default=1)


@pytest.mark.parametrize(
    ("base", "by_off", "by_default"),
    [("neurolink-off", 2, None), ("neurolink", None, 2), ("mitmdump", None, None)],
)
def test_what_was_not_run_is_not_compared_with(
    base: str, by_off: float | None, by_default: float | None
) -> None:
    rows = [*measured(base, 1), *measured("neurolink-obfuscator", 2)]
    line = option(rows, base, "neurolink-obfuscator")
    assert (line.by_off, line.by_default) == (by_off, by_default)


def test_one_alone_has_no_line() -> None:
    assert option_lines(measured("neurolink", 1), ["neurolink"], CELLS) == []


def test_a_row_is_compared_with_the_one_that_is_named() -> None:
    rows = [*measured("2 accounts", 2), *measured("500 accounts", 3)]
    line = lines(rows, ["500 accounts"], [CELL], "2 accounts")[0]
    assert (line.sample.cost, line.ratios.cpu_ms) == (Cost(3, 100), 1.5)
