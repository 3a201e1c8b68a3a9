from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm import __version__
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.core.status.event_loop import Lag
from neurolink_mitm.core.status.status import banner, explain, health, report
from neurolink_mitm.ports import Runtime
from tests.fakes import NOW, make_account, make_failure, make_runtime

OPUS = "claude-opus-4-6"
ANY = Requirements(claude_code=True, model=OPUS)
A, B = "anthropic:a", "anthropic:b"
LOGIN = "sk-ant-oat01-x"
LIMITED = make_failure(429, "retry-after: 10")
OF_OPUS = make_failure(
    429, "retry-after: 30\nanthropic-ratelimit-unified-representative-claim: seven_day_opus"
)
SUBSCRIPTION = """
anthropic-ratelimit-unified-status: allowed_warning
anthropic-ratelimit-unified-representative-claim: five_hour
anthropic-ratelimit-unified-overage-status: rejected
anthropic-ratelimit-unified-5h-status: allowed
anthropic-ratelimit-unified-5h-utilization: {used}
anthropic-ratelimit-unified-5h-reset: 1760018000
"""


def fail(pool: Pool, key: str = A, failure: Any = LIMITED, now: float = NOW) -> None:
    pool.began(key, ANY, now)
    pool.ended(key, sent_at=now)
    pool.failed(key, ANY, failure, sent_at=now, now=now)


def reported(runtime: Runtime, now: float = NOW) -> dict[str, Any]:
    """As whoever asks for it reads it."""
    found = msgspec.json.decode(msgspec.json.encode(report(runtime, now)))
    assert isinstance(found, dict)
    return found


@dataclass(frozen=True)
class Renewals:
    """What a refresher says of itself."""

    unwritten: dict[str, str] = field(default_factory=dict)
    clock_skew: float | None = None


def account_of(pool: Pool, now: float = NOW) -> dict[str, Any]:
    found = reported(make_runtime(pool=pool), now)["stats"]["accounts"][0]
    assert isinstance(found, dict)
    return found


# --- The proxy


def test_the_banner_says_where_to_look() -> None:
    page = {"name": "neurolink", "version": __version__, "status": "/status"}
    url = "http://127.0.0.1:55670"
    assert banner(url) == {**page, "dashboard": url}


def test_health() -> None:
    assert health(make_runtime(), NOW + 61.26) == {
        "status": "ok",
        "strategy": "fill-first",
        "uptime": 61.3,
        "version": __version__,
    }


def test_the_strategy_of_transparent_forwarding() -> None:
    runtime = make_runtime(passthrough=True)
    assert health(runtime, NOW)["strategy"] == reported(runtime)["strategy"] == "passthrough"


def test_the_report_of_a_new_proxy() -> None:
    runtime = make_runtime(config_path="/h/proxy-config.yaml", config_errors=("weight: odd",))
    assert reported(runtime, NOW + 2) == {
        "status": "running",
        "phase": "starting",
        "pid": 4711,
        "host": "127.0.0.1",
        "port": 55669,
        "listen": {"certificate": None, "hosts": [], "warnings": []},
        "strategy": "fill-first",
        "now": "2025-10-09T08:53:22.000Z",
        "uptime": 2.0,
        "version": __version__,
        "stats": {
            "totalAttempts": 0,
            "totalRequests": 0,
            "totalSuccess": 0,
            "totalErrors": 0,
            "totalRateLimits": 0,
            "primaryAccount": {
                "configured": None,
                "key": None,
                "label": None,
                "source": "fallback",
            },
            "forecast": None,
            "accounts": [],
        },
        "requestsInFlight": 0,
        "requestsHeld": 0,
        "requests": [],
        "held": [],
        "clockSkew": None,
        "fallbackChain": [],
        "translator": None,
        "spend": {"payPerUse": "allow", "todayUsd": 0.0, "capUsd": None, "leftUsd": None},
        "journal": {"dropped": 0, "bodiesDropped": 0, "lastError": None},
        "telemetry": None,
        "notices": None,
        "dashboard": None,
        "cluster": None,
        "loop": Lag().report(),
        "config": {
            "path": "/h/proxy-config.yaml",
            "loadedAt": "2025-10-09T08:53:20.000Z",
            "errors": ["weight: odd"],
        },
    }


