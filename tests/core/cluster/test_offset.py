"""Redis' clock against ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.offset import Offset, as_time

NOW = 1_700_000_000.0


def offset(server: float = NOW + 300, before: float = NOW, after: float = NOW + 0.002) -> Offset:
    made = Offset(lead=1000.0)
    made.measured(server, before, after)
    return made


def test_without_a_measurement_clocks_are_the_same() -> None:
    assert (Offset().to_server(NOW), Offset().to_ours(NOW)) == (NOW, NOW)


@pytest.mark.parametrize("ahead", [-300.0, 0.0, 300.0])
def test_a_clock_that_is_minutes_off_is_converted(ahead: float) -> None:
    made = offset(NOW + ahead)
    assert made.to_server(NOW) == pytest.approx(NOW + ahead, abs=0.002)
    assert made.to_ours(made.to_server(NOW)) == NOW


def test_a_slow_answer_does_not_move_it() -> None:
    made = offset()
    before = made.seconds
    made.measured(NOW + 300 + 1.4, NOW + 1, NOW + 1.45)
    assert made.seconds == before


def test_a_good_answer_replaces_a_slow_one() -> None:
    made = offset(NOW + 300, NOW, NOW + 0.4)
    made.measured(NOW + 301.0, NOW + 1, NOW + 1.002)
    assert made.seconds == pytest.approx(299.999)


def test_jitter_does_not_move_it() -> None:
    made = offset()
    before = made.seconds
    made.measured(NOW + 301.009, NOW + 1, NOW + 1.002)
    assert made.seconds == before


@pytest.mark.parametrize("jump", [-300.0, 300.0])
def test_redis_clock_was_set(jump: float) -> None:
    made = offset()
    made.measured(NOW + 301 + jump, NOW + 1, NOW + 1.002)
    assert made.seconds == pytest.approx(300 + jump, abs=0.002)


@pytest.mark.parametrize("jump", [-300.0, 300.0])
def test_our_clock_was_set_since_the_measurement(jump: float) -> None:
    """Redis' time is still right, before the next measurement."""
    made = offset()
    made.followed(1000.0 + jump)
    assert made.to_server(NOW + jump) == pytest.approx(NOW + 300, abs=0.002)
    made.followed(1000.0 + jump)
    assert made.to_server(NOW + jump) == pytest.approx(NOW + 300, abs=0.002)


@pytest.mark.parametrize("jump", [-300.0, 300.0])
def test_our_clock_was_set_during_the_measurement(jump: float) -> None:
    made = offset()
    before = made.seconds
    made.measured(NOW + 301, NOW + 1, NOW + 1.002 + jump)
    assert made.seconds == before


def test_a_drift_is_followed() -> None:
    made = offset()
    for second in range(1, 100):  # 100 s a day
        server = NOW + 300 + second * 1.001
        made.measured(server, NOW + second, NOW + second + 0.002)
        assert made.to_server(NOW + second) == pytest.approx(server, abs=0.013)


@pytest.mark.parametrize("text", [b"nan", b"inf", b"-1", b"0", b"1e308", b"", b"x"])
def test_what_no_clock_shows_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"time|convert"):
        as_time(text)


@given(st.floats(-1e6, 1e6), st.floats(0, 0.5), st.floats(0, 1))
def test_it_is_wrong_by_the_time_of_the_answer_at_most(
    ahead: float, took: float, share: float
) -> None:
    made = Offset()
    made.measured(NOW + took * share + ahead, NOW, NOW + took)
    assert made.to_server(NOW) == pytest.approx(NOW + ahead, abs=took / 2 + 1e-6)
