"""What replicas know together of a cooldown."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.cooldowns import (
    HEALED_FOR,
    MOST_WINDOWS,
    NOTHING,
    State,
    Window,
    healed,
    in_force,
    merged,
    reported_by,
)
from tests.fakes import NOW


def window(
    began: float, level: int = 1, lasts: float = 1.0, whole: bool = False, by: str = "a"
) -> Window:
    """Seconds are from `NOW`."""
    return Window(NOW + began, level, NOW + began + lasts, whole, 0.0, "rate limit (429)", by)


def state(*windows: Window, healed_at: float | None = None) -> State:
    return merged(State(0.0 if healed_at is None else NOW + healed_at, windows), NOTHING, NOW)


FIRST = window(-5)
WORDS = st.sampled_from(["", "a", "b"])
WINDOWS = st.builds(
    Window,
    began=st.sampled_from([NOW - 60 + 7.5 * n for n in range(8)]),
    level=st.integers(0, 3),
    until=st.sampled_from([NOW - 30, NOW - 1, NOW, NOW + 5, NOW + 200]),
    whole=st.booleans(),
    resets_at=st.sampled_from([0.0, NOW + 100, NOW + 1000]),
    reason=WORDS,
    by=WORDS,
)
STATES = st.builds(
    State,
    healed=st.sampled_from([0.0, *(NOW - 60 + 7.5 * n for n in range(8))]),
    windows=st.lists(WINDOWS, max_size=1).map(tuple),
).map(lambda each: merged(each, NOTHING, NOW))


@given(STATES, STATES)
def test_who_comes_first_does_not_matter(one: State, other: State) -> None:
    assert merged(one, other, NOW) == merged(other, one, NOW)


@given(STATES, STATES, STATES)
def test_in_which_order_does_not_matter(one: State, other: State, third: State) -> None:
    left = merged(merged(one, other, NOW), third, NOW)
    assert left == merged(one, merged(other, third, NOW), NOW)


@given(STATES, STATES)
def test_how_often_does_not_matter(one: State, other: State) -> None:
    both = merged(one, other, NOW)
    assert merged(both, other, NOW) == both == merged(both, both, NOW)


@given(STATES, STATES)
def test_a_cooldown_only_grows_unless_it_is_healed(one: State, other: State) -> None:
    before, after = in_force(one, NOW), in_force(merged(one, other, NOW), NOW)
    if before and other.healed < before.began and after:
        assert (after.until, after.level) >= (before.until, 0)
        assert after.began >= before.began


@pytest.mark.parametrize(
    ("one", "other", "level", "ends"),
    [
        pytest.param(window(0), window(0.02, lasts=1), 1, 1.02, id="same window, reported twice"),
        pytest.param(window(0, lasts=9), window(0.02, lasts=1), 1, 9, id="the later end"),
        pytest.param(window(-5, 1), window(0, 2, 2), 2, 2, id="a newer window has its level"),
        pytest.param(window(-5, 4, 8), window(0, 1), 4, 3, id="of a replica that was away"),
    ],
)
def test_level_and_end_of_two_reports(one: Window, other: Window, level: int, ends: float) -> None:
    cooldown = in_force(merged(State(0.0, (one,)), State(0.0, (other,)), NOW), NOW)
    assert cooldown
    assert (cooldown.level, cooldown.until) == (level, NOW + ends)


@pytest.mark.parametrize(
    ("began", "lives"),
    [
        pytest.param(-5, False, id="the one that was healed"),
        pytest.param(-20, False, id="an older one"),
        pytest.param(-4.9995, False, id="the same, converted"),
        pytest.param(-3, True, id="one that began later"),
    ],
)
def test_a_heal_ends_what_began_before(began: float, lives: bool) -> None:
    end = healed(state(FIRST), NOW)
    assert end == State(NOW - 5, ())
    assert bool(merged(end, state(window(began)), NOW).windows) == lives


def test_a_refusal_lasts_though_a_limit_ends_later() -> None:
    refused, limited = window(-5, 0, 300, whole=True), window(-4, 1, 600)
    cooldown = in_force(merged(State(0.0, (refused,)), State(0.0, (limited,)), NOW), NOW)
    assert cooldown
    assert (cooldown.whole, cooldown.until) == (True, NOW + 596)


def test_the_reason_is_that_of_the_last_end() -> None:
    short, long = window(0, by="a"), window(-1, lasts=60, by="b")
    assert reported_by(merged(State(0.0, (short,)), State(0.0, (long,)), NOW)) == "b"


NUMBERS = [math.nan, math.inf, -math.inf, 1e308, -1.0]


@pytest.mark.parametrize("field", ["began", "until", "resets_at"])
@pytest.mark.parametrize("number", NUMBERS)
def test_no_cooldown_begins_or_ends_at_an_absurd_time(field: str, number: float) -> None:
    values = {"began": NOW, "level": 1, "until": NOW + 1, "resets_at": 0.0} | {field: number}
    assert merged(State(0.0, (Window(**values),)), NOTHING, NOW) == NOTHING


@pytest.mark.parametrize(
    "absurd",
    [
        pytest.param(window(0, 1, 700), id="longer than the cap"),
        pytest.param(window(0, 0, 400), id="a refusal of more than five minutes"),
        pytest.param(window(60), id="begins in a minute"),
        pytest.param(window(-9000), id="hours ago"),
        pytest.param(window(0, -1), id="level below zero"),
        pytest.param(window(0, 10**9), id="level"),
    ],
)
def test_an_absurd_cooldown_counts_as_none(absurd: Window) -> None:
    assert merged(State(0.0, (FIRST,)), State(0.0, (absurd,)), NOW) == state(FIRST)


@pytest.mark.parametrize("number", [*NUMBERS, NOW + 60])
def test_no_heal_is_absurd(number: float) -> None:
    assert merged(State(number, ()), state(FIRST), NOW) == state(FIRST)


def test_a_state_has_few_windows() -> None:
    many = [window(-n, level=n, lasts=n + 100 - n / 10) for n in range(1, 9)]
    assert len(state(*many).windows) == MOST_WINDOWS


def test_a_heal_is_forgotten_in_the_end() -> None:
    end = State(NOW - HEALED_FOR - 1, ())
    assert (end.gone(NOW), State(NOW - 5, ()).gone(NOW), state(FIRST).gone(NOW)) == (
        True,
        False,
        False,
    )


def test_nothing_is_in_force_without_a_window() -> None:
    assert in_force(state(healed_at=-1), NOW) is None
    cooldown = in_force(state(FIRST), NOW)
    assert cooldown
    assert astuple(cooldown) == (1, NOW - 5, NOW - 4, "rate limit (429)", False, None)
