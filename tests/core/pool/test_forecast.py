from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.forecast import Dry, Supply, fills_of, length_of, runs_dry
from neurolink_mitm.core.pool.readings import runs_out_at
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, Window
from tests.fakes import NOW

HOUR = 3600.0
STRATEGIES = ("fill-first", "round-robin", "quota-aware")


def supply(
    five: float, hours: float | None = 2.0, week: float | None = None, **how: float
) -> Supply:
    """An account with shares of its windows used; that of five hours is reset in `hours`."""
    windows = {"5h": Window(five, "", None if hours is None else NOW + hours * HOUR)}
    if week is not None:
        windows["7d"] = Window(week, "", NOW + 48 * HOUR)
    return Supply(fills_of(windows, (), NOW), **how)


def dry(
    supplies: Sequence[Supply], strategy: str = "fill-first", **an_hour: float
) -> tuple[float, float | None] | None:
    """In hours from now, at these shares of windows an hour."""
    paces = {name.strip("_"): share / HOUR for name, share in an_hour.items()}
    found = runs_dry(supplies, paces, strategy, NOW)
    if found is None:
        return None
    start, end = found
    return (
        round((start - NOW) / HOUR, 3),
        None if end is None else round((end - NOW) / HOUR, 3),
    )


@pytest.mark.parametrize(
    ("supplies", "an_hour", "expected"),
    [
        ([supply(0.5)], {"_5h": 0.5}, (1, 2)),
        ([supply(0.5)], {}, None),
        ([supply(0.5)], {"_5h": 0.05}, None),
        ([supply(1.0)], {}, (0, 2)),
        ([supply(1.0)], {"_5h": 0.5}, (0, 2)),
        ([supply(0.5), supply(0.5, 3)], {"_5h": 1.0}, (1, 2)),
        ([supply(0.5), supply(0.5, 4)], {"_5h": 0.4}, None),
        ([supply(0.5, 0.5), supply(0.9, 4)], {"_5h": 1.0}, (1.6, 4)),
        ([supply(0.5, 3, week=0.9)], {"_5h": 0.1, "_7d": 0.1}, (1, 48)),
        ([supply(0.0, back_at=NOW + 60)], {"_5h": 0.1}, (0, 0.017)),
        ([supply(0.0, back_at=NOW + HOUR), supply(0.8)], {"_5h": 0.4}, (0.5, 1)),
        ([supply(0.9, None)], {"_5h": 0.2}, (0.5, 5.0)),
        ([], {"_5h": 1.0}, None),
    ],
    ids=["one", "idle", "slow", "used-up", "used-up-and-busy", "the-next-takes-the-pace",
         "reset-in-time", "reset-in-the-middle", "the-week", "cooling", "cooling-and-one-left",
         "unknown-reset", "none"],
)  # fmt: skip
def test_fill_first(
    supplies: list[Supply],
    an_hour: dict[str, float],
    expected: tuple[float, float | None] | None,
) -> None:
    assert dry(supplies, **an_hour) == expected


def test_round_robin_uses_all_at_once() -> None:
    assert dry([supply(0.8, 9), supply(0.2, 9)], "round-robin", _5h=0.5) == (2, 9)
    assert dry([supply(0.8, 1.5), supply(0.2, 9)], "round-robin", _5h=0.5) == (4, 6.5)
    assert dry([supply(0.7, 9, weight=3), supply(0.9, 9)], "round-robin", _5h=0.4) == (1, 9)
    assert dry([supply(0.5, 9), supply(0.5, 9, priority=1)], "round-robin", _5h=0.5) == (2, 9)


def test_quota_aware_spends_first_what_expires_first() -> None:
    """So it is dry later."""
    assert dry([supply(0.2, 4), supply(0.2, 1)], "fill-first", _5h=0.6) == (3, 4)
    assert dry([supply(0.2, 4), supply(0.2, 1)], "quota-aware", _5h=0.6) == (3.5, 4)


@pytest.mark.parametrize(
    ("name", "hours"),
    [("5h", 5), ("7d", 168), ("7d_oi", 168), ("30m", 0.5), ("1w", 168), ("tangelo", 168),
     ("999d", 168), ("0h", 168), ("5hours", 168)],
)  # fmt: skip
def test_the_length_of_a_window(name: str, hours: float) -> None:
    assert length_of(name) == hours * HOUR


shares = st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.999999999, 1.0, 1.02]) | st.floats(0, 1.2)
windows = st.builds(
    Window,
    st.none() | shares,
    st.sampled_from(["", "allowed", "rejected"]),
    st.none() | st.floats(NOW - HOUR, NOW + 10 * 24 * HOUR),
)
accounts = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["5h", "7d", "7d_oi", "1m"]), windows),
        st.sampled_from([-math.inf, NOW - 9, NOW + 9, NOW + 9000]),
        st.sampled_from([0.01, 1.0, 100.0]),
        st.integers(0, 1),
    ),
    max_size=6,
)
paces = st.dictionaries(
    st.sampled_from(["5h", "7d", "7d_oi", "1m", "x"]),
    st.sampled_from([0.0, 1e-12, 1e-5, 1e-3, 10.0]),
)


@given(accounts, paces, st.sampled_from(STRATEGIES), st.sampled_from([0.0, 0.5, 1.0, 1e9]))
def test_a_dry_spell_is_not_past_and_has_an_end_after_its_start(
    pool: list[tuple[Mapping[str, Window], float, float, int]],
    pace: dict[str, float],
    strategy: str,
    fallback: float,
) -> None:
    supplies = [
        Supply(fills_of(each, pace, NOW), back, weight, tier, fallback=fallback)
        for each, back, weight, tier in pool
    ]
    outs = [supply.out_until() for supply in supplies]
    found = runs_dry(supplies, pace, strategy, NOW)
    if found is None:
        return
    assert NOW <= found.start <= NOW + LONGEST_WINDOW
    assert found.end is None or found.end > found.start
    assert pool
    if all(out > NOW for out in outs):
        assert found == Dry(NOW, min(outs) if math.isfinite(min(outs)) else None)
    elif not any(pace.values()):
        raise AssertionError("an idle pool with headroom runs dry")


@given(st.floats(0, 0.99), st.floats(1e-6, 1e-2), st.floats(1, 1e5), st.sampled_from(STRATEGIES))
def test_alone_it_is_dry_when_its_window_is_out(
    used: float, pace: float, reset: float, strategy: str
) -> None:
    window = Window(used, "", NOW + reset)
    found = runs_dry([Supply(fills_of({"5h": window}, (), NOW))], {"5h": pace}, strategy, NOW)
    out_at = runs_out_at(window, pace, NOW)
    if out_at is not None:
        assert found is not None
        assert found.start == pytest.approx(out_at, abs=0.01)
        assert found.end == NOW + reset
    else:
        assert found is None or found.start >= NOW + reset


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_forecast_costs_the_same_for_many_accounts(strategy: str) -> None:
    pool = [supply(0.5, week=0.5) for _ in range(500)]
    looks = Counter[str]()

    class Paces(dict[str, float]):
        def get(self, key: str, default: float = 0.0) -> float:  # type: ignore[override]
            looks[key] += 1
            return super().get(key, default)

    runs_dry(pool, Paces({"5h": 1e-3, "7d": 1e-4}), strategy, NOW)
    assert looks.total() < 10_000
