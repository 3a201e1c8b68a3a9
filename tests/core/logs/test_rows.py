from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Exchange, Kind, Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.rows import (
    CLIENT_LEFT,
    PROXY_STOPPED,
    AttemptRow,
    RequestRow,
    attempt_row,
    iso,
    request_row,
    worth_a_row,
)
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.response.reader import OpaqueReader
from neurolink_mitm.core.response.usage import TokenUsage
from tests.fakes import NOW, make_account, make_attempt, make_exchange, make_other

REQUEST_FIELDS = """
timestamp, requestId, method, path, model, actualModel, provider, stream, toolCount, account, accountType,
responseStatus, responseTimeMs, ttfbMs, attempts, outcome, stopReason, inputTokens, outputTokens,
cacheCreationTokens, cacheReadTokens, costUsd, sessionId, why, traceId, spanId,
cacheCreation1hTokens, webSearchRequests, api, client, agentId, parentAgentId, userId, conversationId, heldMs,
movedCacheTokens, replica
"""
ATTEMPT_FIELDS = """
timestamp, requestId, attempt, account, accountType, provider, responseStatus, errorType, durationMs, cooldownMs,
backoffLevel, retryAfter, upstreamRequestId, utilization5h, utilization7d, replaced,
endpoint, connectMs, tlsMs, waitMs, reused
"""
WORK = make_account("work", "sk-ant-oat-test-secret")


def finished() -> Exchange:
    """A streamed answer at the second try."""
    failed = make_attempt(
        make_account("home"),
        status=429,
        failure=Failure.of_status(429, b'{"error":{"type":"rate_limit_error","message":"slow"}}'),
        ended_at=NOW + 0.25,
        cooldown=3.0,
        backoff_level=1,
        retry_after=1.5,
        upstream_request_id="req_up_1",
        utilization_5h=1.0,
        utilization_7d=0.25,
        connect_seconds=0.0201234,
        tls_seconds=0.05,
        wait_seconds=0.17,
    )
    answered = make_attempt(
        WORK, number=2, sent_at=NOW + 0.25, status=200, ended_at=NOW + 2, wait_seconds=0.9, reused=True,
    )  # fmt: skip
    return make_exchange(
        path="/v1/messages?beta=true",
        kind=Kind.MESSAGES,
        api=Api.CHAT,
        model="claude-x",
        stream=True,
        tool_count=3,
        session_id="s1",
        trace_id="t1",
        span_id="p1",
        why="took anthropic:work by fill-first",
        attempts=[failed, answered],
        reader=OpaqueReader(TokenUsage("claude-x-1", "end_turn", 1, 2, 3, 4, 2, 1)),
        outcome=Outcome.COMPLETE,
        status=200,
        first_byte_at=NOW + 1.23456,
        ended_at=NOW + 2,
    )


def test_the_row_of_a_request() -> None:
    assert request_row(finished()) == RequestRow(
        timestamp="2025-10-09T08:53:20.000Z",
        requestId="req_1",
        method="POST",
        path="/v1/messages?beta=true",
        model="claude-x",
        actualModel="claude-x-1",
        provider="anthropic",
        stream=True,
        toolCount=3,
        account="work",
        accountType="oauth",
        responseStatus=200,
        responseTimeMs=2000.0,
        ttfbMs=1234.6,
        attempts=2,
        outcome="complete",
        stopReason="end_turn",
        inputTokens=1,
        outputTokens=2,
        cacheCreationTokens=3,
        cacheReadTokens=4,
        costUsd=None,
        sessionId="s1",
        why="took anthropic:work by fill-first",
        traceId="t1",
        spanId="p1",
        cacheCreation1hTokens=2,
        webSearchRequests=1,
        api="openai-chat",
    )


def test_a_replica_has_its_name_in_its_rows() -> None:
    assert request_row(finished(), "eu-1").replica == "eu-1"


def test_the_row_of_a_request_that_came_to_nothing() -> None:
    assert request_row(make_exchange(path="/x")) == RequestRow(
        timestamp="2025-10-09T08:53:20.000Z",
        requestId="req_1",
        method="POST",
        path="/x",
        model=None,
        actualModel=None,
        provider=None,
        stream=False,
        toolCount=0,
        account=None,
        accountType=None,
        responseStatus=None,
        responseTimeMs=0.0,
        ttfbMs=None,
        attempts=0,
        outcome="error",
        stopReason=None,
        inputTokens=None,
        outputTokens=None,
        cacheCreationTokens=None,
        cacheReadTokens=None,
        costUsd=None,
        sessionId=None,
        why="",
        traceId=None,
        spanId=None,
    )


def test_the_row_of_a_failed_attempt() -> None:
    exchange = finished()
    assert attempt_row(exchange, exchange.attempts[0]) == AttemptRow(
        timestamp="2025-10-09T08:53:20.000Z",
        requestId="req_1",
        attempt=1,
        account="home",
        accountType="api_key",
        provider="anthropic",
        responseStatus=429,
        errorType="rate_limit_error",
        durationMs=250.0,
        cooldownMs=3000.0,
        backoffLevel=1,
        retryAfter=1.5,
        upstreamRequestId="req_up_1",
        utilization5h=1.0,
        utilization7d=0.25,
        connectMs=20.12,
        tlsMs=50.0,
        waitMs=170.0,
        reused=False,
    )


def test_the_row_of_an_attempt_that_was_answered_well() -> None:
    exchange = finished()
    assert attempt_row(exchange, exchange.attempts[1]) == AttemptRow(
        timestamp="2025-10-09T08:53:20.250Z",
        requestId="req_1",
        attempt=2,
        account="work",
        accountType="oauth",
        provider="anthropic",
        responseStatus=200,
        errorType=None,
        durationMs=1750.0,
        cooldownMs=0.0,
        backoffLevel=0,
        retryAfter=None,
        upstreamRequestId=None,
        utilization5h=None,
        utilization7d=None,
        waitMs=900.0,
        reused=True,
    )


