from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.selection import (
    STRATEGIES,
    Candidate,
    FillFirst,
    QuotaAware,
    RoundRobin,
    SelectionStrategy,
)
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, Window
from tests.fakes import NOW, make_account


def candidate(
    label: str, quota: Quota | None = None, *, primary: bool = False, **set_: Any
) -> Candidate:
    return Candidate(make_account(label, **set_), quota, primary)


def used(
    five_hour: float, reset: float | None = None, fallback: float | None = None, **more: Window
) -> Quota:
    windows = {"5h": Window(five_hour, "", reset), **more}
    return Quota(NOW, windows, fallback=fallback)


def weighted(weights: Sequence[float]) -> list[Candidate]:
    return [candidate(chr(97 + i), weight=weight) for i, weight in enumerate(weights)]


def ranked(
    strategy: SelectionStrategy, candidates: Sequence[Candidate], now: float = NOW
) -> list[Account]:
    """The accounts in the order of their ranks; equals stay as they are."""
    ranks = [strategy.verdict(each, now).rank for each in candidates]
    assert None not in ranks
    order = sorted(range(len(candidates)), key=lambda n: ranks[n] or ())
    return [candidates[n].account for n in order]


def select(
    strategy: SelectionStrategy, candidates: Sequence[Candidate], now: float = NOW
) -> Account:
    return strategy.select(ranked(strategy, candidates, now))


def turns(candidates: Sequence[Candidate], count: int, robin: RoundRobin | None = None) -> str:
    robin = robin or RoundRobin()
    left = ranked(robin, candidates)
    return "".join(robin.select(left).label for _ in range(count))


# --- Fill-first


def test_fill_first_stays_with_the_first() -> None:
    """The pool has them in order: what is configured of them was weighed there."""
    candidates = [candidate("a", used(0.99)), candidate("b", priority=9, weight=9, primary=True)]
    assert [select(FillFirst(), candidates, NOW + n).label for n in range(3)] == ["a", "a", "a"]


# --- Round-robin


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ([1], "aaaa"),
        ([1, 1], "abab"),
        ([1, 1, 1], "abcabc"),
        ([2, 1], "abaaba"),
        ([5, 1, 1], "aabacaa"),
        ([0.5, 0.25], "abaaba"),
        ([1, 3], "babbbabb"),
    ],
    ids=["one", "two", "three", "double", "nginx", "fractions", "last-is-heavy"],
)
def test_turns(weights: list[float], order: str) -> None:
    """The third example is nginx's own: no account is served in a burst."""
    assert turns(weighted(weights), len(order)) == order


integers = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(integers, st.integers(1, 3))
def test_shares_are_exact_over_a_cycle(weights: list[int], cycles: int) -> None:
    candidates = weighted(weights)
    served = Counter(turns(candidates, cycles * sum(weights)))
    assert [served[c.account.label] for c in candidates] == [cycles * w for w in weights]


@given(integers)
def test_nobody_is_ever_a_turn_ahead_of_its_share(weights: list[int]) -> None:
    assert max(leads(weights)) < 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_nobody_of_up_to_four_is_ever_a_turn_behind_its_share(weights: list[int]) -> None:
    assert min(leads(weights)) > -1


@given(integers)
def test_nobody_is_far_behind_its_share(weights: list[int]) -> None:
    """From five accounts on it can be a little more than a turn: 1.06 for weights 1, 1, 1, 5, 5, 5."""
    assert min(leads(weights)) > -1.25


def leads(weights: Sequence[int]) -> list[float]:
    """Turns had before the exact share, for each account after each turn of a cycle."""
    order = turns(weighted(weights), sum(weights))
    return [
        order[:turn].count(chr(97 + i)) - turn * weight / sum(weights)
        for turn in range(1, len(order) + 1)
        for i, weight in enumerate(weights)
    ]


def test_lower_priorities_are_overflow() -> None:
    candidates = [candidate("a"), candidate("b", priority=2), candidate("c", priority=2)]
    assert turns(candidates, 4) == "bcbc"
    assert turns(candidates[:1], 2) == "aa"


def test_an_account_that_was_away_is_not_made_up_for() -> None:
    """It kept its turn, and does not get those that it missed in a burst."""
    robin, candidates = RoundRobin(), weighted([1, 1])
    turns(candidates[:1], 10, robin)
    assert turns(candidates, 6, robin) == "ababab"


@given(integers, st.lists(st.sets(st.integers(0, 5)), max_size=40))
def test_whoever_is_there_gets_its_turn(weights: list[int], away: list[set[int]]) -> None:
    """Whatever accounts come and go, only those that are there are chosen; and in the end all are again."""
    robin, everybody = RoundRobin(), weighted(weights)
    for gone in away:
        there = [c for i, c in enumerate(everybody) if i not in gone] or everybody
        assert select(robin, there) in [c.account for c in there]
    assert set(turns(everybody, 2 * len(weights) * sum(weights), robin)) == {
        c.account.label for c in everybody
    }


