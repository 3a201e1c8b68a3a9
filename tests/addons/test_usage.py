from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import http

from neurolink_mitm.addons.usage import Usage
from neurolink_mitm.core.exchange import Kind, Outcome
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.response.reader import OpaqueReader
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.ports import Runtime, Totals
from tests.addons.flows import answer, make_flow, record
from tests.fakes import NOW, FakeClock, make_account, make_attempt, make_other, make_runtime

A, B = make_account("a"), make_account("b")


def cached(written: int, read: int) -> OpaqueReader:
    """What has read an answer with these counts."""
    usage = TokenUsage(cache_creation_tokens=written, cache_read_tokens=read)
    return OpaqueReader(usage=usage)


def ended(flow: http.HTTPFlow, status: int | None = 200) -> Runtime:
    runtime = make_runtime(clock=FakeClock(NOW + 3))
    if status is not None:
        answer(flow, status)
    Usage(runtime).response(flow)
    return runtime


def test_the_record_is_concluded() -> None:
    flow = make_flow()
    ended(flow, 404)
    exchange = record(flow)
    assert (exchange.outcome, exchange.status) == (Outcome.ERROR, 404)
    assert exchange.ended_at == NOW + 3


def test_a_request_that_got_no_answer_is_an_error() -> None:
    flow = make_flow()
    ended(flow, None)
    assert (record(flow).outcome, record(flow).status) == (Outcome.ERROR, None)


def test_an_error_ends_a_request_as_an_answer_does() -> None:
    flow = make_flow(outcome=Outcome.CANCELLED)
    runtime = make_runtime()
    Usage(runtime).error(flow)
    assert record(flow).ended_at == NOW
    assert runtime.totals.requests == 1


@pytest.mark.parametrize(
    ("status", "outcome", "totals"),
    [
        (200, None, Totals(requests=1, success=1)),
        (500, None, Totals(requests=1, errors=1)),
        (None, None, Totals(requests=1, errors=1)),
        (200, Outcome.TRUNCATED, Totals(requests=1, errors=1)),
        (200, Outcome.CANCELLED, Totals(requests=1)),
        (None, Outcome.CANCELLED, Totals(requests=1)),
    ],
)
def test_totals(status: int | None, outcome: Outcome | None, totals: Totals) -> None:
    assert ended(make_flow(outcome=outcome), status).totals == totals


def test_every_rate_limit_on_the_way_is_counted() -> None:
    statuses = [429, 429, 200]
    flow = make_flow(attempts=[make_attempt(status=status) for status in statuses])
    assert ended(flow).totals.rate_limits == 2


def test_a_rate_limit_inside_a_200_is_counted() -> None:
    inside = Failure(FailureStage.EVENT, None, "rate_limit_error", "slow down")
    flow = make_flow(attempts=[make_attempt(failure=inside), make_attempt(status=200)])
    assert ended(flow).totals.rate_limits == 1


def test_a_rate_limit_after_content_is_counted() -> None:
    flow = make_flow(attempts=[make_attempt(reader=OpaqueReader(error="rate_limit_error"))])
    assert ended(flow).totals.rate_limits == 1


def test_attempts_are_those_that_were_sent_or_failed() -> None:
    sent = [make_attempt(status=429), make_attempt(status=200)]
    assert ended(make_flow(attempts=sent)).totals.attempts == 2
    assert ended(make_flow(attempt=make_attempt(sent=False)), 400).totals.attempts == 0


def test_totals_add_up() -> None:
    usage = Usage(runtime := make_runtime())
    for status in (200, 200, 500):
        flow = make_flow()
        answer(flow, status)
        usage.response(flow)
    assert runtime.totals == Totals(requests=3, success=2, errors=1)


def test_probes_and_status_pages_are_not_counted() -> None:
    flow = make_flow("GET", "/health")
    assert record(flow).kind is Kind.LOCAL
    assert ended(flow).totals == Totals()


def test_probes_and_status_pages_are_concluded() -> None:
    flow = make_flow("GET", "/health")
    ended(flow)
    assert record(flow).outcome is Outcome.COMPLETE


def test_a_flow_without_record_is_not_counted() -> None:
    assert ended(make_flow(opened=False)).totals == Totals()


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({}, 800),
        ({"session_id": None}, None),
        ({"agent_id": "sub"}, None),
        ({"model": "claude-y"}, None),
        ({"path": "/v1/messages/count_tokens"}, None),
        ({"attempts": [make_attempt(make_other(), reader=cached(900, 200))]}, None),
        ({"attempts": [make_attempt(A, reader=cached(900, 200))]}, None),
        ({"attempts": []}, None),
    ],
    ids=["moved", "no-session", "agent", "model", "counting", "provider", "same-account", "unsent"],
)
def test_what_a_move_costs_in_prompt_cache(changes: dict[str, Any], again: int | None) -> None:
    usage = Usage(make_runtime())
    known: dict[str, Any] = {"session_id": "s", "model": "claude-x"}
    first = make_flow(**known, attempts=[make_attempt(A, reader=cached(1000, 0))])
    second = {"attempts": [make_attempt(B, reader=cached(900, 200))]} | changes
    moved = make_flow(**(known | second))
    for flow in (first, moved):
        answer(flow)
        usage.response(flow)
    assert (record(first).moved_cache_tokens, record(moved).moved_cache_tokens) == (None, again)