def test_totals() -> None:
    runtime = make_runtime()
    totals = runtime.totals
    totals.attempts, totals.requests, totals.success = 5, 4, 3
    totals.errors, totals.rate_limits = 2, 1
    stats = reported(runtime)["stats"]
    names = ("totalAttempts", "totalRequests", "totalSuccess", "totalErrors", "totalRateLimits")
    assert [stats[name] for name in names] == [5, 4, 3, 2, 1]


def test_how_far_the_clock_is_off() -> None:
    runtime = make_runtime(refresher=Renewals(clock_skew=-90.04))
    assert reported(runtime)["clockSkew"] == -90.0


def test_tokens_that_are_not_on_disk() -> None:
    why = "can't write tokens.json: No space left on device"
    runtime = make_runtime(
        make_account("a"), make_account("b"), refresher=Renewals(unwritten={"b": why})
    )
    accounts = reported(runtime)["stats"]["accounts"]
    assert [each["unwritten"] for each in accounts] == [None, why]


@pytest.mark.parametrize(
    ("wanted", "source"),
    [("a", "configured"), (A, "configured"), ("b", "fallback"), (None, "fallback")],
    ids=["label", "key", "not-there", "none-named"],
)
def test_the_primary_account_is_the_first_of_the_pool(wanted: str | None, source: str) -> None:
    config = Config(routing=Routing(primary_account=wanted))
    runtime = make_runtime(make_account("a"), config=config)
    assert reported(runtime)["stats"]["primaryAccount"] == {
        "configured": wanted,
        "key": A,
        "label": "a",
        "source": source,
    }


# --- An account


def test_an_account_that_was_never_used() -> None:
    assert account_of(Pool([make_account("a", LOGIN)])) == {
        "label": "a",
        "key": A,
        "type": "oauth",
        "attempts": 0,
        "success": 0,
        "errors": 0,
        "rateLimits": 0,
        "backoffLevel": 0,
        "cooling": False,
        "coolingUntil": None,
        "recoversAt": None,
        "reason": None,
        "paused": None,
        "lastAttemptAt": None,
        "lastErrorAt": None,
        "lastError": None,
        "inFlight": 0,
        "cooldowns": {},
        "quota": None,
        "unwritten": None,
    }


def test_a_cooling_account() -> None:
    pool = Pool([make_account("a")])
    fail(pool)
    pool.began(A, ANY, NOW + 1)
    found = account_of(pool, NOW + 1)
    assert {name: value for name, value in found.items() if value} == {
        "label": "a",
        "key": A,
        "type": "api_key",
        "attempts": 2,
        "errors": 1,
        "rateLimits": 1,
        "backoffLevel": 1,
        "cooling": True,
        "coolingUntil": "2025-10-09T08:53:30.000Z",
        "recoversAt": "2025-10-09T08:53:30.000Z",
        "reason": "rate limit (429)",
        "lastAttemptAt": "2025-10-09T08:53:21.000Z",
        "lastErrorAt": "2025-10-09T08:53:20.000Z",
        "lastError": "rate limit (429)",
        "inFlight": 1,
        "cooldowns": {
            "*": {
                "until": "2025-10-09T08:53:30.000Z",
                "recoversAt": "2025-10-09T08:53:30.000Z",
                "cooling": True,
                "level": 1,
                "reason": "rate limit (429)",
                "whole": False,
            }
        },
    }


def test_after_its_cooldown_the_level_is_still_told() -> None:
    pool = Pool([make_account("a")])
    fail(pool)
    found = account_of(pool, NOW + 10)
    assert (found["cooling"], found["coolingUntil"], found["reason"]) == (False, None, None)
    assert (found["backoffLevel"], found["cooldowns"]["*"]["cooling"]) == (1, False)


def test_each_scope_is_told_and_the_accounts_own_first() -> None:
    pool = Pool([make_account("a")])
    fail(pool, failure=OF_OPUS)
    assert account_of(pool)["coolingUntil"] == "2025-10-09T08:53:50.000Z"
    fail(pool, now=NOW + 31)
    found = account_of(pool, NOW + 31)
    assert found["coolingUntil"] == "2025-10-09T08:54:01.000Z"
    assert list(found["cooldowns"]) == ["*opus*", "*"]


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        ({"disabled": "invalid_grant"}, "disabled: invalid_grant"),
        ({"enabled": False}, "not enabled"),
        ({"enabled": False, "disabled": "x"}, "disabled: x"),
        ({}, "rate limit (429)"),
    ],
)
def test_the_reason_is_the_one_that_lasts(account: dict[str, Any], reason: str) -> None:
    pool = Pool([make_account("a", **account)])
    fail(pool)
    found = account_of(pool)
    assert found["reason"] == reason
    assert found["cooling"] is (not account), "what does not end by itself is no cooling"
    assert (found["coolingUntil"] is None) is (found["recoversAt"] is None) is bool(account)


