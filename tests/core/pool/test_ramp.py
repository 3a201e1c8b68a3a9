from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.ramp import (
    FIRST,
    LATELY,
    LONGEST_WAIT,
    MAX_ANSWERS,
    STEP,
    STEPS,
    Patience,
    Ramp,
    Ramps,
)
from tests.fakes import NOW, make_account, make_failure

OPUS, HAIKU = "claude-opus-4-6", "claude-haiku-4-5"
ASK = Requirements(claude_code=True, model=OPUS)
A, B, C, K = "anthropic:a", "anthropic:b", "anthropic:c", "anthropic:k"
LIMITED = make_failure(429, "retry-after: 10")
OF_OPUS = make_failure(
    429,
    """
    retry-after: 10
    anthropic-ratelimit-unified-5h-status: allowed
    anthropic-ratelimit-unified-representative-claim: seven_day_opus
    """,
)


def login(label: str, **changes: Any) -> Account:
    return make_account(label, f"sk-ant-oat01-{label}", **changes)


def make_pool(labels: str = "ab", strategy: str = "fill-first", **how: Any) -> Pool:
    """A pool of subscriptions, and the API key `k`."""
    accounts = [make_account(label) if label == "k" else login(label) for label in labels]
    return Pool(accounts, strategy, **how)


def choose(pool: Pool, now: float, of: Requirements = ASK, tried: str = "") -> Choice:
    return pool.choose(of, now, {f"anthropic:{label}" for label in tried}, waits=True)


def limit(pool: Pool, key: str, now: float, of: Requirements = ASK, failure: Any = LIMITED) -> None:
    pool.began(key, of, now)
    pool.ended(key, sent_at=now)
    pool.failed(key, of, failure, sent_at=now, now=now)


def answer(pool: Pool, key: str, sent_at: float, now: float, of: Requirements = ASK) -> None:
    pool.succeeded(key, of, sent_at=sent_at, now=now)


def crowd(
    pool: Pool, now: float, of: Requirements = ASK, tried: str = "a", *, moved: bool = True
) -> str:
    """The accounts on which requests begin that come from `tried` at once, until one has to wait."""
    labels = ""
    while (account := choose(pool, now, of, tried).account) and len(labels) < 40:
        now += 0.000_1
        pool.began(account.key, of, now, moved=moved)
        labels += account.label
    return labels


# --- One ramp


def test_time_admits_as_many_again_at_each_step_until_it_is_over() -> None:
    ramp = Ramp(NOW)
    limits = [ramp.limit(NOW + n * STEP) for n in range(STEPS)]
    assert limits == [FIRST * 2**n for n in range(STEPS)]
    assert not ramp.is_over(NOW + STEPS * STEP - 0.001)
    assert ramp.is_over(NOW + STEPS * STEP)


def test_each_answer_admits_one_more_and_frees_a_place() -> None:
    ramps = Ramps()
    ramps.begin("*", NOW)
    for n in range(FIRST):
        ramps.sent(OPUS, "messages", NOW + n / 10)
    assert ramps.full_until(OPUS, "messages", NOW + 0.5) == NOW + STEP
    ramps.answered(NOW)
    sent = 0
    while ramps.full_until(OPUS, "messages", NOW + 0.5) is None:
        sent += 1
        ramps.sent(OPUS, "messages", NOW + 0.5 + sent / 1000)
    assert sent == 2


def test_a_request_that_ends_without_an_answer_frees_its_place_only() -> None:
    ramp = Ramp(NOW, unanswered=[NOW, NOW + 0.1])
    ramp.ended(NOW)
    ramp.answered(NOW)  # it has ended
    assert (ramp.limit(NOW), ramp.unanswered) == (FIRST, [NOW + 0.1])


@pytest.mark.parametrize("now", [NOW - 1, NOW + 1e6], ids=["set-back", "ahead"])
def test_a_clock_that_was_set_ends_it(now: float) -> None:
    ramp = Ramp(NOW, unanswered=[NOW] * FIRST)
    assert ramp.full_until(now) is None


