from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.records.recording import Recording
from neurolink_mitm.records.replay import Outcome, Replay, recorded
from neurolink_mitm.records.replay_pool import Setting, accounts_of
from tests.records.rows_for_replay import LIMITED_FOR_60, Row, asked, attempt, recording


def account(label: str, **settings: Any) -> Account:
    return Account(f"anthropic:{label}", label, "api_key", Secret("sk"), "", **settings)


def replay(of: Recording, strategy: str, setting: Setting | None = None) -> Outcome:
    return Replay(of, (strategy,), setting).finish()[strategy]


TRAFFIC = [
    attempt("r1", 0, "a"),
    attempt("r2", 10, "a", **LIMITED_FOR_60),
    attempt("r2", 10.1, "b"),
    attempt("r3", 20, "b"),
    attempt("r4", 80, "a"),
]


def test_recorded() -> None:
    outcome = recorded(recording(TRAFFIC))
    assert (outcome.requests, outcome.rate_limits, outcome.refused) == (4, 1, 0)
    assert (outcome.failovers, outcome.served) == (1, {"a": 2, "b": 2})


def test_the_same_strategy_meets_the_same_limits() -> None:
    outcome = replay(recording(TRAFFIC), "fill-first")
    assert (outcome.requests, outcome.rate_limits, outcome.refused) == (4, 1, 0)
    assert (outcome.failovers, outcome.served) == (1, {"a": 2, "b": 2})


def test_a_limit_on_counting_tokens_limits_no_message() -> None:
    traffic = [
        attempt("r1", 0, "a", endpoint="count_tokens", **LIMITED_FOR_60),
        attempt("r1", 0.1, "b", endpoint="count_tokens"),
        attempt("r2", 10, "a"),
        attempt("r3", 20, "b", endpoint="count_tokens"),
    ]
    outcome = replay(recording(traffic), "fill-first")
    assert (outcome.rate_limits, outcome.served) == (1, {"a": 1, "b": 2})


def test_a_session_leaves_an_account_that_cools_down() -> None:
    """Another session has met the limit: this one does not ask there until it is over."""
    of = recording(
        [
            attempt("s1", 0, "a"),
            attempt("t1", 10, "a", **LIMITED_FOR_60),
            attempt("t1", 10.1, "b"),
            attempt("s2", 20, "b"),
        ],
        [
            asked("s1", 0, "a", sessionId="s"),
            asked("t1", 10, "b", sessionId="t"),
            asked("s2", 20, "b", sessionId="s"),
        ],
    )
    outcome = replay(of, "fill-first")
    assert (outcome.rate_limits, outcome.served) == (1, {"a": 1, "b": 2})


def test_round_robin_may_pass_a_limit_by() -> None:
    """The second request is b's turn anyway, and a cools down for nobody."""
    outcome = replay(recording(TRAFFIC), "round-robin")
    assert outcome.requests == 4
    assert outcome.served.total() == 4
    assert outcome.served["b"] >= 2


def test_quota_aware_leaves_an_account_before_its_limit() -> None:
    """What was recorded of the windows steers the choice: b is asked before a runs into its 429."""
    traffic = recording([
        attempt("r1", 0, "a", utilization5h=0.7),
        attempt("r2", 10, "a", **LIMITED_FOR_60),
        attempt("r2", 10.1, "b", utilization5h=0.1),
    ])  # fmt: skip
    assert replay(traffic, "fill-first").rate_limits == 1
    aware = replay(traffic, "quota-aware")
    assert (aware.rate_limits, dict(aware.served)) == (0, {"a": 1, "b": 1})


def test_nobody_left() -> None:
    traffic = recording(
        [attempt("r1", 0, "a", **LIMITED_FOR_60), attempt("r2", 1, "a", **LIMITED_FOR_60)]
    )
    outcome = replay(traffic, "fill-first")
    assert (outcome.requests, outcome.refused, outcome.rate_limits) == (2, 2, 1)
    assert recorded(traffic).refused == 2