def test_it_recovers_with_its_window_although_it_may_be_tried_before() -> None:
    pool = Pool([make_account("a")])
    pool.account_state(A).cooldowns["*"] = Cooldown(1, NOW, NOW + 30, "x", resets_at=NOW + 3600)
    found = [account_of(pool, NOW + later) for later in (0, 60, 3600)]
    assert [each["cooling"] for each in found] == [True, False, False]
    recovery = "2025-10-09T09:53:20.000Z"
    assert [each["recoversAt"] for each in found] == [recovery, recovery, None]


def test_quota_of_a_subscription_with_its_projection() -> None:
    pool = Pool([make_account("a")])
    for passed, used in ((0, 0.5), (600, 0.6)):
        fields = make_failure(200, SUBSCRIPTION.format(used=used)).headers
        pool.update_quota(A, fields, NOW + passed)
    assert account_of(pool, NOW + 600)["quota"] == {
        "fiveHour": {
            "used": 0.6,
            "status": "allowed",
            "reset": "2025-10-09T13:53:20.000Z",
            "runsOutAt": "2025-10-09T09:43:20.000Z",
            "models": ["*"],
        },
        "sevenDay": None,
        "windows": {
            "5h": {
                "used": 0.6,
                "status": "allowed",
                "reset": "2025-10-09T13:53:20.000Z",
                "runsOutAt": "2025-10-09T09:43:20.000Z",
                "models": ["*"],
            }
        },
        "status": "allowed_warning",
        "representativeClaim": "five_hour",
        "overageStatus": "rejected",
        "limits": {},
        "seenAt": "2025-10-09T09:03:20.000Z",
    }


def test_a_window_that_was_reset_is_no_longer_told() -> None:
    pool = Pool([make_account("a")])
    pool.update_quota(A, make_failure(200, SUBSCRIPTION.format(used=0.5)).headers, NOW)
    assert account_of(pool, 1760018000.0)["quota"]["fiveHour"] is None


def test_quota_of_an_api_key() -> None:
    pool = Pool([make_account("a")])
    lines = """
    anthropic-ratelimit-requests-limit: 50
    anthropic-ratelimit-requests-remaining: 49
    anthropic-ratelimit-requests-reset: 2025-10-09T08:54:20Z
    anthropic-ratelimit-tokens-limit: 40000
    """
    pool.update_quota(A, make_failure(200, lines).headers, NOW)
    quota = account_of(pool)["quota"]
    assert quota["limits"] == {
        "requests": {"limit": 50.0, "remaining": 49.0, "reset": "2025-10-09T08:54:20.000Z"},
        "tokens": {"limit": 40000.0, "remaining": None, "reset": None},
    }
    others = ("fiveHour", "sevenDay", "status", "representativeClaim", "overageStatus")
    assert [quota[name] for name in others] == [None] * 5


names = st.sampled_from([line.partition(":")[0] for line in SUBSCRIPTION.split()]).map(str.encode)
values = st.one_of(st.floats(), st.floats(0, 1e13), st.text()).map(str).map(str.encode)


@given(st.lists(st.lists(st.tuples(names, values)), max_size=4))
def test_no_answer_of_upstream_keeps_it_from_being_told(
    answers: list[list[tuple[bytes, bytes]]],
) -> None:
    pool = Pool([make_account("a")])
    for passed, fields in enumerate(answers):
        pool.update_quota(A, tuple(fields), NOW + passed)
    assert account_of(pool)["key"] == A


# --- Explain


@dataclass
class Case:
    """What the first of two accounts is, what has happened to it, and what is then said of it."""

    reason: str
    until: str | None = None
    account: dict[str, Any] = field(default_factory=dict)
    failure: Any = None
    sent: int = 0
    requirements: Requirements = ANY
    now: float = NOW

    def pool(self) -> Pool:
        pool = Pool([make_account("a", **self.account), make_account("b")])
        pool.ineligible(self.requirements, NOW)
        if self.failure:
            fail(pool, failure=self.failure)
        for _ in range(self.sent):
            pool.began(A, self.requirements, self.now)
        return pool