@pytest.mark.parametrize(
    ("outcome", "error_type"),
    [(Outcome.CANCELLED, CLIENT_LEFT), (Outcome.ERROR, PROXY_STOPPED)],
)
def test_the_row_of_an_attempt_that_nobody_waited_for(outcome: Outcome, error_type: str) -> None:
    attempt = make_attempt(WORK, reader=None)
    exchange = make_exchange(attempts=[attempt], outcome=outcome)
    assert attempt_row(exchange, attempt).errorType == error_type


def test_the_row_of_an_attempt_without_account_or_end() -> None:
    row = attempt_row(make_exchange(), make_attempt(None))
    assert (row.account, row.accountType, row.durationMs, row.waitMs) == (None,) * 4


def test_the_model_asked_for_is_the_actual_one_until_the_answer_says_otherwise() -> None:
    assert request_row(make_exchange(model="claude-x")).actualModel == "claude-x"


def test_the_actual_model_of_another_provider_is_the_one_that_was_asked() -> None:
    """Its answer may name the client's."""
    attempt = make_attempt(make_other("bedrock", "eu.claude-y"))
    exchange = make_exchange(model="claude-x", attempts=[attempt])
    assert request_row(exchange).actualModel == "eu.claude-y"


@pytest.mark.parametrize(
    ("row", "documented"),
    [(RequestRow, REQUEST_FIELDS), (AttemptRow, ATTEMPT_FIELDS)],
    ids=["request", "attempt"],
)
def test_the_fields_are_those_documented(row: type[msgspec.Struct], documented: str) -> None:
    fields = [name.strip() for name in documented.split(",")]
    assert list(row.__struct_fields__) == fields


@pytest.mark.parametrize("outcome", Outcome, ids=str)
def test_a_row_is_plain_json(outcome: Outcome) -> None:
    exchange = finished()
    exchange.outcome = outcome
    row = json.loads(msgspec.json.encode(request_row(exchange)))
    assert row["outcome"] == str(outcome)
    assert all(isinstance(v, str | int | float | None) for v in row.values())


def test_no_secret_is_in_a_row() -> None:
    exchange = finished()
    exchange.path = "/v1/files?api_key=hunter2&x=sk-ant-api-secret"
    exchange.why = (
        "skipped anthropic:x: Bearer sk-ant-oat-secret; took eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln"
    )
    rows = msgspec.json.encode(
        [request_row(exchange), *(attempt_row(exchange, each) for each in exchange.attempts)]
    )
    found = [s for s in (b"secret", b"hunter2", b"eyJ", b"sk-ant") if s in rows]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "outcome", "worth"),
    [
        (Kind.LOCAL, Outcome.COMPLETE, False),
        (Kind.LOCAL, Outcome.ERROR, True),
        (Kind.LOCAL, None, True),
        (Kind.MESSAGES, Outcome.COMPLETE, True),
        (Kind.FORWARD, Outcome.ERROR, True),
        (None, Outcome.COMPLETE, True),
    ],
)
def test_probes_are_not_worth_a_row(
    kind: Kind | None, outcome: Outcome | None, worth: bool
) -> None:
    assert worth_a_row(replace(make_exchange(), kind=kind, outcome=outcome)) is worth


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (NOW, "2025-10-09T08:53:20.000Z"),
        (NOW + 0.9996, "2025-10-09T08:53:20.999Z"),
    ],
    ids=["epoch", "whole", "milliseconds"],
)
def test_iso(seconds: float, expected: str) -> None:
    assert iso(seconds) == expected


def test_no_time_is_negative_though_the_clock_was_set_back() -> None:
    exchange = finished()
    exchange.began_at += 86_400
    row = request_row(exchange)
    assert (row.responseTimeMs, row.ttfbMs) == (0, 0)


@given(st.floats(0, 4e9))
def test_any_moment_is_told_as_the_library_would(seconds: float) -> None:
    told = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    assert iso(seconds) == told.replace("+00:00", "Z")


@example(float("nan"))
@given(st.floats() | st.integers())
def test_what_lies_beyond_the_calendar_is_told_all_the_same(seconds: float) -> None:
    told = datetime.fromisoformat(iso(seconds))
    if 0 <= seconds < 4e9:
        assert abs(told.timestamp() - seconds) < 0.002


def test_who_was_asked_is_named() -> None:
    """Also where it was no account of Anthropic's."""
    exchange = finished()
    exchange.attempts[-1].account = make_other("openai", "gpt-x")
    row = request_row(exchange)
    assert (row.provider, row.account, row.accountType) == ("openai", "openai/gpt-x", "provider")
    failed, answered = (attempt_row(exchange, each) for each in exchange.attempts)
    assert (failed.provider, answered.provider) == ("anthropic", "openai")


def test_what_clients_call_themselves_is_cut_and_cleaned() -> None:
    key = f"sk-ant-api03-{'a' * 40}"
    exchange = make_exchange(
        session_id="a" * 90_000, agent_id=f"x {key}", parent_agent_id="a\x1b[31m\nb",
        labels={"user": "büro", "conversation": "\x9b\u202e"},
    )  # fmt: skip
    row = request_row(exchange)
    assert len(row.sessionId or "") < 3000
    assert key not in str(row)
    assert row.parentAgentId == "a?[31m?b"
    assert (row.userId, row.conversationId) == ("büro", "??")
    assert request_row(make_exchange(labels={"session": "s"})).sessionId == "s"
