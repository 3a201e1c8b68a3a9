from __future__ import annotations

import pytest

from bench.samples import Cell
from bench.summary import OptionLine
from bench.targets import Verdict, verdicts
from bench.variants import EARLIER

WATCHING = "CPU with journal, usage and capture of errors"


def line(by_off: float | None, row: str = "neurolink", concurrency: int = 20) -> OptionLine:
    return OptionLine(row, Cell("streamed", concurrency), 3.0, by_off, 1.0)


def watching(*options: OptionLine) -> list[Verdict]:
    return [each for each in verdicts([], [], options) if each.target.startswith(WATCHING)]


@pytest.mark.parametrize(("ratio", "met"), [(1.15, True), (1.16, False)])
def test_what_watching_may_cost(ratio: float, met: bool) -> None:
    target = f"{WATCHING}, concurrency 20: at most 1.15 x neurolink-off"
    assert watching(line(ratio)) == [Verdict(target, f"{ratio:.2f} x", met)]


def test_at_both_concurrencies() -> None:
    assert len(watching(line(1.1, concurrency=1), line(1.1))) == 2


@pytest.mark.parametrize(
    "options", [[], [line(None)], [line(9.0, "neurolink-capture-all")]], ids=["none", "off", "row"]
)
def test_an_ordinary_run_has_no_such_target(options: list[OptionLine]) -> None:
    assert watching(*options) == []


@pytest.mark.parametrize(
    ("earlier", "found", "met"), [(1.25, "0.80 x", True), (0.8, "1.25 x", False)]
)
def test_against_an_earlier_one(earlier: float, found: str, met: bool) -> None:
    """Its line says how much more it took than today's."""
    line = OptionLine(EARLIER, Cell("streamed", 20), 3.0, None, earlier)
    target = f"{WATCHING}, concurrency 20: at most 1.15 x {EARLIER}"
    assert watching(line) == [Verdict(target, found, met)]