def test_it_is_forgotten_with_the_next_request() -> None:
    ramps = Ramps()
    ramps.begin("*", NOW)
    ramps.sent(OPUS, "messages", NOW + STEPS * STEP)
    assert not ramps


def test_patience_ends() -> None:
    patience = Patience()
    assert patience.lasts(NOW + 1e6)
    patience.wait(NOW)
    patience.wait(NOW + LONGEST_WAIT / 2)
    moments = (NOW, NOW + LONGEST_WAIT - 0.1, NOW + LONGEST_WAIT, NOW - 1)
    assert [patience.lasts(now) for now in moments] == [True, True, False, False]


# --- After a failover


def test_requests_that_move_to_a_fresh_account_begin_a_few_at_once() -> None:
    pool = make_pool()
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 1) == "b" * FIRST
    choice = choose(pool, NOW + 1.1, tried="a")
    assert (choice.wait_until, choice.why.partition(";")[0]) == (
        pytest.approx(NOW + 1 + STEP, abs=0.01),
        "waits for its turn on anthropic:b",
    )


def test_one_request_alone_does_not_wait_nor_does_one_that_has_no_patience_left() -> None:
    pool = make_pool()
    limit(pool, A, NOW)
    assert choose(pool, NOW, tried="a").account == pool.accounts[1]
    crowd(pool, NOW)
    assert pool.choose(ASK, NOW + 0.1, {A}).account == pool.accounts[1]


@pytest.mark.parametrize(
    ("answers", "seconds", "at_once"),
    [
        (1, 1, FIRST + 1),
        (5, 1, FIRST + 5),
        (5, LATELY - 1, FIRST + 5),
        (5, LATELY + 1, FIRST),
        (100, 1, 40),
        (5, -1, FIRST),
    ],
    ids=["once", "five-times", "lately", "long-ago", "all-the-time", "clock-set-back"],
)
def test_an_account_takes_over_what_it_has_answered_lately_and_a_few(
    answers: int, seconds: float, at_once: int
) -> None:
    pool = make_pool()
    for _ in range(answers):
        answer(pool, B, NOW - seconds, NOW - seconds)
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 0.1) == "b" * at_once
    assert len(pool.account_state(B).answers) <= MAX_ANSWERS


def test_so_does_one_that_is_serving() -> None:
    pool = make_pool()
    for n in range(5):
        pool.began(B, ASK, NOW - LATELY - n)
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 0.1) == "b" * (FIRST + 5)


def test_requests_that_have_not_moved_begin_no_ramp() -> None:
    pool = make_pool("a")
    for n in range(9):
        assert choose(pool, NOW).account
        pool.began(A, ASK, NOW + n / 1000)
    assert choose(pool, NOW + 1).account


def test_no_further_fresh_account_is_touched_for_a_ramp() -> None:
    """Each that serves writes the prompt cache again, and begins its five hours."""
    pool = make_pool("abc")
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 1) == "b" * FIRST


def test_one_that_is_in_use_is_taken_instead() -> None:
    pool = make_pool("abc")
    answer(pool, C, NOW, NOW)
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 1) == "b" * FIRST + "c" * (FIRST + 1)


def test_but_none_that_costs_more() -> None:
    pool = make_pool("abk")
    answer(pool, K, NOW, NOW)
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 1) == "b" * FIRST


def test_a_session_waits_for_its_home() -> None:
    """Its cache is there."""
    pool, of = make_pool("abc"), Requirements(claude_code=True, model=OPUS, session="s")
    answer(pool, B, NOW - LATELY - 9, NOW - LATELY - 9, of)
    answer(pool, C, NOW, NOW)
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 1, of) == "b" * FIRST


def test_round_robin_keeps_its_turn_while_it_waits() -> None:
    pool = make_pool("abc", "round-robin")
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 1) == "bcbc"
    waited = [choose(pool, NOW + 1.01, tried="a").waits_for for _ in range(3)]
    assert waited == ["its turn on anthropic:b"] * 3


