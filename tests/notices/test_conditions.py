from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.auth.credentials import GAVE_UP, NEEDS_LOGIN
from neurolink_mitm.core.cost.budget import Budget, ClientUse
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.notices.conditions import Condition, situation, subscriptions_out
from tests.fakes import NOW, make_account, make_failure

LIMITED = make_failure(429, "retry-after: 90")
REQUEST = Requirements(claude_code=True, model="claude-opus-4-6")


def login(label: str = "work", **changes: Any) -> Account:
    return make_account(label, f"sk-ant-oat01-{label}", **{"refreshable": True, **changes})


def pool_of(*accounts: Account, limited: str = "", **how: Any) -> Pool:
    """A pool in which the accounts `limited` were refused just now."""
    pool = Pool(accounts, **how)
    for label in limited.split():
        pool.failed(f"anthropic:{label}", REQUEST, LIMITED, sent_at=NOW - 1, now=NOW)
    return pool


def found(pool: Pool, now: float = NOW, paid: str | None = None) -> list[tuple[object, ...]]:
    conditions = situation(pool, now, paid).conditions
    return [(each.kind, each.account) for each in conditions]


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, False),
        ({"disabled": f"{NEEDS_LOGIN}: invalid_grant"}, True),
        ({"disabled": f"15 {GAVE_UP}, the last: 500"}, True),
        ({"disabled": "on holiday"}, False),
        ({"disabled": NEEDS_LOGIN, "enabled": False}, False),
        ({"expires_at": NOW - 1, "refreshable": False}, True),
        ({"expires_at": NOW - 1}, False),
    ],
    ids=["good", "refused", "gave up", "by its owner", "not enabled", "expired", "refreshable"],
)
def test_an_account_that_needs_a_login(changes: dict[str, Any], needs: bool) -> None:
    assert found(pool_of(login(**changes))) == [("needs-login", "work")] * needs


def test_upstreams_words_are_the_reason() -> None:
    pool = pool_of(login(disabled=f"{NEEDS_LOGIN}: the token was revoked"))
    [condition] = situation(pool, NOW).conditions
    assert condition.reason == "the token was revoked"


@pytest.mark.parametrize(
    ("window", "full"),
    [
        (Window(0.79, "allowed", NOW + 60), False),
        (Window(0.8, "allowed", NOW + 60), True),
        (Window(None, "rejected", NOW + 60), True),
        (Window(None, "allowed", NOW + 60), False),
        (Window(0.9, "allowed", NOW), False),
        (Window(0.9), True),
    ],
    ids=["79 %", "80 %", "rejected", "unknown", "reset", "without reset"],
)
def test_a_window_that_is_nearly_used_up(window: Window, full: bool) -> None:
    pool = pool_of(login())
    pool.take_quota("anthropic:work", Quota(NOW - 1, windows={"7d_oi": window}))
    assert found(pool) == [("window-80", "work")] * full


def test_windows_of_an_account_that_serves_nothing_are_not_told() -> None:
    pool = pool_of(login(disabled="on holiday"))
    pool.take_quota("anthropic:work", Quota(NOW, windows={"5h": Window(0.9, "", NOW + 60)}))
    assert found(pool) == []


def test_a_window_is_told_with_its_reset() -> None:
    pool = pool_of(login())
    pool.take_quota("anthropic:work", Quota(NOW, windows={"5h": Window(0.83, "", NOW + 60)}))
    assert situation(pool, NOW).conditions == (
        Condition(
            "window-80", "window-80 anthropic:work 5h", "work", "5h", 0.83, NOW + 60, NOW + 60
        ),
    )


def test_all_are_cooling_and_the_first_to_recover_is_named() -> None:
    pool = pool_of(login("a"), login("b"), limited="a")
    assert found(pool) == []
    pool.failed(
        "anthropic:b", REQUEST, make_failure(429, "retry-after: 30"), sent_at=NOW - 1, now=NOW
    )
    [condition] = situation(pool, NOW).conditions
    assert (condition.kind, condition.account, condition.reset) == ("all-cooling", "b", NOW + 30)
    assert found(pool, NOW + 31) == []


@pytest.mark.parametrize(
    ("others", "cooling"),
    [
        ([], True),
        ([login("b", disabled=NEEDS_LOGIN)], True),
        ([login("b", enabled=False)], True),
        ([make_account("key")], False),
    ],
    ids=["alone", "beside a lost one", "beside one that is off", "beside a key"],
)
def test_only_accounts_that_could_serve_count(others: list[Account], cooling: bool) -> None:
    pool = pool_of(login("a"), *others, limited="a")
    assert ("all-cooling", "a") in found(pool) or not cooling
    assert (("all-cooling", "a") in found(pool)) is cooling


