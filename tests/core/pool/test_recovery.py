from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.failover.ineligible import all_ineligible
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import BACKOFF_CAP, Cooldown
from neurolink_mitm.core.pool.limit_headers import UNIFIED
from neurolink_mitm.core.pool.persisted import PersistedState, fingerprint
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota, parse
from neurolink_mitm.core.pool.recovery import reset_of_used_up
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, Window
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.endpoints import COUNT_TOKENS
from tests.fakes import NOW, make_account, make_failure

OPUS, FABLE = "claude-opus-4-6", "claude-fable-5-1"
CLAUDE_CODE = Requirements(claude_code=True, model=OPUS)
A, B = "anthropic:a", "anthropic:b"
IN_A_MINUTE, IN_AN_HOUR, IN_A_DAY = NOW + 60, NOW + 3600, NOW + 86_400


def limit(
    five_hours: str = "allowed", week: str = "allowed", claim: str = "five_hour", more: str = ""
) -> str:
    return f"""
{UNIFIED}status: rejected
{UNIFIED}representative-claim: {claim}
{UNIFIED}5h-status: {five_hours}
{UNIFIED}5h-reset: {IN_AN_HOUR:.0f}
{UNIFIED}7d-status: {week}
{UNIFIED}7d-reset: {IN_A_DAY:.0f}
{more}
"""


@pytest.mark.parametrize(
    ("headers", "models", "retry_after", "at"),
    [
        (limit("rejected"), "*", 9, IN_AN_HOUR),
        (limit(week="rejected"), "*", 9, IN_A_DAY),
        (limit("rejected", "rejected"), "*", 9, IN_A_DAY),
        (limit("rejected", more=f"{UNIFIED}7d_oi-status: rejected\n{UNIFIED}7d_oi-reset: {IN_A_DAY:.0f}"),
         "*", 9, IN_AN_HOUR),
        (limit(more=f"{UNIFIED}7d_oi-status: rejected\n{UNIFIED}7d_oi-reset: {IN_A_MINUTE:.0f}"),
         FABLE, 9, IN_A_MINUTE),
        (limit(claim="seven_day_opus", more=f"{UNIFIED}7d_opus-reset: {IN_A_MINUTE:.0f}"),
         "*opus*", 9, IN_A_MINUTE),
        (limit(claim="seven_day_overage_included", more=f"{UNIFIED}reset: {IN_A_MINUTE:.0f}"),
         FABLE, 9, IN_A_MINUTE),
        (f"{UNIFIED}status: rejected\n{UNIFIED}representative-claim: seven_day\n{UNIFIED}7d-reset: {IN_A_DAY:.0f}",
         "*", 9, IN_A_DAY),
        (f"{UNIFIED}status: rejected\n{UNIFIED}reset: {IN_A_DAY:.0f}", "*", 9, IN_A_DAY),
        (f"{UNIFIED}5h-utilization: 1.0\n{UNIFIED}5h-reset: {IN_AN_HOUR:.0f}", "*", 9, IN_AN_HOUR),
        (f"{UNIFIED}30d-status: rejected\n{UNIFIED}30d-reset: {IN_A_DAY:.0f}", "*", 9, IN_A_DAY),
        (f"{UNIFIED}status: rejected\n{UNIFIED}5h-status: rejected", "*", 7200, NOW + 7200),
        (f"{UNIFIED}status: rejected\n{UNIFIED}5h-status: rejected", "*", 30, None),
        (f"{UNIFIED}5h-status: rejected\n{UNIFIED}5h-reset: {NOW - 60:.0f}", "*", 9, None),
        (f"{UNIFIED}5h-status: rejected\n{UNIFIED}5h-reset: {NOW + 30 * 86_400:.0f}", "*", 9, None),
        (f"{UNIFIED}5h-status: rejected\n{UNIFIED}5h-reset: nan", "*", None, None),
        (f"{UNIFIED}status: allowed\n{UNIFIED}5h-utilization: 0.9\n{UNIFIED}5h-reset: {IN_AN_HOUR:.0f}",
         "*", 9, None),
        (f"{UNIFIED}5h-status: allowed\n{UNIFIED}5h-utilization: 1.02\n{UNIFIED}5h-reset: {IN_AN_HOUR:.0f}",
         "*", 9, None),
        ("anthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: 2025-10-09T09:53:20Z",
         "*", 9, None),
        ("", "*", 7200, None),
    ],
    ids=["five-hours", "week", "the-last-of-two", "account-not-family", "family", "claimed-family",
         "claimed-window-without-headers", "claim-without-status", "status-alone", "all-used",
         "another-length", "reset-by-retry-after", "short-retry-after", "past", "absurd", "nan",
         "warned", "open", "api-key", "nothing"],
)  # fmt: skip
def test_the_reset_of_what_is_used_up(
    headers: str, models: str, retry_after: float | None, at: float | None
) -> None:
    fields = make_failure(429, headers).headers
    assert reset_of_used_up(fields, None, models, retry_after, NOW) == at


