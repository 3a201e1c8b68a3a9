from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.failover.ineligible import (
    ADD_ACCOUNT,
    LISTED,
    LOG_IN,
    ONLY_SUBSCRIPTIONS,
    SUBSCRIPTIONS,
    all_ineligible,
)
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.destinations import Route, entries
from neurolink_mitm.core.settings.values import Config, Fallback, Routing
from tests.fakes import NOW, make_account, make_failure

OPUS = "claude-opus-4-6"
CLAUDE_CODE = Requirements(claude_code=True, model=OPUS)
LOGIN = "sk-ant-oat01-x"


def pool_of(*accounts: dict[str, Any], fail: str = "") -> Pool:
    """Accounts a, b, …; those named in `fail` were just limited for ten, twenty … seconds."""
    made = [make_account(label, **how) for label, how in zip("abc", accounts, strict=False)]
    pool = Pool(made)
    for turn, label in enumerate(fail, 1):
        failure = make_failure(429, f"retry-after: {turn * 10}")
        pool.failed(f"anthropic:{label}", CLAUDE_CODE, failure, sent_at=NOW, now=NOW)
    return pool


def refused(pool: Pool, requirements: Requirements = CLAUDE_CODE, now: float = NOW) -> Reply:
    reply = all_ineligible(pool, requirements, now)
    assert reply is not None
    return reply


@pytest.mark.parametrize(
    ("requirements", "how"),
    [(CLAUDE_CODE, LOG_IN), (Requirements(model=OPUS), ADD_ACCOUNT)],
    ids=["claude-code", "other"],
)
def test_without_an_account_it_says_to_who_asks_how_to_add_one(
    requirements: Requirements, how: str
) -> None:
    """A subscription serves Claude Code, and nobody else."""
    reply = refused(Pool([]), requirements)
    assert (reply.status, reply.error_type, reply.retry_after) == (
        401,
        "authentication_error",
        None,
    )
    assert reply.message == f"NeuroLink has no account yet. {how}"


def test_all_cooling() -> None:
    assert refused(pool_of({}, {}, fail="ba")) == Reply(
        429,
        "rate_limit_error",
        "All accounts are cooling; the first is back in 10 s."
        " a: cooling for 20 s: rate limit (429);"
        " b: cooling for 10 s: rate limit (429)",
        retry_after=10,
    )


BERLIN = ZoneInfo("Europe/Berlin")
FIVE_HOURS_ARE_USED_UP = f"""
retry-after: 7500
anthropic-ratelimit-unified-status: rejected
anthropic-ratelimit-unified-representative-claim: five_hour
anthropic-ratelimit-unified-5h-status: rejected
anthropic-ratelimit-unified-5h-utilization: 1.0
anthropic-ratelimit-unified-5h-reset: {NOW + 7500:.0f}
anthropic-ratelimit-unified-7d-status: allowed
anthropic-ratelimit-unified-7d-utilization: 0.4
anthropic-ratelimit-unified-7d-reset: {NOW + 86400:.0f}
"""
OPUS_IS_USED_UP = f"""
retry-after: 180000
anthropic-ratelimit-unified-status: rejected
anthropic-ratelimit-unified-representative-claim: seven_day_opus
anthropic-ratelimit-unified-reset: {NOW + 180000:.0f}
"""


def test_it_says_first_when_the_plan_is_back_and_with_which_window() -> None:
    pool = pool_of({"token": LOGIN}, {"token": LOGIN}, {"enabled": False})
    for label, fields in (("a", OPUS_IS_USED_UP), ("b", FIVE_HOURS_ARE_USED_UP)):
        failure = make_failure(429, fields)
        pool.update_quota(f"anthropic:{label}", failure.headers, NOW)
        pool.failed(f"anthropic:{label}", CLAUDE_CODE, failure, sent_at=NOW, now=NOW)
    assert all_ineligible(pool, CLAUDE_CODE, NOW, zone=BERLIN) == Reply(
        429,
        "rate_limit_error",
        "All accounts are cooling; the first is back at 12:58 CEST (in 2h5m),"
        " when the 5-hour window of b resets."
        " a: weekly Opus window used up until Sat 12:53 CEST (in 2d2h);"
        " b: 5-hour window used up until 12:58 CEST (in 2h5m);"
        " c: not enabled",
        retry_after=7500,
    )


