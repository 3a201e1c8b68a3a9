from __future__ import annotations

from dataclasses import replace

from neurolink_mitm.core.cost.budget import Budget, Metering
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from tests.core.pool.pools import (
    other,
    other_choice,
    with_others,
)
from tests.fakes import NOW, make_account


def test_their_reasons_come_in_the_order_in_which_they_are_asked() -> None:
    pool = with_others()
    pool.update(pool.accounts, [replace(other(key), disabled="no key") for key in ("x/1", "x/2")])
    assert list(pool.ineligible_fallbacks(("x/2", "x/1"), Requirements(), NOW)) == ["x/2", "x/1"]


def test_a_cap_bounds_nothing_that_is_free() -> None:
    """Tokens are counted by Anthropic for nothing, and for other providers here."""
    budget = Budget(cap=1.0, spent=1.0, day_ends_at=NOW + 60, unpriced={"x/2"})
    pool = Pool([make_account("key")], fallbacks=[other("x/1"), other("x/2")], budget=budget)
    free, keys = Requirements(metering=Metering.FREE), ("x/1", "x/2")
    assert set(pool.ineligible(Requirements(), NOW)) == {"anthropic:key"}
    assert set(pool.ineligible_fallbacks(keys, Requirements(), NOW)) == set(keys)
    assert pool.choose(free, NOW).account
    assert pool.choose_fallback(keys, free, NOW).account
    budget.pay_per_use = "never"
    assert set(pool.ineligible_fallbacks(keys, free, NOW)) == set(keys)


def test_what_is_paid_per_use_can_be_forbidden() -> None:
    pool = Pool(
        [make_account("login", "sk-ant-oat01-test"), make_account("key")],
        fallbacks=[other("x/1")],
        budget=Budget("never"),
    )
    assert set(pool.ineligible(Requirements(claude_code=True), NOW)) == {"anthropic:key"}
    assert other_choice(pool, "x/1") is None
