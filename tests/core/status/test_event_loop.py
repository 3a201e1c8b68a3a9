from __future__ import annotations

import pytest

from neurolink_mitm.core.status.event_loop import RECENT, Gap, Lag, Stall, diagnose_lag
from tests.fakes import NOW

STALLED = {
    "lagMs": {"p50": 0.1, "p99": 3, "max": 812},
    "stalls": 2,
    "lastStall": {"at": "2026-11-28T13:02:00.000Z", "ms": 812, "stack": ["a.py:1 f", "b.py:2 g"]},
}


@pytest.mark.parametrize(
    ("gap", "cause"),
    [
        (Gap(1.0, cpu=0.99, loop_cpu=0.98), "stall"),
        (Gap(1.0, cpu=0.0, loop_cpu=0.0, sampled=True), "stall"),
        (Gap(1.0, cpu=0.9, loop_cpu=0.01), "thread"),
        (Gap(60.0, cpu=0.02, loop_cpu=0.01), "pause"),
    ],
    ids=["computes", "waits", "another-thread", "stopped"],
)
def test_why_the_loop_stood(gap: Gap, cause: str) -> None:
    assert gap.cause == cause


@pytest.mark.parametrize(
    ("gap", "late", "own"),
    [
        (Gap(1.0, cpu=0.0, loop_cpu=0.0), 0.9, 0.9),
        (Gap(1.0, cpu=1.0, loop_cpu=1.0), 1.0, 1.0),
        (Gap(1.0, cpu=0.3, loop_cpu=0.3, starved=0.7), 0.9, 0.3),
    ],
    ids=["waited", "computed", "without-a-cpu"],
)
def test_how_long_it_stood(gap: Gap, late: float, own: float) -> None:
    assert (gap.late(0.1), gap.own(0.1)) == pytest.approx((late, own))


def test_quantiles_are_of_the_last_minute() -> None:
    lag = Lag()
    lag.observe(9000)
    for number in range(RECENT):
        lag.observe(number / RECENT * 100)
    told = lag.report()["lagMs"]
    assert told == {"p50": 50.0, "p99": 99.0, "max": 9000}


def test_without_measurements_all_is_zero() -> None:
    assert Lag().report()["lagMs"] == {"p50": 0, "p99": 0, "max": 0}


def test_a_pause_is_no_stall() -> None:
    lag = Lag()
    lag.paused(Stall(NOW, 60.0))
    assert (lag.stalls, lag.longest, lag.pauses) == (0, 0.0, 1)


def test_each_lag_goes_to_the_histogram() -> None:
    seen: list[float] = []
    Lag(histogram=seen.append).observe(3)
    assert seen == [3]


def test_the_doctor_says_where_it_stood() -> None:
    [found] = diagnose_lag(STALLED)
    assert (found.id, found.level) == ("loop-stalls", "warn")
    assert "2 times, the last one for 812 ms at a.py:1 f" in found.text


def test_the_doctor_is_content_where_it_never_stood() -> None:
    [found] = diagnose_lag(Lag().report())
    assert (found.id, found.level) == ("loop-lag", "ok")


@pytest.mark.parametrize("loop", [None, {}, [], {"lagMs": 3}], ids=str)
def test_an_older_proxy_says_nothing_of_it(loop: object) -> None:
    assert list(diagnose_lag(loop)) == []
