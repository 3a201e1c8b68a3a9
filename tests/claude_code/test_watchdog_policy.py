from __future__ import annotations

import pytest

from neurolink_mitm.claude_code.watchdog_policy import (
    JUMP,
    MISSES,
    WatchdogAction,
    choose_action,
    count_misses,
)


@pytest.mark.parametrize(
    ("recorded", "alive", "answers", "misses", "expected"),
    [
        (True, True, True, 0, WatchdogAction.WATCH),
        (True, True, False, MISSES - 1, WatchdogAction.WATCH),
        (True, True, False, MISSES, WatchdogAction.SILENT),
        (True, False, False, 1, WatchdogAction.DEAD),
        (True, False, True, 0, WatchdogAction.TAKEN_OVER),
        (False, False, False, MISSES, WatchdogAction.UNDONE),
        (False, True, True, 0, WatchdogAction.UNDONE),
    ],
    ids=["well", "missed", "silent", "dead", "replaced", "undone-and-dead", "undone"],
)
def test_what_it_does(
    recorded: bool, alive: bool, answers: bool, misses: int, expected: WatchdogAction
) -> None:
    assert choose_action(recorded=recorded, alive=alive, answers=answers, misses=misses) is expected


@pytest.mark.parametrize(
    ("answers", "alive", "expected"),
    [
        (True, True, WatchdogAction.BACK),
        (False, True, WatchdogAction.WATCH),
        (False, False, WatchdogAction.DEAD),
        (True, False, WatchdogAction.TAKEN_OVER),
    ],
    ids=["back", "still-silent", "died", "replaced"],
)
def test_what_it_does_once_it_has_detached_it(
    answers: bool, alive: bool, expected: WatchdogAction
) -> None:
    found = choose_action(recorded=True, alive=alive, answers=answers, misses=MISSES, detached=True)
    assert found is expected


@pytest.mark.parametrize(
    ("awaited", "alive", "expected"),
    [
        (True, True, WatchdogAction.WATCH),
        (True, False, WatchdogAction.UNDONE),
        (False, True, WatchdogAction.UNDONE),
    ],
    ids=["about-to", "died-before", "too-late"],
)
def test_what_it_does_until_the_settings_are_changed(
    awaited: bool, alive: bool, expected: WatchdogAction
) -> None:
    found = choose_action(recorded=False, alive=alive, answers=False, misses=0, awaited=awaited)
    assert found is expected


@pytest.mark.parametrize(
    ("before", "answers", "took", "after"),
    [
        (4, True, 0.0, 0),
        (1, False, 0.0, 2),
        (1, False, 0.9, 2),
        (1, False, 4.0, 5),
        (1, False, 4.0 + JUMP + 1, 1),
    ],
    ids=["answered", "refused", "a-second", "patient", "stopped-itself"],
)
def test_for_how_long_nothing_answered(before: int, answers: bool, took: float, after: int) -> None:
    assert count_misses(before, answers=answers, took=took, limit=4.0) == after