def test_requests_at_once_all_meet_the_limit() -> None:
    """The account cools only once the first answer is there."""
    slow = LIMITED_FOR_60 | {"durationMs": 500.0}
    traffic = []
    for number in range(4):
        traffic += [
            attempt(f"r{number}", number / 10, "a", **slow),
            attempt(f"r{number}", number / 10 + 0.5, "b"),
        ]
    outcome = replay(recording(traffic), "fill-first")
    assert (outcome.rate_limits, outcome.failovers, outcome.served) == (4, 4, {"b": 4})


def test_an_answer_ends_a_limit() -> None:
    """Upstream said 60 s, but a answers after 20."""
    traffic = [
        attempt("r1", 0, "a", **LIMITED_FOR_60),
        attempt("r1", 0.1, "b"),
        attempt("r2", 20, "a"),
        attempt("r3", 30, "a"),
    ]
    outcome = replay(recording(traffic), "round-robin")
    assert (outcome.rate_limits, outcome.refused) == (1, 0)


def test_a_limit_of_one_family_leaves_the_others() -> None:
    haiku = {"model": "claude-haiku-4-5", "sessionId": "h"}
    rows = [asked("r1", 0, "b"), *(asked(f"r{n}", n, "a", **haiku) for n in (2, 3, 4))]
    tries = [
        attempt("r1", 0, "a", **LIMITED_FOR_60),
        attempt("r1", 0.1, "b"),
        *(attempt(f"r{n}", n, "a") for n in (2, 3, 4)),
    ]
    outcome = replay(recording(tries, rows), "fill-first")
    assert (outcome.rate_limits, outcome.served) == (1, {"a": 3, "b": 1})


def test_an_overloaded_account_is_failed_over_and_no_rate_limit() -> None:
    overloaded = {"responseStatus": 529, "errorType": "overloaded_error", "cooldownMs": 2000.0}
    traffic = recording([attempt("r1", 0, "a", **overloaded), attempt("r1", 0.1, "b")])
    for outcome in (recorded(traffic), replay(traffic, "fill-first")):
        assert (outcome.rate_limits, outcome.failovers, outcome.served) == (0, 1, {"b": 1})


def test_subscriptions_come_first() -> None:
    result = recording([attempt("r1", 0, "key"), attempt("r2", 1, "plan", accountType="oauth")])
    assert [each.label for each in accounts_of(result, ())] == ["plan", "key"]


def test_accounts_of_now_come_first_and_those_that_are_gone_last() -> None:
    now = [account("new"), account("a"), account("off", enabled=False)]
    result = recording([attempt("r1", 0, "gone"), attempt("r2", 1, "a")])
    assert [each.label for each in accounts_of(result, now)] == ["new", "a", "gone"]


def test_an_account_that_is_off_now_served_then() -> None:
    result = recording([attempt("r1", 0, "off")])
    outcome = replay(result, "fill-first", Setting([account("off", enabled=False)]))
    assert outcome.served == {"off": 1}


SUBSCRIPTION = {"accountType": "oauth", "sessionId": "s"}


def test_dollars_of_subscriptions_are_not_paid() -> None:
    rows = [asked("r1", 0, "plan", **SUBSCRIPTION), asked("r2", 1, "key")]
    tries = [attempt("r1", 0, "plan", accountType="oauth"), attempt("r2", 1, "key")]
    for outcome in (recorded(recording(tries, rows)), replay(recording(tries, rows), "fill-first")):
        assert (outcome.paid, outcome.listed, outcome.unpriced) == (1.0, 2.0, 0)


def test_what_other_providers_answer_is_paid_again() -> None:
    row = asked("r1", 0, "openai/x", provider="openai", costUsd=0.5)
    traffic = recording([attempt("r1", 0, "a", **LIMITED_FOR_60)], [row])
    for outcome in (recorded(traffic), replay(traffic, "fill-first")):
        assert (outcome.refused, outcome.paid, outcome.listed) == (1, 0.5, 0.0)


