from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.ramp import (
    FIRST,
    PROBE_WAIT,
)
from neurolink_mitm.core.pool.selection import STRATEGIES
from tests.core.pool.test_ramp import (
    ASK,
    HAIKU,
    LIMITED,
    OF_OPUS,
    OPUS,
    A,
    B,
    K,
    answer,
    choose,
    crowd,
    limit,
    login,
    make_pool,
)
from tests.fakes import NOW, make_account, make_other


def probed(labels: str, *, of: Requirements = ASK, key: str = A, **how: Any) -> Pool:
    """A pool whose account `key` was limited at `NOW`, and is probed 10 s later."""
    pool = make_pool(labels, **how)
    limit(pool, key, NOW, of)
    pool.began(key, of, NOW + 10)
    return pool


@pytest.mark.parametrize(
    ("pool", "account"),
    [
        (probed("ak"), None),
        (probed("akk"), None),
        (probed("a"), None),
        (probed("k", key=K), None),
        (probed("ak", budget=Budget("never")), None),
        (probed("ak", strategy="round-robin"), None),
        (probed("ak", strategy="quota-aware"), None),
        (probed("abk"), B),
        (probed("ak", of=Requirements(claude_code=True, model=OPUS, endpoint="batches")), A),
    ],
    ids=["key-beside", "keys", "alone", "key-alone", "never", "round-robin", "quota-aware",
         "other-plan", "other-endpoint"],
)  # fmt: skip
def test_the_result_of_a_probe_is_waited_for_instead_of_paying(
    pool: Pool, account: str | None
) -> None:
    choice = choose(pool, NOW + 10.5)
    if account:
        assert choice.account == next(a for a in pool.accounts if a.key == account)
    else:
        assert (choice.account, choice.wait_until) == (None, NOW + 10 + PROBE_WAIT)
        assert choice.waits_for.startswith("the probe of anthropic:")


@pytest.mark.parametrize(
    ("of", "tried"),
    [
        (Requirements(model=OPUS), ""),
        (Requirements(claude_code=True, model="claude-2"), ""),
        (ASK, "a"),
    ],
    ids=["no-plan-serves-it", "model-excluded", "tried"],
)
def test_nobody_waits_for_what_would_not_serve_it(of: Requirements, tried: str) -> None:
    pool = Pool([login("a", excluded_models=("claude-2",)), make_account("k")])
    limit(pool, A, NOW)
    pool.began(A, ASK, NOW + 10)
    assert choose(pool, NOW + 10.5, of, tried).account == pool.accounts[1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nor_for_what_comes_after_the_account_that_serves_it(strategy: str) -> None:
    pool = Pool([make_account("k", priority=1), login("a")], strategy)
    limit(pool, A, NOW)
    pool.began(A, ASK, NOW + 10)
    assert choose(pool, NOW + 10.5).account == pool.accounts[0]


def test_nor_for_a_key_over_its_cap() -> None:
    pool = probed("k", key=K, budget=Budget(cap=1.0, spent=2.0, day_ends_at=NOW + 60))
    assert choose(pool, NOW + 10.5) == pool.choose(ASK, NOW + 10.5)


def test_nor_where_another_probe_has_taken_too_long() -> None:
    """One of the account and one of the model: both must succeed."""
    pool = make_pool("ak")
    limit(pool, A, NOW)
    limit(pool, A, NOW, failure=OF_OPUS)
    pool.began(A, Requirements(claude_code=True, model=HAIKU), NOW + 10)
    pool.account_state(A).probes["*opus*"] = NOW + 11.5
    assert choose(pool, NOW + 11.9).waits_for == "the probe of anthropic:a"
    assert choose(pool, NOW + 12.1).account == pool.accounts[1]


def test_when_the_probe_takes_longer_the_paid_account_is_used() -> None:
    pool = probed("ak")
    assert choose(pool, NOW + 10 + PROBE_WAIT).account == pool.accounts[1]


def test_when_the_probe_fails_so_is_it() -> None:
    pool = probed("ak")
    pool.ended(A, sent_at=NOW + 10)
    pool.failed(A, ASK, LIMITED, sent_at=NOW + 10, now=NOW + 11)
    assert choose(pool, NOW + 11).account == pool.accounts[1]


def test_when_it_succeeds_all_go_there_by_its_ramp() -> None:
    pool = probed("ak")
    answer(pool, A, NOW + 10, NOW + 11)
    assert crowd(pool, NOW + 11, tried="") == "a" * FIRST
    assert choose(pool, NOW + 11.5).waits_for == "its turn on anthropic:a"


def test_another_provider_is_not_waited_for() -> None:
    other = make_other()
    pool = Pool([login("a", enabled=False)], fallbacks=[other])
    limit(pool, other.key, NOW)
    pool.began(other.key, ASK, NOW + 10)
    assert choose(pool, NOW + 10.5) == pool.choose(ASK, NOW + 10.5)


def test_a_preview_says_so_and_changes_nothing() -> None:
    pool = probed("ak")
    before = choose(pool, NOW + 10.5)
    assert pool.preview(ASK, NOW + 10.5).waits_for == "the probe of anthropic:a"
    assert choose(pool, NOW + 10.5) == before
