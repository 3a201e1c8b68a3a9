from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.comparison import Table
from bench.distance import Distance
from bench.report import WIDTH, Report, show, write_json
from bench.samples import Cell, Cost, Sample, Times
from bench.slow import SlowRun
from bench.summary import Line, OptionLine, Ratios

CELL = Cell("streamed", 20)
LINES = [OptionLine("neurolink-off", CELL, 2, 1, 0.8), OptionLine("neurolink", CELL, 2.5, 1.25, 1)]
SAMPLE = Sample(Times(1.5, 2, 3, 4, 500), Cost(2.25, 100))
LINE = Line("neurolink", CELL, 1, SAMPLE, Ratios(0.7, 0.6, 0.5))
TABLE = Table("tls", "Over TLS", "mitmdump", 3, 200, [LINE], [], [])
PLAIN = Report(1.0, [TABLE])


def shown(report: Report) -> list[list[str]]:
    """The words of each line."""
    console = Console(file=io.StringIO(), width=WIDTH)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_a_table_has_its_title_and_figures() -> None:
    lines = shown(PLAIN)
    assert ["Over", "TLS:", "3", "rounds", "of", "200", "requests,", "medians"] in lines
    assert [
        "neurolink",
        "1.50",
        "2.00",
        "0.70",
        "3.00",
        "4.00",
        "0.60",
        "500",
        "2.25",
        "0.50",
        "100.0",
    ] in lines


def test_options_have_a_table() -> None:
    lines = shown(replace(PLAIN, tables=[replace(TABLE, options=LINES)]))
    assert ["neurolink", "2.50", "1.25", "1.00"] in lines


def test_an_ordinary_run_has_none() -> None:
    assert not any("options" in line for line in shown(PLAIN))


def test_a_distant_upstream_is_told_in_round_trips_too() -> None:
    distances = [
        Distance("direct", "new client", 30, 151.0, 160.0),
        Distance("neurolink", "new client", 30, 60.0, 70.0),
        Distance("neurolink", "failover", 6, 52.5, 60.0),
    ]
    lines = shown(replace(PLAIN, distances=distances))
    assert ["direct", "151.0", "3.02", "–", "–", "–", "–", "–", "–"] in lines
    assert ["neurolink", "60.0", "1.20", "–", "–", "–", "–", "52.5", "1.05"] in lines


def test_slow_streams_and_why_some_were_lost() -> None:
    run = SlowRun(
        "neurolink", True, 1000, 998, {"cut": 2}, 15.0, 9.0, 505.0, 5.0, 80, 220, 130, 131, 400, 27
    )
    lines = shown(replace(PLAIN, slow=[run]))
    assert [
        "neurolink",
        "over",
        "TLS",
        "2",
        "9",
        "505",
        "5.0",
        "80",
        "220",
        "130",
        "131",
        "27",
    ] in lines
    assert ["neurolink:", "2", "x", "cut"] in lines


def test_a_part_that_failed() -> None:
    assert ["slow:", "not", "finished"] in shown(replace(PLAIN, faults=["slow: not finished"]))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.row)
def test_the_file_has_the_ratios(tmp_path: Path, line: OptionLine) -> None:
    write_json(replace(PLAIN, tables=[replace(TABLE, options=LINES)]), tmp_path / "a" / "b.json")
    (table,) = json.loads((tmp_path / "a" / "b.json").read_text())["tables"]
    assert (line.row, line.by_off) in [(each["row"], each["by_off"]) for each in table["options"]]