def test_a_key_that_may_not_be_used_counts_for_nothing() -> None:
    accounts = login("a"), make_account("key")
    assert ("all-cooling", "a") in found(
        pool_of(*accounts, limited="a", budget=Budget(pay_per_use="never"))
    )
    spent = Budget(cap=1.0, spent=1.0, day_ends_at=NOW + 60)
    assert found(pool_of(*accounts, limited="a", budget=spent)) == [
        ("all-cooling", "a"),
        ("cap", None),
    ]


def test_a_pool_without_anything_that_recovers_is_not_cooling() -> None:
    assert found(pool_of()) == []
    assert found(pool_of(login("a", disabled="on holiday"))) == []


def test_a_limit_of_one_model_is_not_all() -> None:
    pool = pool_of(login("a"))
    of_opus = make_failure(
        429,
        "retry-after: 10\nanthropic-ratelimit-unified-5h-status: allowed\n"
        "anthropic-ratelimit-unified-representative-claim: seven_day_opus",
    )
    pool.failed("anthropic:a", REQUEST, of_opus, sent_at=NOW - 1, now=NOW)
    assert found(pool) == []
    assert subscriptions_out(pool, REQUEST.model, NOW)
    assert not subscriptions_out(pool, "claude-haiku-4-5", NOW)


def test_an_account_is_out_until_the_reset_of_its_window_although_it_is_tried_before() -> None:
    """A cooldown lasts ten minutes at most, a window hours."""
    used_up = make_failure(
        429,
        f"retry-after: 60\nanthropic-ratelimit-unified-5h-status: rejected\n"
        f"anthropic-ratelimit-unified-5h-reset: {NOW + 7200:.0f}",
    )
    pool = pool_of(login("a"), make_account("key"))
    for account in pool.accounts:
        pool.failed(account.key, REQUEST, used_up, sent_at=NOW - 1, now=NOW)
    [condition] = situation(pool, NOW + 1000).conditions
    assert (condition.kind, condition.reset) == ("all-cooling", NOW + 7200)
    assert subscriptions_out(pool, REQUEST.model, NOW + 1000)
    assert situation(pool, NOW + 7201).conditions == ()


def test_an_account_that_is_being_tried_is_not_back_yet() -> None:
    pool = pool_of(login("a"), limited="a")
    pool.began("anthropic:a", REQUEST, NOW + 91)
    assert found(pool, NOW + 100) == [("all-cooling", "a")]


def test_who_serves_beyond_doubt_has_been_healed_by_a_success() -> None:
    pool = pool_of(login("a"), limited="a")
    assert situation(pool, NOW + 91).serving is None
    pool.succeeded("anthropic:a", REQUEST, sent_at=NOW + 91, now=NOW + 92)
    assert situation(pool, NOW + 92).serving == "a"


@pytest.mark.parametrize(
    ("accounts", "limited", "out"),
    [
        ([login("a"), make_account("key")], "a", True),
        ([login("a"), login("b"), make_account("key")], "a", False),
        ([login("a", disabled=NEEDS_LOGIN)], "", True),
        ([login("a", disabled="on holiday")], "", False),
        ([login("a", paused=Pause())], "", False),
        ([login("a", paused=Pause(NOW - 1)), login("b", disabled=NEEDS_LOGIN)], "a", True),
        ([login("a", excluded_models=("claude-opus-*",))], "", False),
        ([make_account("key")], "key", False),
    ],
    ids=[
        "limited",
        "one is left",
        "lost",
        "by its owner",
        "paused",
        "pause over",
        "not for this model",
        "keys only",
    ],
)
def test_when_the_subscriptions_are_out(accounts: list[Account], limited: str, out: bool) -> None:
    assert subscriptions_out(pool_of(*accounts, limited=limited), REQUEST.model, NOW) is out


def test_who_serves_for_money_is_named() -> None:
    assert found(pool_of(login("a")), paid="openai/gpt-x") == [("paid-fallback", "openai/gpt-x")]


def test_a_client_has_a_cap_of_its_own() -> None:
    budget = Budget(day_ends_at=NOW + 60, clients={"ci": ClientUse(today_usd=2.5)})
    keys = [ClientKey(name, "", NOW, daily_cap_usd=2.0) for name in ("ci", "laptop")]
    [condition] = situation(pool_of(login(), budget=budget), NOW, clients=keys).conditions
    assert (condition.cause, condition.client, condition.spent_usd) == ("cap ci", "ci", 2.5)


def test_a_cap_of_nothing_is_no_event() -> None:
    day = Budget(cap=2.0, spent=2.5, day_ends_at=NOW + 60)
    [condition] = situation(pool_of(login(), budget=day), NOW).conditions
    assert (condition.spent_usd, condition.cap_usd, condition.period_ends_at) == (
        2.5,
        2.0,
        NOW + 60,
    )
    assert found(pool_of(login(), budget=replace(day, cap=0.0))) == []
    assert found(pool_of(login(), budget=replace(day, spent=1.9))) == []
    assert found(pool_of(login(), budget=day), NOW + 61) == []
