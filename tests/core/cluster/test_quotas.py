"""The quota of an account that several replicas see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.quotas import bounded, newest, news_of, shifted
from neurolink_mitm.core.pool.quota import Classic, Quota
from neurolink_mitm.core.pool.windows import Window
from tests.fakes import NOW


def quota(seen: float, /, **windows: tuple[float, float]) -> Quota:
    """A quota seen at `NOW + seen`; of each window the use, and when it was seen."""
    return Quota(
        NOW + seen,
        {name: Window(used, "allowed", None, NOW + at) for name, (used, at) in windows.items()},
        learned={"7d_x": {"opus": "named"}} if seen < 0 else {},
        fallback=0.4 if seen < 0 else None,
    )


def used(of: Quota) -> dict[str, float | None]:
    return {name: of.used(name) for name in of.windows}


@pytest.mark.parametrize(
    ("shared", "ours", "expected"),
    [
        pytest.param(quota(0, w=(0.2, 0)), None, {"w": 0.2}, id="nothing here"),
        pytest.param(quota(0, w=(0.2, 0)), quota(-5, w=(0.1, -5)), {"w": 0.2}, id="newer"),
        pytest.param(quota(-5, w=(0.1, -5)), quota(0, w=(0.2, 0)), {"w": 0.2}, id="older"),
        pytest.param(quota(0, w=(0.1, -9)), quota(-5, w=(0.2, -5)), {"w": 0.2}, id="by window"),
        pytest.param(
            quota(0, v=(0.1, 0)), quota(-60, w=(1.0, -60)), {"v": 0.1}, id="ended by a success"
        ),
        pytest.param(
            quota(0, v=(0.1, 0)), quota(-1, w=(1.0, -1)), {"w": 1.0, "v": 0.1}, id="not known yet"
        ),
    ],
)
def test_the_newest_counts(shared: Quota, ours: Quota | None, expected: dict[str, float]) -> None:
    assert used(newest(shared, ours)) == expected


def test_what_the_newest_does_not_say_stays() -> None:
    latest = newest(quota(0), quota(-5))
    assert (latest.seen_at, latest.fallback) == (NOW, 0.4)
    assert latest.learned == {"7d_x": {"opus": "named"}}


def test_only_what_is_newer_is_news() -> None:
    shared = quota(0, v=(0.1, -5), w=(0.2, 0), x=(0.3, -1))
    assert news_of(shared, quota(-1, v=(0.1, -5), w=(0.1, -5))).windows.keys() == {"w", "x"}
    assert news_of(shared, None) == shared


@given(st.floats(-1e6, 1e6))
def test_there_and_back(seconds: float) -> None:
    before = quota(0, w=(0.2, -5))
    after = shifted(shifted(before, seconds), -seconds)
    assert after.seen_at == pytest.approx(before.seen_at, abs=1e-4)
    assert after.windows["w"].seen_at == pytest.approx(NOW - 5, abs=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"windows": {"A b": Window(0.1)}},
        {"windows": {"5h": Window(0.1, "", None, NOW + 60)}},
        {"windows": {"5h": Window(0.1, "", None, -1.0)}},
        {"classic": {"strange": Classic(1, 1, 1)}},
        {"fallback": 1e308},
        {"reset": -5.0},
    ],
    ids=str,
)
def test_what_headers_could_not_say_is_left_out(changes: dict[str, Any]) -> None:
    good = quota(0)
    assert bounded(replace(good, **changes), NOW) == good


def test_numbers_of_limits_are_bounded() -> None:
    shared = replace(quota(0), classic={"requests": Classic(1e308, -1.0, 5.0)})
    found = bounded(shared, NOW)
    assert found
    assert found.classic == {"requests": Classic(None, None, 5.0)}


@pytest.mark.parametrize("seen", [60.0, -9e5, float("nan"), float("inf"), 1e308])
def test_no_quota_is_of_the_future_or_older_than_any_window(seen: float) -> None:
    assert bounded(quota(seen), NOW) is None
