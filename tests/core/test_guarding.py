from __future__ import annotations

import pytest

from neurolink_mitm.core.guarding import MISSES, Verdict, judge


@pytest.mark.parametrize(
    ("recorded", "alive", "answers", "misses", "expected"),
    [
        (True, True, True, 0, Verdict.WATCH),
        (True, True, False, MISSES - 1, Verdict.WATCH),
        (True, True, False, MISSES, Verdict.SILENT),
        (True, False, False, 1, Verdict.DEAD),
        (True, False, True, 0, Verdict.TAKEN_OVER),
        (False, False, False, MISSES, Verdict.UNDONE),
        (False, True, True, 0, Verdict.UNDONE),
    ],
    ids=["well", "missed", "silent", "dead", "replaced", "undone-and-dead", "undone"],
)
def test_what_it_does(
    recorded: bool, alive: bool, answers: bool, misses: int, expected: Verdict
) -> None:
    assert judge(recorded=recorded, alive=alive, answers=answers, misses=misses) is expected