# --- Quota-aware

FRESH = used(0.1, NOW + 3600)
SPENT = used(0.5, NOW + 60)


@pytest.mark.parametrize(
    ("candidates", "taken"),
    [
        ([candidate("a"), candidate("b")], "a"),
        ([candidate("a", SPENT), candidate("b", FRESH)], "b"),
        ([candidate("a", SPENT), candidate("b")], "b"),
        ([candidate("a", SPENT), candidate("b", SPENT)], "a"),
        ([candidate("a", used(0.1, NOW + 90)), candidate("b", used(0.4, NOW + 60))], "b"),
        ([candidate("a", used(0.9, NOW + 90)), candidate("b", used(0.8, NOW + 60))], "b"),
        ([candidate("a"), candidate("b", FRESH)], "b"),
        ([candidate("a", used(0.1)), candidate("b", FRESH)], "b"),
        ([candidate("a", used(0.7, fallback=0.8)), candidate("b", used(0.7))], "a"),
        ([candidate("a", used(0.9, NOW - 1)), candidate("b", SPENT)], "a"),
        ([candidate("a", FRESH), candidate("b", FRESH, priority=1)], "b"),
        ([candidate("a", FRESH), candidate("b", SPENT, priority=1)], "b"),
        ([candidate("a", used(0.1, NOW + 9)), candidate("b", FRESH, primary=True)], "b"),
        ([candidate("a", FRESH), candidate("b", SPENT, primary=True)], "a"),
    ],
    ids=["nothing-known", "headroom", "unknown-is-headroom", "none-has-any", "first-to-expire",
         "first-back", "known-to-expire", "reset-unknown", "header's-percentage", "was-reset",
         "tier", "tier-before-headroom", "primary", "headroom-before-primary"],
)  # fmt: skip
def test_quota_aware(candidates: list[Candidate], taken: str) -> None:
    assert select(QuotaAware(), candidates).label == taken


@pytest.mark.parametrize(
    ("quota", "until"),
    [
        (None, math.inf),
        (used(0.1), math.inf),
        (used(0.1, NOW - 2), math.inf),
        (used(0.1, NOW + 60), NOW + 59),
        (used(0.1, NOW), NOW),
        (used(0.1, NOW + 90, week=Window(0.1, "", NOW + 60)), NOW + 59),
        (used(0.1, NOW + LONGEST_WINDOW + 30), NOW + 29),
    ],
    ids=["nothing-known", "no-reset", "was-reset", "reset", "at-the-reset", "first-of-two",
         "believed-later"],
)  # fmt: skip
def test_a_rank_by_quota_holds_until_a_window_is_reset(quota: Quota | None, until: float) -> None:
    """About a second less, so that no rounding error keeps it longer."""
    assert QuotaAware().verdict(candidate("a", quota), NOW).until == until


quotas = st.none() | st.builds(
    lambda five, seven, reset: Quota(NOW, {"5h": Window(five, "", reset), "7d": Window(seven)}),
    st.floats(0, 1),
    st.floats(0, 1),
    st.none() | st.floats(NOW - 9, NOW + 9),
)


@given(st.lists(quotas, min_size=1, max_size=6))
def test_headroom_goes_first(known: list[Quota | None]) -> None:
    candidates = [candidate(str(i), quota) for i, quota in enumerate(known)]
    with_headroom = [
        c.account for c in candidates if not c.quota or not c.quota.past_fallback(None, NOW)
    ]
    assert select(QuotaAware(), candidates) in (with_headroom or [c.account for c in candidates])


# --- All of them


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_pool_makes_its_own(strategy: str) -> None:
    candidates = weighted([2, 1, 1])
    first, second = STRATEGIES[strategy](), STRATEGIES[strategy]()
    select(first, candidates)
    expected = select(STRATEGIES[strategy](), candidates)
    assert select(second, candidates) is expected


pools = st.lists(
    st.builds(
        lambda quota, weight, priority: (quota, weight, priority),
        quotas,
        st.floats(0.01, 100),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(pools, st.lists(st.integers(0, 31), min_size=1, max_size=20))
def test_the_same_inputs_give_the_same_choice(
    strategy: str, pool: list[tuple[Quota | None, float, int]], masks: list[int]
) -> None:
    candidates = [
        candidate(str(i), quota, weight=weight, priority=priority)
        for i, (quota, weight, priority) in enumerate(pool)
    ]
    one, other = STRATEGIES[strategy](), STRATEGIES[strategy]()
    for mask in masks:
        there = [c for i, c in enumerate(candidates) if mask >> i & 1] or candidates
        chosen = select(one, there)
        assert chosen is select(other, there)
        assert chosen in [c.account for c in there]
