from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import Report, show, write_json
from bench.samples import Cell
from bench.summary import OptionLine

CELL = Cell("streamed", 20)
PLAIN = Report(1, 1, 1.0, [], [], [], [], [])
LINES = [OptionLine("neurolink-off", CELL, 2, 1, 0.8), OptionLine("neurolink", CELL, 2.5, 1.25, 1)]


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=96)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_options_have_a_table() -> None:
    text = shown(replace(PLAIN, options=LINES))
    assert "x neurolink-off" in text
    rows = [line.split() for line in text.splitlines() if "neurolink" in line]
    assert ["neurolink", "2.50", "1.25", "1.00"] in rows


def test_an_ordinary_run_has_none() -> None:
    assert "What options cost" not in shown(PLAIN)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.row)
def test_the_file_has_the_ratios(tmp_path: Path, line: OptionLine) -> None:
    write_json(replace(PLAIN, options=LINES), tmp_path / "a" / "b.json")
    options = json.loads((tmp_path / "a" / "b.json").read_text())["options"]
    assert (line.row, line.by_off) in [(each["row"], each["by_off"]) for each in options]
