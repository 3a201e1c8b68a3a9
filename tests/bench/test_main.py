from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from bench.__main__ import KNOWN, ROWS, main
from bench.plan import QUICK
from bench.variants import OPTIONS


def test_an_ordinary_run_has_three_rows() -> None:
    assert ROWS == ("direct", "mitmdump", "neurolink")
    assert QUICK.seconds <= 12


def test_options_are_rows_as_well() -> None:
    assert (*ROWS, *(each.name for each in OPTIONS)) == KNOWN


def test_an_unknown_row_is_told_those_there_are() -> None:
    result = CliRunner().invoke(main, ["--rows", "direct,neurolink-of"])
    assert result.exit_code == 2
    assert "neurolink-of: not among direct, mitmdump, neurolink, neurolink-off" in result.output


def test_an_earlier_one_is_a_checkout(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--against", str(tmp_path)])
    assert result.exit_code == 2
    assert "no checkout of NeuroLink" in result.output