def test_a_429_that_names_no_window_is_for_the_one_that_was_used_up_before() -> None:
    known = Quota(NOW - 60, {"5h": Window(1.0, "rejected", IN_AN_HOUR)})
    limited = make_failure(429, "retry-after: 9").headers
    assert reset_of_used_up(limited, known, "*", 9, NOW) == IN_AN_HOUR
    opened = make_failure(429, limit(more="retry-after: 9")).headers
    assert reset_of_used_up(opened, known, "*", 9, NOW) is None


def pool_of(labels: str = "a", **how: object) -> Pool:
    return Pool([make_account(label) for label in labels], **how)  # type: ignore[arg-type]


def recovery(pool: Pool, asked: Requirements, now: float) -> float | None:
    """When the first account may serve: now, or when it recovers by itself."""
    if len(pool.ineligible(asked, now)) < len(pool.accounts):
        return now
    return min(pool.recoveries(asked, now).values(), default=None)


def fail(
    pool: Pool, key: str, headers: str, now: float = NOW, asked: Requirements = CLAUDE_CODE
) -> None:
    failure = make_failure(429, headers)
    pool.update_quota(key, failure.headers, now)
    pool.failed(key, asked, failure, sent_at=now, now=now)


def test_the_pool_recovers_with_its_first_account() -> None:
    pool = pool_of("ab")
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW
    fail(pool, A, limit("rejected", more="retry-after: 30"))
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW
    fail(pool, B, "retry-after: 10")
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW + 10
    fail(pool, B, limit(week="rejected", more="retry-after: 30"), NOW + 11)
    assert recovery(pool, CLAUDE_CODE, NOW + 11) == IN_AN_HOUR
    reply = all_ineligible(pool, CLAUDE_CODE, NOW + 11)
    assert reply is not None
    assert reply.retry_after == 3600 - 11


def test_at_the_end_of_the_cooldown_it_is_tried_all_the_same() -> None:
    pool = pool_of()
    fail(pool, A, limit("rejected", more="retry-after: 30"))
    skipped = pool.ineligible(CLAUDE_CODE, NOW)[A]
    assert (skipped.until, skipped.tried_at) == (IN_AN_HOUR, NOW + 30)
    assert pool.ineligible(CLAUDE_CODE, NOW + 30) == {}
    pool.began(A, CLAUDE_CODE, NOW + 30)
    assert recovery(pool, CLAUDE_CODE, NOW + 30) == NOW + 31
    pool.succeeded(A, CLAUDE_CODE, sent_at=NOW + 30, now=NOW + 31)
    assert recovery(pool, CLAUDE_CODE, NOW + 31) == NOW + 31


def test_a_window_of_some_models_leaves_the_others() -> None:
    pool = pool_of()
    asked = replace(CLAUDE_CODE, model=FABLE)
    more = f"{UNIFIED}7d_oi-status: rejected\n{UNIFIED}7d_oi-reset: {IN_A_DAY:.0f}\nretry-after: 9"
    fail(pool, A, limit(more=more), asked=asked)
    assert recovery(pool, asked, NOW) == IN_A_DAY
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW


def test_nobody_waits_for_what_does_not_end_by_itself() -> None:
    dead = make_account("a", disabled="by its owner")
    key = make_account("k", "sk-ant-api03-x")
    capped = Budget(cap=1.0, spent=2.0, day_ends_at=IN_AN_HOUR)
    pool = Pool([dead, key], budget=capped)
    assert recovery(pool, CLAUDE_CODE, NOW) is None
    fail(pool, key.key, "retry-after: 10")
    assert recovery(pool, CLAUDE_CODE, NOW) is None
    capped.spent = 0.0
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW + 10