@pytest.mark.parametrize(("passed", "seconds"), [(0, 10), (0.1, 10), (9.01, 1), (9.999, 1)])
def test_when_to_come_back_is_in_whole_seconds_and_at_least_one(
    passed: float, seconds: int
) -> None:
    assert refused(pool_of({}, fail="a"), now=NOW + passed).retry_after == seconds


@given(st.floats(0, 600, exclude_max=True))
def test_after_that_time_somebody_serves(passed: float) -> None:
    pool = pool_of({}, {}, fail="ab")
    reply = all_ineligible(pool, CLAUDE_CODE, NOW + passed)
    if reply is not None:
        assert reply.retry_after is not None
        assert reply.retry_after >= 1
        assert all_ineligible(pool, CLAUDE_CODE, NOW + passed + reply.retry_after) is None


@pytest.mark.parametrize("account", [{"enabled": False}, {"disabled": "x"}, {"token": LOGIN}])
def test_the_others_do_not_hide_that_one_is_coming_back(account: dict[str, Any]) -> None:
    reply = refused(pool_of(account, {}, fail="b"), Requirements(model=OPUS))
    assert (reply.status, reply.retry_after) == (429, 10)
    assert "a: " in reply.message


def test_where_somebody_serves_there_is_none() -> None:
    assert all_ineligible(pool_of({}, {}, fail="a"), CLAUDE_CODE, NOW) is None


def test_nor_after_the_cooldown() -> None:
    assert all_ineligible(pool_of({}, fail="a"), CLAUDE_CODE, NOW + 10) is None


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], f"{ONLY_SUBSCRIPTIONS} {ADD_ACCOUNT}"),
        ([{"enabled": False}], f"{SUBSCRIPTIONS} {ADD_ACCOUNT} b: not enabled"),
    ],
    ids=["only-subscriptions", "and-one-that-can-not"],
)
def test_subscriptions_do_not_serve_other_clients(
    others: list[dict[str, Any]], message: str
) -> None:
    reply = refused(pool_of({"token": LOGIN}, *others), Requirements(model=OPUS))
    assert reply == Reply(400, "invalid_request_error", message)


def test_nobody_ever_serves() -> None:
    assert refused(pool_of({"enabled": False}, {"excluded_models": ("*",)})) == Reply(
        503,
        "api_error",
        f"No account serves this request. a: not enabled; b: excludes {OPUS}",
        lasting=True,
    )


@pytest.mark.parametrize(
    ("requirements", "how"),
    [(CLAUDE_CODE, LOG_IN), (Requirements(model=OPUS), ADD_ACCOUNT)],
    ids=["claude-code", "other"],
)
def test_where_a_login_has_ended_it_says_what_helps_who_asks(
    requirements: Requirements, how: str
) -> None:
    reply = refused(
        pool_of({"token": LOGIN, "disabled": "needs login: invalid_grant"}), requirements
    )
    assert reply.status == 503
    assert reply.message.endswith(f"a: disabled: needs login: invalid_grant. {how}")


@pytest.mark.parametrize(
    ("pool", "hopeless"),
    [
        (Pool([]), True),
        (pool_of({"enabled": False}), True),
        (pool_of({"token": LOGIN}), True),
        (pool_of({}, fail="a"), False),
    ],
    ids=["no-account", "nobody-serves", "not-for-this-client", "all-cooling"],
)
def test_whether_repeating_it_is_of_use(pool: Pool, hopeless: bool) -> None:
    assert refused(pool, Requirements(model=OPUS)).hopeless is hopeless


ROUTING = Routing(fallback_chain=(Fallback("openai", "gpt-x"), Fallback("groq", "llama")))
ROUTE = Route("claude-*", OPUS, entries=("openai/gpt-x", "groq/llama"))
MAPPED = Route("a mapping", OPUS, pool=False, entries=("openai/gpt-x", "groq/llama"))


def with_others(pool: Pool, **keys: str) -> Pool:
    pool.update(pool.accounts, entries(Config(routing=ROUTING), keys))
    return pool


def test_cooling_accounts_and_providers_without_keys_are_listed_together() -> None:
    reply = all_ineligible(with_others(pool_of({}, fail="a")), CLAUDE_CODE, NOW, ROUTE)
    assert reply is not None
    assert (reply.status, reply.retry_after) == (429, 10)
    assert "a: cooling" in reply.message
    assert "openai/gpt-x: no key: set OPENAI_API_KEY" in reply.message
    assert "vertex" not in reply.message, "it is not on this request's way"


