"""The table of the contract: the page shows it, and the tests that it names are there."""

from __future__ import annotations

import ast
from pathlib import Path

from neurolink_mitm.doctor import contract
from neurolink_mitm.doctor.contract import ROWS, SOURCES, Row
from neurolink_mitm.doctor.contract_gateway import Gateway

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gateway.md"


def line(row: Row) -> str:
    """Return the row as the page has it."""
    page, _, section = row.source.partition("#")
    source = f"[{page}]({SOURCES[page]}#{section})" if section else page
    test = f"`{row.test}`" if row.test else "–"
    return f"| `{row.id}` | {row.requirement} | {row.here} | {source} | {test} |"


def test_the_page_has_every_row_in_this_order() -> None:
    text = PAGE.read_text("utf-8")
    shown = [each for each in text.splitlines() if each.startswith("| `")]
    assert shown == [line(row) for row in ROWS]


def test_ids_are_names() -> None:
    ids = [row.id for row in ROWS]
    assert len(set(ids)) == len(ids)
    assert all(part.isalpha() and part.islower() for each in ids for part in each.split("-"))


def test_every_row_has_a_test_or_does_not_apply() -> None:
    assert [
        row.id for row in ROWS if not row.test and not row.why.startswith("does not apply")
    ] == []
    assert [row.id for row in ROWS if bool(row.probe) == bool(row.why)] == []


def test_the_tests_are_there() -> None:
    missing = []
    for row in ROWS:
        path, _, name = row.test.partition("::")
        if row.test and name not in functions(ROOT / path):
            missing.append(row.test)
    assert missing == []


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {each.name for each in ast.walk(tree) if isinstance(each, kinds)}


def test_nothing_that_a_gateway_sends_makes_a_probe_raise() -> None:
    class Odd(Gateway):
        def ask(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise ValueError("odd")

    states = {each.outcome.state for each in contract.run(Odd("http://127.0.0.1:9"))}
    assert states == {"failed", "not run"}
