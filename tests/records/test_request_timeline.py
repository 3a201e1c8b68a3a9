from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.records.request_timeline import SMALLEST, ticks, timeline

BEGAN = "2026-11-22T08:00:00.000Z"
FAILED = {
    "timestamp": "2026-11-22T08:00:00.100Z", "connectMs": 10, "tlsMs": 20, "waitMs": 70, "durationMs": 100,
    "errorType": "rate_limit_error",
}  # fmt: skip
SERVED = {
    "timestamp": "2026-11-22T08:00:00.200Z",
    "connectMs": 0,
    "reused": True,
    "waitMs": 300,
    "durationMs": 800,
}
REQUEST = {"timestamp": BEGAN, "responseTimeMs": 1000, "ttfbMs": 510}


def places(
    request: dict[str, Any], *attempts: dict[str, Any]
) -> list[list[tuple[str, float, float]]]:
    made = timeline(request, attempts)
    assert made
    return [
        [(bar.kind, round(bar.start, 6), round(bar.width, 6)) for bar in lane.bars]
        for lane in made.lanes
    ]


def test_the_lanes_of_a_request_that_failed_over() -> None:
    client, first, second = places(REQUEST, FAILED, SERVED)
    assert client == [("queue", 0, 10), ("waiting", 10, 41), ("answer", 51, 49)]
    assert first == [("connect", 10, 1), ("tls", 11, 2), ("wait", 13, 7)]
    assert second == [("wait", 20, 30), ("stream", 50, 50)]


def test_the_lane_of_a_request_that_was_held_and_never_sent() -> None:
    [client] = places({**REQUEST, "heldMs": 900, "ttfbMs": None})
    assert client == [("held", 0, 100)]


def test_the_lane_of_a_request_that_was_held_between_two_attempts() -> None:
    late = {**SERVED, "timestamp": "2026-11-22T08:00:00.700Z"}
    client, *_ = places(
        {**REQUEST, "responseTimeMs": 2000, "ttfbMs": 1000, "heldMs": 480}, FAILED, late
    )
    assert client == [
        ("queue", 0, 5), ("waiting", 5, 5), ("held", 10, 25), ("waiting", 35, 15), ("answer", 50, 50),
    ]  # fmt: skip


@pytest.mark.parametrize(("request_row", "attempts"), [(None, []), ({"timestamp": BEGAN}, [])])
def test_nothing_to_draw(
    request_row: dict[str, Any] | None, attempts: list[dict[str, Any]]
) -> None:
    assert timeline(request_row, attempts) is None


numbers = st.none() | st.floats(allow_nan=False)


@given(
    st.fixed_dictionaries(dict.fromkeys(("responseTimeMs", "ttfbMs", "heldMs"), numbers)),
    st.lists(st.fixed_dictionaries(dict.fromkeys(("connectMs", "waitMs", "durationMs"), numbers))),
)
def test_bars_stay_on_the_axis(row: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    made = timeline({"timestamp": BEGAN, **row}, [{"timestamp": BEGAN, **each} for each in rows])
    for lane in made.lanes if made else ():
        for bar in lane.bars:
            assert 0 <= bar.start <= bar.start + bar.width <= 100.001
            assert bar.width >= SMALLEST


@pytest.mark.parametrize("length", [0.001, 1, 9.9, 100, 1234, 65_000, 1e10])
def test_a_few_ticks(length: float) -> None:
    made = list(ticks(length))
    assert made[0] == 0
    assert 1 <= len(made) <= 7