SKIPPED = {
    "disabled": Case("disabled: invalid_grant", account={"disabled": "invalid_grant"}),
    "needs-login": Case("needs login: its token has expired", account={"expires_at": NOW - 1}),
    "not-enabled": Case("not enabled", account={"enabled": False}),
    "client": Case(
        "a subscription serves Claude Code only",
        account={"token": LOGIN},
        requirements=Requirements(model=OPUS),
    ),
    "excluded": Case(f"excludes {OPUS}", account={"excluded_models": ("*opus*",)}),
    "cooling": Case(
        "cooling for 10 s: rate limit (429)", "2025-10-09T08:53:30.000Z", failure=LIMITED
    ),
    "refused": Case(
        "cooling for 300 s: refused credential (401)",
        "2025-10-09T08:58:20.000Z",
        failure=make_failure(401),
    ),
    "cooling-model": Case(
        "cooling for *opus* for 30 s: rate limit of one model (429)",
        "2025-10-09T08:53:50.000Z",
        failure=OF_OPUS,
    ),
    "probed": Case(
        "being tried again after rate limit (429)",
        "2025-10-09T08:53:31.000Z",
        failure=LIMITED,
        sent=1,
        now=NOW + 10,
    ),
    "probed-model": Case(
        "being tried again for *opus* after rate limit of one model (429)",
        "2025-10-09T08:53:51.000Z",
        failure=OF_OPUS,
        sent=1,
        now=NOW + 30,
    ),
    "rate-limit": Case(
        "over its 2 requests a minute",
        "2025-10-09T08:53:50.000Z",
        account={"rate_limit": 2},
        sent=2,
    ),
    "concurrent": Case(
        "at its 1 requests at once",
        "2025-10-09T08:53:21.000Z",
        account={"max_concurrent": 1},
        sent=1,
    ),
}


@pytest.mark.parametrize("case", SKIPPED.values(), ids=SKIPPED)
def test_each_account_that_is_skipped_says_why(case: Case) -> None:
    skipped, taken = explain(case.pool(), case.requirements, case.now)
    assert skipped == {
        "key": A,
        "label": "a",
        "next": False,
        "usable": False,
        "reason": case.reason,
        "until": case.until,
    }
    assert (taken["next"], taken["usable"], taken["reason"]) == (True, True, "fill-first")


def test_one_that_is_usable_but_not_next() -> None:
    first, second = explain(Pool([make_account("a"), make_account("b")]), ANY, NOW)
    assert first == {
        "key": A,
        "label": "a",
        "next": True,
        "usable": True,
        "reason": "fill-first",
        "until": None,
    }
    assert second == {
        "key": B,
        "label": "b",
        "next": False,
        "usable": True,
        "reason": "usable, but not next by fill-first",
        "until": None,
    }


def test_the_home_of_a_session() -> None:
    pool = Pool([make_account("a"), make_account("b")], "round-robin")
    requirements = Requirements(claude_code=True, model=OPUS, session="s")
    pool.succeeded(B, requirements, sent_at=NOW, now=NOW)
    first, second = explain(pool, requirements, NOW)
    assert first["reason"] == "usable, but not next by session affinity"
    assert (second["next"], second["reason"]) == (True, "session affinity")


def test_without_accounts_there_is_nothing_to_explain() -> None:
    assert explain(Pool([]), ANY, NOW) == []


def test_explaining_takes_nobodys_turn() -> None:
    pool = Pool([make_account("a"), make_account("b")], "round-robin")
    for _ in range(3):
        assert [each["next"] for each in explain(pool, ANY, NOW)] == [True, False]
    account = pool.choose(ANY, NOW).account
    assert isinstance(account, Account)
    assert account.key == A


@pytest.mark.parametrize("model", [OPUS, None])
def test_it_is_about_the_model_asked_for(model: str | None) -> None:
    pool = Pool([make_account("a")])
    fail(pool, failure=OF_OPUS)
    [found] = explain(pool, Requirements(claude_code=True, model=model), NOW)
    assert found["usable"] is (model is None)
