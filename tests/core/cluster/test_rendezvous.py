"""Rendezvous hashing: the same in all replicas, by weight, and few sessions move."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.rendezvous import Rendezvous, score
from neurolink_mitm.core.pool.accounts import Account
from tests.fakes import make_account

A, B, C = (make_account(label) for label in "abc")
SESSIONS = [b"%d" % n for n in range(3000)]


def placed(*accounts: Account) -> dict[bytes, str]:
    return {each: Rendezvous(each).select(accounts).label for each in SESSIONS}


def test_scores_never_change() -> None:
    """Replicas may run other versions of Python, or of this program: these are what they all compute."""
    assert score(b"session", "anthropic:work", 1.0) == pytest.approx(2.303167519145)
    assert score(b"session", "anthropic:work", 2.0) == 2 * score(b"session", "anthropic:work", 1.0)


@given(st.binary(max_size=20), st.permutations([A, B, C]))
def test_the_order_of_accounts_does_not_count(session: bytes, accounts: list[Account]) -> None:
    assert Rendezvous(session).select(accounts) == Rendezvous(session).select([A, B, C])


@given(st.binary(max_size=20), st.text(max_size=5), st.floats(1e-300, 1e300))
def test_any_weight_has_a_score(session: bytes, key: str, weight: float) -> None:
    assert score(session, key, weight) > 0


def test_shares_are_as_the_weights() -> None:
    counts = Counter(placed(replace(A, weight=3.0), B).values())
    assert counts["a"] / len(SESSIONS) == pytest.approx(0.75, abs=0.03)


def test_only_sessions_of_an_account_that_is_gone_move() -> None:
    before, after = placed(A, B, C), placed(A, B)
    assert {each for each in SESSIONS if before[each] != after[each]} == {
        each for each in SESSIONS if before[each] == "c"
    }


def test_only_accounts_of_the_best_rank_serve() -> None:
    """Overflow stays overflow; the best come first."""
    best = replace(C, priority=1)
    assert set(placed(best, A, B).values()) == {"c"}
