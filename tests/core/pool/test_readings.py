from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.readings import (
    HOUR,
    INTERVAL,
    MAX_READINGS,
    Readings,
    SavedReading,
    restored,
    runs_out_at,
)
from neurolink_mitm.core.pool.windows import Window
from tests.fakes import NOW

MINUTE = 60.0


def readings(*pairs: tuple[float, float]) -> Readings:
    """Of (minutes before now, share used)."""
    made = Readings()
    for minutes, used in pairs:
        made.add(NOW - minutes * MINUTE, used)
    return made


@pytest.mark.parametrize(
    ("pairs", "an_hour"),
    [
        ([], 0.0),
        ([(10, 0.5)], 0.0),
        ([(60, 0.1), (30, 0.2), (0, 0.4)], 0.3),
        ([(30, 0.1), (0, 0.2)], 0.2),
        ([(30, 0.1), (15, 0.2)], 0.2),
        ([(120, 0.1), (0, 0.3)], 0.1),
        ([(120, 0.1), (90, 0.9), (30, 0.9)], 0.0),
        ([(60, 0.8), (40, 0.9), (30, 0.05), (0, 0.15)], 0.2),
        ([(60, 0.62), (50, 0.61), (0, 0.71)], 0.1),
        ([(60, 0.5), (0, 0.5)], 0.0),
        ([(1, 0.1), (0.5, 0.2)], 1.2),
        ([(5000, 0.1), (0, 1.0)], 0.9 / 5000 * 60),
    ],
    ids=["none", "one", "an-hour", "half-an-hour", "idle-since", "before-the-hour", "idle",
         "reset-in-the-middle", "correction", "unused", "burst", "long-ago"],
)  # fmt: skip
def test_the_pace_of_the_last_hour(pairs: list[tuple[float, float]], an_hour: float) -> None:
    assert readings(*pairs).pace(NOW) * HOUR == pytest.approx(an_hour)


def test_one_reading_a_minute_is_kept_and_the_latest_counts() -> None:
    made = Readings()
    kept = [made.add(NOW + second, 0.1 + second / 10_000) for second in range(601)]
    times = [each.at - NOW for each in kept if each]
    assert times == [n * INTERVAL for n in range(11)]
    assert made.add(NOW + 605, 0.5) is None
    assert made.pace(NOW + 605) == pytest.approx(0.4 / 605)
    reset = made.add(NOW + 606, 0.0)
    assert reset
    assert reset[:2] == (NOW + 606, 0.0)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    made = readings((10, 0.1), (0, 0.2))
    made.add(NOW - HOUR, 0.3)
    assert made.pace(NOW - HOUR) == 0.0


def test_they_follow_the_clock() -> None:
    made = readings((30, 0.1), (0, 0.2))
    made.shift(-1e6)
    assert made.pace(NOW - 1e6) == pytest.approx(readings((30, 0.1), (0, 0.2)).pace(NOW))


points = st.lists(st.tuples(st.floats(0, 7200), st.floats(0, 1.1)), max_size=300)


@given(points, st.floats(-7200, 7200), st.none() | st.floats(-60, 1e6))
def test_a_forecast_is_neither_past_nor_after_the_reset(
    moves: list[tuple[float, float]], later: float, reset: float | None
) -> None:
    made, at, used = Readings(), NOW, 0.0
    for passed, used in moves:
        at += passed
        made.add(at, used)
    now = at + later
    window = Window(used, "", None if reset is None else now + reset)
    share = made.pace(now)
    assert share >= 0
    assert math.isfinite(share)
    assert len(made._kept) <= MAX_READINGS
    found = runs_out_at(window, share, now)
    if found is not None:
        assert now < found < (now + reset if reset is not None else math.inf)


def spread(moves: list[tuple[float, float]], now: float) -> float:
    """The pace by all readings (at, used), each rise spread evenly over the time since the one before."""
    start, risen = now - HOUR, 0.0
    for (at, used), (later, more) in pairwise(moves):
        if later > start and more > used:
            inside = min(1.0, (later - max(at, start)) / (later - at)) if later > at else 1.0
            risen += (more - used) * inside
    return risen / max(300.0, now - max(start, moves[0][0])) if risen else 0.0


@given(st.lists(st.tuples(st.floats(INTERVAL, 7200), st.floats(0, 1.1)), min_size=1, max_size=99),
       st.floats(0, 5000))  # fmt: skip
def test_the_pace_is_that_of_all_readings(moves: list[tuple[float, float]], later: float) -> None:
    made, at, all_of_them = Readings(), NOW, []
    for passed, used in moves:
        at += passed
        made.add(at, used)
        all_of_them.append((at, used))
    expected = spread(all_of_them, at + later)
    assert made.pace(at + later) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("window", "an_hour", "minutes"),
    [
        (Window(0.5), 0.5, 60),
        (Window(0.9, "allowed_warning", NOW + 600), 0.9, 100 / 15),
        (Window(0.9, "", NOW + 300), 0.9, None),
        (Window(0.5), 0.0, None),
        (Window(None), 0.5, None),
        (Window(0.5, "rejected"), 0.5, None),
        (Window(1.0), 0.5, None),
        (Window(1.0, "allowed"), 0.5, None),
        (Window(0.5, "", NOW - 1), 0.5, None),
        (Window(0.5), 1e-6, None),
        (Window(0.5), 1e308, None),
    ],
    ids=["an-hour", "before-the-reset", "reset-before", "idle", "unknown", "rejected", "used-up",
         "over", "was-reset", "in-ages", "at-once"],
)  # fmt: skip
def test_runs_out_at(window: Window, an_hour: float, minutes: float | None) -> None:
    found = runs_out_at(window, an_hour / HOUR, NOW)
    expected = None if minutes is None else pytest.approx(NOW + minutes * 60)
    assert found == expected


def test_a_saved_reading_that_no_header_can_have_is_left_out() -> None:
    saved = [SavedReading(NOW - 60 * n, "a", "5h", used) for n, used in enumerate((1e308, -1, 0.5))]
    assert restored(saved, NOW)["a"]["5h"].pace(NOW) == 0.0
    assert "a" not in restored(saved[:2], NOW)
