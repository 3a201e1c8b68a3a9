from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.core.logs.rows import AttemptRow, iso
from neurolink_mitm.records.replay import accounts_in, read_rows, recorded, replay
from tests.fakes import NOW


def row(
    request: str, at: float, account: str | None, status: int = 200, **changes: object
) -> AttemptRow:
    """An attempt `at` seconds after NOW."""
    fields: dict[str, object] = {
        "timestamp": iso(NOW + at),
        "requestId": request,
        "attempt": 1,
        "account": account,
        "accountType": "api_key",
        "provider": "anthropic",
        "responseStatus": status,
        "errorType": None if status == 200 else "rate_limit_error",
        "durationMs": 0.0,
        "cooldownMs": 0.0,
        "backoffLevel": 0,
        "retryAfter": None,
        "upstreamRequestId": None,
    }
    return AttemptRow(**(fields | changes))


TIMES = ("connectMs", "tlsMs", "waitMs", "reused")


def test_rows_of_a_version_without_the_times_of_connections_are_read() -> None:
    values = msgspec.to_builtins(row("r1", 0, "a"))
    old = msgspec.json.encode({name: value for name, value in values.items() if name not in TIMES})
    odd = msgspec.json.encode(values | {"connectMs": "soon"})
    rows, bad = read_rows([old, odd])
    assert ([each.requestId for each in rows], bad) == (["r1"], 1)


LIMITED_FOR_60 = {"cooldownMs": 60_000.0, "retryAfter": 60.0}
TRAFFIC = [
    row("r1", 0, "a"),
    row("r2", 10, "a", 429, **LIMITED_FOR_60),
    row("r2", 10.1, "b"),
    row("r3", 20, "b"),
    row("r4", 80, "a"),
]


def test_recorded() -> None:
    outcome = recorded(TRAFFIC)
    assert (outcome.requests, outcome.rate_limits, outcome.refused) == (4, 1, 0)
    assert outcome.served == {"a": 2, "b": 2}


def test_the_same_strategy_meets_the_same_limits() -> None:
    outcome = replay(TRAFFIC, "fill-first")
    assert (outcome.requests, outcome.rate_limits, outcome.refused) == (4, 1, 0)
    assert outcome.served == {"a": 2, "b": 2}


def test_a_limit_on_counting_tokens_limits_no_message() -> None:
    traffic = [
        row("r1", 0, "a", 429, endpoint="count_tokens", **LIMITED_FOR_60),
        row("r1", 0.1, "b", endpoint="count_tokens"),
        row("r2", 10, "a"),
        row("r3", 20, "b", endpoint="count_tokens"),
    ]
    outcome = replay(traffic, "fill-first")
    assert (outcome.rate_limits, outcome.served) == (1, {"a": 1, "b": 2})


def test_round_robin_may_pass_a_limit_by() -> None:
    """The second request is b's turn anyway, and a cools down for nobody."""
    outcome = replay(TRAFFIC, "round-robin")
    assert outcome.requests == 4
    assert outcome.served.total() == 4
    assert outcome.served["b"] >= 2


def test_quota_aware_leaves_an_account_before_its_limit() -> None:
    """What was recorded of the windows steers the choice: b is asked before a runs into its 429."""
    traffic = [
        row("r1", 0, "a", utilization5h=0.7),
        row("r2", 10, "a", 429, **LIMITED_FOR_60),
        row("r2", 10.1, "b", utilization5h=0.1),
    ]
    assert replay(traffic, "fill-first").rate_limits == 1
    aware = replay(traffic, "quota-aware")
    assert (aware.rate_limits, dict(aware.served)) == (0, {"a": 1, "b": 1})


def test_nobody_left() -> None:
    traffic = [row("r1", 0, "a", 429, **LIMITED_FOR_60), row("r2", 1, "a", 429, **LIMITED_FOR_60)]
    outcome = replay(traffic, "fill-first")
    assert (outcome.requests, outcome.refused, outcome.rate_limits) == (2, 2, 1)
    assert recorded(traffic).refused == 2


def test_subscriptions_come_first() -> None:
    traffic = [row("r1", 0, "key"), row("r2", 1, "plan", accountType="oauth")]
    assert [account.label for account in accounts_in(traffic)] == ["plan", "key"]


@pytest.mark.parametrize(
    ("line", "bad"),
    [(b'{"timestamp":"2026', 1), (b"\xff\xfe\n", 1), (b'{"":' * 100_000, 1), (b"\n", 0)],
    ids=["torn", "binary", "deep", "blank"],
)
def test_lines_that_are_no_rows(line: bytes, bad: int) -> None:
    good = msgspec.json.encode(row("r1", 0, "a"))
    rows, found = read_rows([good, line])
    assert (len(rows), found) == (1, bad)


def test_rows_are_put_in_order() -> None:
    lines = [msgspec.json.encode(row(f"r{at}", at, "a")) for at in (3, 1, 2)]
    rows, _ = read_rows(lines)
    assert [r.requestId for r in rows] == ["r1", "r2", "r3"]


def test_requests_without_an_account_are_left_out() -> None:
    rows, bad = read_rows([msgspec.json.encode(row("r1", 0, None))])
    assert (rows, bad) == ([], 0)


def test_what_other_providers_answered_is_left_out() -> None:
    rows = [row("r1", 0, "a"), row("r1", 1, "openai/gpt-x", provider="openai")]
    lines = [msgspec.json.encode(each) for each in rows]
    assert read_rows(lines)[0] == rows[:1]