def test_an_account_that_is_full_since_it_was_chosen_is_not_admitted() -> None:
    pool = make_pool()
    limit(pool, A, NOW)
    assert pool.admits(B, ASK, NOW + 1)
    crowd(pool, NOW + 1)
    assert [pool.admits(key, ASK, NOW + 1.01) for key in (A, B, "anthropic:gone")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "happens",
    [
        lambda pool: pool.reset(B),
        lambda pool: pool.ended(B, sent_at=NOW + 1.0001),
        lambda pool: pool.succeeded(B, ASK, sent_at=NOW + 1.0001, now=NOW + 1.1),
    ],
    ids=["login", "end", "answer"],
)
def test_what_lets_the_next_one_begin(happens: Callable[[Pool], None]) -> None:
    pool = make_pool()
    limit(pool, A, NOW)
    crowd(pool, NOW + 1)
    assert choose(pool, NOW + 1.1).wait_until
    happens(pool)
    assert choose(pool, NOW + 1.1).account == pool.accounts[1]


# --- After a recovery


def test_an_account_that_has_recovered_takes_a_few_at_once() -> None:
    """Also where it is the only one: many sessions have waited for it."""
    pool = make_pool("a")
    limit(pool, A, NOW)
    assert crowd(pool, NOW + 10, tried="") == "a"
    answer(pool, A, NOW + 10.0001, NOW + 11)
    assert crowd(pool, NOW + 11, tried="") == "a" * FIRST


def test_a_family_that_has_recovered_leaves_the_others_alone() -> None:
    pool, haiku = make_pool("a"), Requirements(claude_code=True, model=HAIKU)
    limit(pool, A, NOW, failure=OF_OPUS)
    assert crowd(pool, NOW + 10, tried="") == "a"
    answer(pool, A, NOW + 10.0001, NOW + 11)
    assert (crowd(pool, NOW + 11, haiku, "", moved=False), crowd(pool, NOW + 11.1, tried="")) == (
        "a" * 40,
        "a" * FIRST,
    )


# --- Whatever comes


class Crowd(RuleBasedStateMachine):
    """Requests move to a fresh account, are answered or end, time passes.

    Never more are unanswered than the ramp admits, and each begins within its patience.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.now = make_pool(), NOW
        self.waiting: list[Patience] = []
        self.unanswered: list[float] = []
        self.answers = 0

    @initialize(count=st.integers(1, 60))
    def begin(self, count: int) -> None:
        limit(self.pool, A, self.now)
        self.began = self.now
        self.waiting = [Patience() for _ in range(count)]
        self.look()

    def look(self) -> None:
        """Let all that wait choose again."""
        for patience in list(self.waiting):
            self.now += 0.000_01
            waits = patience.lasts(self.now)
            choice = self.pool.choose(ASK, self.now, {A}, waits=waits)
            if choice.account is None:
                assert waits
                assert choice.wait_until is not None
                assert self.now < choice.wait_until <= self.now + STEP
                patience.wait(self.now)
                continue
            self.pool.began(choice.account.key, ASK, self.now, moved=True)
            self.unanswered.append(self.now)
            self.waiting.remove(patience)

    @rule(seconds=st.sampled_from([0.01, 0.3, 0.5, 1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    @rule(which=st.integers(0, 99), good=st.booleans())
    @precondition(lambda self: self.unanswered)
    def ends(self, which: int, good: bool) -> None:
        at = self.unanswered.pop(which % len(self.unanswered))
        if good:
            answer(self.pool, B, at, self.now)
            self.answers += 1
        self.pool.ended(B, sent_at=at)
        self.look()

    @invariant()
    def never_more_at_once(self) -> None:
        steps = int((self.now - self.began) / STEP)
        if steps < STEPS:
            assert len(self.unanswered) <= FIRST * 2**steps + self.answers

    @invariant()
    def nobody_starves(self) -> None:
        if self.now - NOW > STEPS * STEP + 0.1:
            assert not self.waiting


Crowd.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestACrowd = Crowd.TestCase