def test_subscriptions_serve_no_other_clients() -> None:
    rows = [asked("r1", 0, "key"), asked("r2", 1, "plan", **SUBSCRIPTION)]
    tries = [attempt("r1", 0, "key"), attempt("r2", 1, "plan", accountType="oauth")]
    outcome = replay(recording(tries, rows), "fill-first")
    assert outcome.served == {"key": 1, "plan": 1}


def sessions(count: int, requests: int, every: float, **changes: object) -> Recording:
    """Sessions that ask in turns, all on `a`, each with 1,000 tokens in the cache."""
    row = {"cacheReadTokens": 900, "cacheCreationTokens": 100} | changes
    rows, tries = [], []
    for number in range(requests):
        at = number * every
        rows.append(asked(f"r{number}", at, "a", sessionId=f"s{number % count}", **row))
        tries.append(attempt(f"r{number}", at, "a"))
    tries.append(attempt("last", requests * every, "b"))  # so that there is another account
    return recording(tries, rows)


def test_sessions_stay_where_their_cache_is() -> None:
    outcome = replay(sessions(3, 30, 5.0), "round-robin")
    assert outcome.moved == 0
    assert outcome.served["a"] in (10, 11, 20, 21)


@pytest.mark.parametrize(
    ("every", "changes", "moved"),
    [
        (5.0, {}, True),
        (301.0, {}, False),
        (301.0, {"cacheCreation1hTokens": 100}, True),
        (3601.0, {"cacheCreation1hTokens": 100}, False),
    ],
    ids=["kept", "5-minutes-over", "an-hour", "an-hour-over"],
)
def test_without_affinity_what_moves_is_written_again(
    every: float, changes: Row, moved: bool
) -> None:
    traffic = sessions(1, 6, every, **changes)
    outcome = replay(traffic, "round-robin", Setting(affinity=False))
    # once 1,000 tokens where the cache is kept meanwhile: then both accounts have them
    assert outcome.moved == (1000 if moved else 0)


def test_a_cap_ends_what_is_paid() -> None:
    rows = [asked(f"r{n}", n, "key") for n in range(5)]
    tries = [attempt(f"r{n}", n, "key") for n in range(5)]
    outcome = replay(recording(tries, rows), "fill-first", Setting(cap=2.0))
    assert (outcome.paid, outcome.refused) == (2.0, 3)


def test_pay_per_use_never_leaves_keys_alone() -> None:
    rows = [asked(f"r{n}", n, "plan", **SUBSCRIPTION) for n in range(4)]
    tries = [attempt(f"r{n}", n, "plan", accountType="oauth") for n in range(4)]
    tries.append(attempt("key", 9, "key"))
    outcome = replay(recording(tries, rows), "round-robin", Setting(pay_per_use="never"))
    assert outcome.served["plan"] >= 4


def test_nothing_recorded() -> None:
    assert replay(recording([]), "fill-first") == Outcome() == recorded(recording([]))


numbers = st.floats(allow_nan=False, allow_infinity=False)
tries = st.lists(
    st.builds(
        attempt,
        st.sampled_from(["r1", "r2", "r3", "r4"]),
        st.floats(-1e7, 1e7),
        st.sampled_from(["a", "b", "anthropic:c", "\x1b[2J"]),
        accountType=st.sampled_from(["oauth", "api_key", None, "other"]),
        responseStatus=st.sampled_from([200, 429, 529, 401, None, -1]),
        errorType=st.sampled_from([None, "rate_limit_error", "client_cancelled", "x"]),
        durationMs=numbers | st.none(),
        cooldownMs=numbers | st.none(),
        retryAfter=numbers | st.none(),
        utilization5h=numbers | st.none(),
        endpoint=st.sampled_from(["messages", "count_tokens", "nowhere", None]),
    ),
    max_size=12,
)


@given(tries)
def test_every_request_is_served_or_refused(rows: list[Row]) -> None:
    of = recording(rows)
    outcomes = [recorded(of), *Replay(of, tuple(STRATEGIES)).finish().values()]
    for outcome in outcomes:
        assert outcome.served.total() + outcome.refused == outcome.requests == len(of.requests)
        assert outcome.failovers >= 0
