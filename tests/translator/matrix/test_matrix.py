"""Every row with every target, streamed and whole in turns. `run.py` asks all of them both ways.

The rows are asked of the real translator, with LiteLLM, in front of look-alikes that refuse what the
providers are reported to refuse. A row that fails is shown with what came.
"""

from __future__ import annotations

import pytest

from tests.translator.matrix.answers import ANSWERS
from tests.translator.matrix.open_rows import OPEN
from tests.translator.matrix.rounds import ROUNDS
from tests.translator.matrix.row import Row
from tests.translator.matrix.run import ROWS, Score, asking, score, scores
from tests.translator.matrix.targets import TARGETS
from tests.translator.running import Running

pytestmark = [pytest.mark.real("litellm"), pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", TARGETS)
def test_every_row_is_right(name: str, translator: Running) -> None:
    with asking(name, translator) as asked:
        came = scores(asked, "")
    faults = {row: fault for each in came.values() for row, fault in each.faults.items()}
    known = OPEN.get(name, {})
    new = {row: fault for row, fault in faults.items() if row not in known}
    assert not new, "\n".join(f"{row}: {fault}" for row, fault in new.items())
    mended = set(known) - set(faults)
    assert not mended, f"these are right now, so they are open no more: {mended}"


def test_names_of_rows_are_told_apart() -> None:
    names = [row.name for rows in (ROWS, ANSWERS, ROUNDS) for row in rows]
    assert len(set(names)) == len(names)


def test_open_rows_are_rows() -> None:
    names = {row.name for rows in (ROWS, ANSWERS, ROUNDS) for row in rows}
    assert set(OPEN) <= set(TARGETS)
    assert {row for rows in OPEN.values() for row in rows} <= names


@pytest.mark.parametrize(
    ("modes", "asked"), [((True, False), "tftftf"), ((True,), "ttt"), ((), "tft")]
)
def test_each_row_is_asked(modes: tuple[bool, ...], asked: str) -> None:
    told: list[str] = []

    def ask(row: Row, *, stream: bool) -> str | None:
        told.append("t" if stream else "f")
        return "no" if row.name == "b" else None

    came = score([Row(name, {}) for name in "abc"], ask, modes)
    assert ("".join(told), str(came), list(came.faults)) == (asked, "2/3", ["b"])


def test_a_score_tells_how_many_rows_are_right() -> None:
    assert str(Score(3, {"a": "wrong"})) == "2/3"