def test_of_hundreds_the_first_and_the_last_are_listed() -> None:
    pool = with_others(Pool([make_account(str(n)) for n in range(200)]))
    for account in pool.accounts:
        limited = make_failure(429, f"retry-after: {500 - int(account.label)}")
        pool.failed(account.key, CLAUDE_CODE, limited, sent_at=NOW, now=NOW)
    reply = all_ineligible(pool, CLAUDE_CODE, NOW, ROUTE)
    assert reply is not None
    assert reply.retry_after == 301, "of all of them, listed or not"
    listed = reply.message.partition("). ")[2].split("; ")
    assert re.match(r"9: cooling until (?:\w{3} )?\d\d:\d\d \S+ \(in 9m\): rate limit", listed[9])
    assert listed[10] == "182 more"
    assert listed[-1].startswith("groq/llama: no key")
    assert len(listed) == LISTED + 1


def test_a_provider_that_just_failed_does_not_hide_that_an_account_is_coming_back() -> None:
    pool = with_others(pool_of({}, fail="a"), OPENAI_API_KEY="k", GROQ_API_KEY="k")
    reply = all_ineligible(pool, CLAUDE_CODE, NOW, ROUTE, {"openai/gpt-x": "broken"})
    assert reply is not None
    assert reply.status == 429
    assert reply.message.endswith("openai/gpt-x: broken; groq/llama: not asked")


def test_where_only_providers_are_asked_their_word_counts() -> None:
    pool = with_others(pool_of({}), OPENAI_API_KEY="k")
    assert all_ineligible(pool, CLAUDE_CODE, NOW, MAPPED, {"openai/gpt-x": "no documents"}) is None


def test_but_where_none_can_be_asked_it_says_what_to_do() -> None:
    reply = all_ineligible(with_others(pool_of({})), CLAUDE_CODE, NOW, MAPPED)
    assert reply is not None
    assert (reply.status, reply.error_type) == (400, "invalid_request_error")
    assert "set GROQ_API_KEY" in reply.message


def test_and_how_to_add_the_account_that_there_is_not() -> None:
    reply = all_ineligible(with_others(Pool([])), CLAUDE_CODE, NOW, ROUTE)
    assert reply is not None
    assert reply.message.startswith("No provider serves this model. openai/gpt-x: no key")
    assert reply.message.endswith(f". NeuroLink has no account yet. {LOG_IN}")


def test_providers_that_are_cooling_say_when_they_are_back() -> None:
    pool = with_others(pool_of({}), OPENAI_API_KEY="k", GROQ_API_KEY="k")
    for key in MAPPED.entries:
        limited = make_failure(429, "retry-after: 7")
        pool.failed(key, CLAUDE_CODE, limited, sent_at=NOW, now=NOW)
    reply = all_ineligible(pool, CLAUDE_CODE, NOW, MAPPED)
    assert reply is not None
    assert (reply.status, reply.retry_after) == (429, 7)
    assert reply.message.startswith("All providers of this model are cooling")


def test_other_clients_are_told_of_providers_too() -> None:
    reply = all_ineligible(
        with_others(pool_of({"token": LOGIN})), Requirements(model=OPUS), NOW, ROUTE
    )
    assert reply is not None
    assert reply.status == 400
    assert "set OPENAI_API_KEY" in reply.message


CAP = Budget(cap=1.0, spent=2.0, day_ends_at=NOW + 7200)


def test_where_only_a_cap_is_in_the_way_claude_code_shows_it() -> None:
    """In the form that Anthropic's own gateway has for it, and not repeated."""
    pool = Pool([make_account("a", secret="sk-ant-api03-x"), make_account("b", enabled=False)])
    pool.budget = CAP
    reply = refused(pool)
    assert (reply.status, reply.error_type, reply.hopeless) == (429, "billing_error", True)
    assert reply.message.startswith("spend limit reached — a: routing.daily-cap-usd is")
    assert reply.message.endswith(" (in 2h0m).")


def test_an_account_that_is_back_before_the_cap_ends_is_waited_for() -> None:
    pool = Pool([make_account("a", secret="sk-ant-api03-x"), make_account("b")])
    pool.budget = CAP
    failure = make_failure(429, "retry-after: 30")
    pool.failed("anthropic:b", CLAUDE_CODE, failure, sent_at=NOW, now=NOW)
    reply = refused(pool)
    assert (reply.error_type, reply.retry_after, reply.hopeless) == ("rate_limit_error", 30, False)
