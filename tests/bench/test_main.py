from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.parts import PARTS
from bench.plan import QUICK
from bench.rows import KNOWN, ROWS
from bench.variants import OPTIONS


def test_an_ordinary_run_has_three_rows() -> None:
    assert ROWS == ("direct", "mitmdump", "neurolink")
    assert QUICK.time < 0.5


def test_options_are_rows_as_well() -> None:
    assert (*ROWS, *(each.name for each in OPTIONS)) == KNOWN


@pytest.mark.parametrize(
    ("option", "name", "others"),
    [
        ("--rows", "neurolink-of", "direct, mitmdump, neurolink, neurolink-off"),
        ("--only", "tsl", "plain, tls, accounts, console, chat, latency, slow"),
    ],
)
def test_an_unknown_name_is_told_those_there_are(option: str, name: str, others: str) -> None:
    result = CliRunner().invoke(main, [option, f"tls,{name}" if option == "--only" else name])
    assert result.exit_code == 2
    assert f"{name}: not among {others}" in result.output


def test_help_names_the_parts() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    lines = [
        line.split()[0] for line in text.splitlines() if line.startswith("  ") and line.split()
    ]
    assert set(PARTS) <= set(lines)


def test_an_earlier_one_is_a_checkout(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--against", str(tmp_path)])
    assert result.exit_code == 2
    assert "no checkout of NeuroLink" in result.output