@pytest.mark.parametrize(
    ("answer", "at"),
    [("", NOW + 65), (f"{UNIFIED}5h-status: allowed", NOW + 65),
     (f"{UNIFIED}5h-status: rejected\n{UNIFIED}5h-reset: {IN_AN_HOUR:.0f}", IN_AN_HOUR)],
    ids=["no-headers", "open", "paid-beside-the-plan"],
)  # fmt: skip
def test_a_success_forgets_that_the_window_was_used_up(answer: str, at: float) -> None:
    pool = pool_of()
    fail(pool, A, limit("rejected", more="retry-after: 30"))
    pool.update_quota(A, make_failure(200, answer).headers, NOW + 50)
    pool.succeeded(A, CLAUDE_CODE, sent_at=NOW + 50, now=NOW + 50)
    assert pool.ineligible(CLAUDE_CODE, NOW + 50) == {}
    fail(pool, A, "retry-after: 5", NOW + 60)
    assert recovery(pool, CLAUDE_CODE, NOW + 60) == at


def test_a_success_of_another_family_forgets_nothing() -> None:
    pool = pool_of()
    asked = replace(CLAUDE_CODE, model=FABLE)
    more = f"{UNIFIED}7d_oi-status: rejected\n{UNIFIED}7d_oi-reset: {IN_A_DAY:.0f}\nretry-after: 9"
    fail(pool, A, limit(more=more), asked=asked)
    pool.succeeded(A, CLAUDE_CODE, sent_at=NOW + 5, now=NOW + 5)
    quota = pool.account_state(A).quota
    assert quota is not None
    assert quota.windows["7d_oi"].is_used_up
    assert pool.quotas()[A] == quota


def test_counting_does_not_wait_for_the_window_of_messages() -> None:
    pool = pool_of()
    fail(pool, A, limit("rejected", more="retry-after: 30"))
    counting = replace(CLAUDE_CODE, endpoint=COUNT_TOKENS)
    fail(pool, A, "retry-after: 5", asked=counting)
    assert recovery(pool, counting, NOW) == NOW + 5


def test_a_new_credential_forgets_it() -> None:
    pool = pool_of()
    fail(pool, A, limit("rejected", more="retry-after: 30"))
    pool.update([make_account("a", "sk-ant-oat01-other")])
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW
    fail(pool, A, "retry-after: 5")
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW + 5


def test_it_survives_a_restart() -> None:
    pool, again = pool_of(), pool_of()
    fail(pool, A, limit("rejected", more="retry-after: 30"))
    again.restore(pool.cooldowns(), pool.quotas(), NOW + 5)
    assert recovery(again, CLAUDE_CODE, NOW + 5) == IN_AN_HOUR


def test_a_reset_of_a_wrong_clock_is_forgotten_at_a_restart() -> None:
    far = Cooldown(1, NOW, NOW + 30, "x", resets_at=NOW + 2 * LONGEST_WINDOW)
    pool = pool_of()
    secret = Secret(pool.accounts[0].secret.reveal())
    pool.restore({A: PersistedState(fingerprint(secret), {"*": far})}, {}, NOW)
    assert recovery(pool, CLAUDE_CODE, NOW) == NOW + 30


waits = st.sampled_from([None, -1.0, 0.5, 30.0, 601.0, 5e4, 1e9])
moves = st.lists(st.tuples(st.floats(0, 900), waits, waits), min_size=1, max_size=12)


@given(moves, st.floats(-1e6, 1e6))
def test_no_cooldown_outlasts_the_reset_or_its_cap(
    moves: list[tuple[float, float | None, float | None]], jump: float
) -> None:
    pool, now = pool_of(), NOW
    for passed, wait, reset in moves:
        now += passed
        headers = f"{UNIFIED}5h-status: rejected"
        headers += "" if wait is None else f"\nretry-after: {wait:.0f}"
        headers += "" if reset is None else f"\n{UNIFIED}5h-reset: {now + reset:.3f}"
        fail(pool, A, headers, now)
        cooldown = pool.account_state(A).cooldowns["*"]
        quota = parse(make_failure(429, headers).headers, now)
        own = quota.windows["5h"].reset if quota else None
        assert cooldown.until <= now + BACKOFF_CAP
        if own is not None and now < own < now + LONGEST_WINDOW:
            assert cooldown.until <= own == cooldown.recovery(now)
        assert cooldown.until <= cooldown.recovery(now) < now + LONGEST_WINDOW
        pool.clock_moved(jump)
        moved = pool.account_state(A).cooldowns["*"]
        assert moved.until - (now + jump) <= BACKOFF_CAP + 1e-3
        pool.clock_moved(-jump)
