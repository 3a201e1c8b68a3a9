"""Pools to test, and what happens on their accounts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import CooldownResult, Requirements
from neurolink_mitm.core.pool.pool import Pool
from tests.fakes import NOW, make_account, make_failure

OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"
ANY = Requirements(claude_code=True, model=OPUS)
A, B, C = "anthropic:a", "anthropic:b", "anthropic:c"
LIMITED = make_failure(429, "retry-after: 10")
OF_OPUS = make_failure(
    429,
    """
    retry-after: 10
    anthropic-ratelimit-unified-5h-status: allowed
    anthropic-ratelimit-unified-representative-claim: seven_day_opus
    """,
)


def make_pool(labels: str = "ab", strategy: str = "fill-first", **how: Any) -> Pool:
    return Pool([make_account(label) for label in labels], strategy, **how)


def login(label: str) -> Account:
    return make_account(label, f"sk-ant-oat01-{label}")


def in_session(session: str = "s", model: str = OPUS) -> Requirements:
    return replace(ANY, session=session, model=model)


def taken(
    pool: Pool, requirements: Requirements = ANY, now: float = NOW, tried: str = ""
) -> str | None:
    account = pool.choose(requirements, now, {f"anthropic:{label}" for label in tried}).account
    return account.label if account else None


def fail(
    pool: Pool,
    key: str = A,
    failure: Failure = LIMITED,
    now: float = NOW,
    requirements: Requirements = ANY,
) -> CooldownResult:
    """A request that goes out on the account and fails at once."""
    pool.began(key, requirements, now)
    pool.ended(key, sent_at=now)
    return pool.failed(key, requirements, failure, sent_at=now, now=now)


def serve(pool: Pool, key: str = A, now: float = NOW, requirements: Requirements = ANY) -> None:
    pool.began(key, requirements, now)
    pool.succeeded(key, requirements, sent_at=now, now=now)
    pool.ended(key, sent_at=now)


def other(label: str, **changes: Any) -> Account:
    return make_account(label, key=label, type="provider", provider="openai", **changes)


def with_others(**changes: Any) -> Pool:
    return Pool([make_account("a")], fallbacks=[other("x/1"), other("x/2")], **changes)


def other_choice(pool: Pool, *keys: str, tried: Collection[str] = ()) -> str | None:
    found = pool.choose_fallback(keys or ("x/1", "x/2"), Requirements(), NOW, tried).account
    return found.key if found else None
