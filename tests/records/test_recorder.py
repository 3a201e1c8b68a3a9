from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest

from neurolink_mitm.core.failover.ineligible import ALL_COOLING
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.records.recorder import Recorder
from tests.fakes import NOW
from tests.records.rows_for_replay import LIMITED_FOR_60, Row, asked, attempt, recording


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        (b'{"timestamp":"2026', 1),
        (b"\xff\xfe\n", 1),
        (b'{"":' * 100_000, 1),
        (b"\n", 0),
        (b'{"timestamp": "soon", "requestId": "r", "account": "a"}', 1),
        (b'{"timestamp": "2026-11-22T10:00:00Z", "requestId": "r", "cooldownMs": "soon"}', 1),
        (b'{"timestamp": "2026-11-22T10:00:00Z", "requestId": "r", "cooldownMs": NaN}', 1),
    ],
    ids=["torn", "binary", "deep", "blank", "no-time", "no-number", "not-a-number"],
)
def test_lines_that_are_no_rows(line: bytes, bad: int) -> None:
    recorder = Recorder()
    recorder.take_attempts([msgspec.json.encode(attempt("r1", 0, "a")), line])
    result = recorder.finish()
    assert (len(result.requests), result.bad) == (1, bad)


def test_rows_of_an_old_version_are_read() -> None:
    needed = ("timestamp", "requestId", "account")
    old = {name: value for name, value in attempt("r1", 0, "a").items() if name in needed}
    assert [each.served_by for each in recording([old]).requests] == ["a"]


def test_requests_are_put_in_the_order_of_their_attempts() -> None:
    result = recording([attempt(f"r{at}", at, f"a{at}") for at in (3, 1, 2)])
    assert [each.served_by for each in result.requests] == ["a1", "a2", "a3"]


def test_a_request_has_its_attempts() -> None:
    tries = [attempt("r1", 0.1, "a", **LIMITED_FOR_60), attempt("r1", 0.5, "b")]
    [request] = recording(tries, [asked("r1", 0, "b", sessionId="s")]).requests
    assert (request.at, request.served_by, request.failovers) == (NOW + 0.1, "b", 1)
    assert (request.cost, request.requirements.session) == (1.0, "s")


NOT_ASKED: list[tuple[str, Row, int]] = [
    ("refused-by-the-gate", asked("r1", 0, None, responseStatus=401), 0),
    ("another-provider's", asked("r1", 0, "openai/x", provider="openai"), 1),
]


@pytest.mark.parametrize(
    ("row", "elsewhere"), [row[1:] for row in NOT_ASKED], ids=[row[0] for row in NOT_ASKED]
)
def test_requests_that_asked_for_no_account_are_left_out(row: Row, elsewhere: int) -> None:
    result = recording([], [row])
    assert (list(result.requests), result.elsewhere) == ([], elsewhere)


def test_a_request_that_no_account_was_left_for_counts() -> None:
    why = f"held for 3.0 s; {ALL_COOLING} at 10:00. a: cooling"
    [request] = recording([], [asked("r1", 0, None, responseStatus=429, why=why)]).requests
    assert (request.served_by, request.cost) == (None, None)


def test_what_another_provider_answered_in_the_end_no_account_did() -> None:
    row = asked("r1", 0, "openai/x", provider="openai", costUsd=0.5)
    tries = [
        attempt("r1", 0, "a", **LIMITED_FOR_60),
        attempt("r1", 1, "openai/x", provider="openai"),
    ]
    [request] = recording(tries, [row]).requests
    assert (request.served_by, request.cost, request.other_cost) == (None, None, 0.5)


def test_a_request_whose_attempts_are_gone_counts_by_its_own_row() -> None:
    result = recording([], [asked("r1", 0, "a"), asked("r2", 1, "a", responseStatus=429)])
    assert [each.served_by for each in result.requests] == ["a", None]
    assert result.types == {"a": "api_key"}


@pytest.mark.parametrize("number", [-1.0, 1e308])
def test_numbers_have_bounds(number: float) -> None:
    numbers = dict.fromkeys(("durationMs", "cooldownMs", "retryAfter", "utilization5h"), number)
    row = asked("r1", 0, "a", costUsd=number, cacheReadTokens=int(number), movedCacheTokens=-5)
    result = recording([attempt("r1", 0, "a", **(LIMITED_FOR_60 | numbers))], [row])
    [request], [tried] = result.requests, result.attempts
    assert all(0 <= each < 1e10 for each in (request.cached, request.moved, tried.until - tried.at))
    assert request.cost is None or 0 <= request.cost < math.inf


def test_the_time_that_is_asked_for() -> None:
    """A request before it has attempts in it, which don't count."""
    rows = [asked("r1", -1, "a"), asked("r2", 1, "a"), asked("r3", 10, "a")]
    tries = [
        attempt("r1", 1, "a"),
        attempt("r2", 1, "a"),
        attempt("r3", 10, "a"),
        attempt("r4", 2, "b"),
    ]
    recorder = Recorder(NOW, NOW + 10)
    recorder.take_requests(map(msgspec.json.encode, rows))
    recorder.take_attempts(map(msgspec.json.encode, tries))
    assert [each.served_by for each in recorder.finish().requests] == ["a", "b"]


def test_of_too_many_requests_the_latest_count() -> None:
    recorder = Recorder(most=8)
    recorder.take_attempts(msgspec.json.encode(attempt(f"r{at}", at, "a")) for at in range(100))
    result = recorder.finish()
    assert result.cut
    assert 8 <= len(result.requests) <= 10
    assert result.requests[-1].at == NOW + 99


def test_a_limit_is_one_of_a_family_if_others_were_served_meanwhile() -> None:
    rows = [asked("r1", 0, "a"), asked("r2", 1, "a", model="claude-haiku-4-5")]
    tries = [attempt("r1", 0, "a", **LIMITED_FOR_60), attempt("r2", 1, "a")]
    assert [each.of_family_only for each in recording(tries, rows).attempts] == [True, False]
    rows[1] = asked("r2", 1, "a")
    assert not recording(tries, rows).attempts[0].of_family_only


@pytest.mark.parametrize(
    ("changes", "claude_code"),
    [
        ({}, False),
        ({"sessionId": "s"}, True),
        ({"sessionId": "s", "api": "openai-chat"}, False),
        ({"accountType": "oauth"}, True),
    ],
    ids=["unknown-client", "session", "openai", "on-a-subscription"],
)
def test_who_asks(changes: Row, claude_code: bool) -> None:
    tries = [attempt("r1", 0, "a", accountType=changes.get("accountType", "api_key"))]
    [request] = recording(tries, [asked("r1", 0, "a", **changes)]).requests
    assert request.requirements.claude_code is claude_code


def test_the_endpoint_is_that_of_the_attempts() -> None:
    [request] = recording([attempt("r1", 0, "a", endpoint="count_tokens")]).requests
    assert request.requirements == replace(request.requirements, endpoint="count_tokens")


def test_a_clock_that_was_set_back() -> None:
    """Rows are in the order in which they were written; the times of some are earlier."""
    result = recording([attempt("r1", 7200, "a"), attempt("r2", 0, "b")])
    assert [iso(each.at) for each in result.requests] == [iso(NOW), iso(NOW + 7200)]
