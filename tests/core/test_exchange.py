from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.cost.budget import Metering
from neurolink_mitm.core.exchange import Attempt, Exchange, Kind, Outcome, Try, reader_for
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.openai.embeddings import answer_body
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.response.reader import (
    EmbeddingsReader,
    EventStreamReader,
    OpaqueReader,
    ResponseReader,
    WholeReader,
)
from tests.fakes import NOW, make_account, make_attempt, make_exchange, make_plan

EVENTS = (b"Content-Type", b"text/event-stream; charset=utf-8")
JSON = (b"content-type", b"application/json")


def on_the_pool(kind: Kind = Kind.MESSAGES, **changes: Any) -> Exchange:
    return make_exchange(kind=kind, plan=make_plan(), **changes)


def test_a_record_that_was_just_opened() -> None:
    """Nothing is known yet, and nothing has been tried."""
    exchange = Exchange("req_1", NOW)
    assert (exchange.plan, exchange.step, exchange.attempt, exchange.attempts) == (None,) * 3 + (
        [],
    )
    assert (exchange.method, exchange.path, exchange.kind, exchange.model) == ("", "", None, None)
    assert (exchange.stream, exchange.tool_count, exchange.why) == (False, 0, "")
    assert (exchange.user_agent, exchange.trace_id, exchange.span_id) == ("", "", "")
    assert (exchange.outcome, exchange.status, exchange.reader) == (None, None, None)
    assert exchange.refreshes == 0


def test_a_try_is_a_plain_one_unless_it_says_so() -> None:
    step = Try(make_account(), "why")
    assert (step.without_thinking, step.refresh) == (False, False)


def test_an_attempt_that_has_just_begun() -> None:
    """Above all it is not ready to be sent."""
    attempt = make_exchange().begin_attempt()
    assert (attempt.ready, attempt.sent, attempt.account, attempt.step) == (
        False,
        False,
        None,
        None,
    )
    assert (attempt.reader, attempt.via, attempt.pins, attempt.masked) == (None, None, None, ())
    assert (attempt.status, attempt.failure, attempt.ended_at) == (None, None, None)
    assert (attempt.cooldown, attempt.backoff_level, attempt.retry_after) == (0.0, 0, None)


def test_outcomes_are_those_of_the_log() -> None:
    assert {str(each) for each in Outcome} == {"complete", "error", "truncated", "client_cancelled"}


# --- what kind of answer


@pytest.mark.parametrize(
    ("kind", "status", "fields", "expected"),
    [
        (Kind.MESSAGES, 200, (EVENTS,), EventStreamReader),
        (Kind.MESSAGES, 200, ((b"content-type", b"TEXT/Event-Stream"),), EventStreamReader),
        (Kind.MESSAGES, 200, (EVENTS, (b"content-encoding", b"identity")), EventStreamReader),
        (Kind.MESSAGES, 200, (EVENTS, (b"content-encoding", b"")), EventStreamReader),
        (Kind.MESSAGES, 200, (JSON,), WholeReader),
        (Kind.MESSAGES, 200, (), WholeReader),
        (Kind.MESSAGES, 429, (JSON,), WholeReader),
        (Kind.MESSAGES, 529, (EVENTS,), WholeReader),
        (Kind.MESSAGES, 202, (EVENTS,), WholeReader),
        (Kind.MESSAGES, 200, ((b"content-type", b"text/html, text/event-stream"),), WholeReader),
        (Kind.MESSAGES, 200, (EVENTS, (b"Content-Encoding", b"GZIP")), OpaqueReader),
        (Kind.MESSAGES, 200, (JSON, (b"content-encoding", b"br")), OpaqueReader),
        (Kind.COUNT_TOKENS, 200, (JSON,), WholeReader),
        (Kind.COUNT_TOKENS, 200, (EVENTS,), EventStreamReader),
        (Kind.EMBEDDINGS, 200, (JSON,), EmbeddingsReader),
        (Kind.EMBEDDINGS, 429, (JSON,), EmbeddingsReader),
        (Kind.API, 200, (JSON,), WholeReader),
        (Kind.API, 200, (EVENTS,), OpaqueReader),
        (Kind.API, 500, (JSON,), WholeReader),
    ],
)
def test_an_answer_is_watched_by_its_head(
    kind: Kind, status: int, fields: tuple[tuple[bytes, bytes], ...], expected: type[ResponseReader]
) -> None:
    assert type(reader_for(on_the_pool(kind), status, fields)) is expected


@pytest.mark.parametrize(
    ("stream", "fields", "expected"),
    [
        (True, (), EventStreamReader),
        (True, ((b"content-type", b"text/plain"),), EventStreamReader),
        (True, ((b"content-type", b"application/octet-stream"),), EventStreamReader),
        (True, (JSON,), WholeReader),
        (True, ((b"content-type", b"text/html"),), WholeReader),
        (False, (), WholeReader),
        (False, (EVENTS,), EventStreamReader),
    ],
)
def test_what_does_not_say_what_it_is_is_what_was_asked_for(
    stream: bool, fields: tuple[tuple[bytes, bytes], ...], expected: type[ResponseReader]
) -> None:
    exchange = on_the_pool(Kind.MESSAGES)
    exchange.stream = stream
    assert type(reader_for(exchange, 200, fields)) is expected


@pytest.mark.parametrize(
    ("path", "failed"), [("/v1/files", True), ("/v1/files/f/content?beta=true", False)]
)
def test_a_file_may_be_a_page(path: str, failed: bool) -> None:
    exchange = on_the_pool(Kind.API)
    exchange.path = path
    answer = reader_for(exchange, 200, ((b"content-type", b"text/html"),))
    answer.feed(b"<!doctype html>")
    answer.end()
    assert bool(answer.failure) is failed


def test_the_usage_of_embeddings_is_read_however_long_they_are() -> None:
    answer = reader_for(on_the_pool(Kind.EMBEDDINGS), 200, (JSON,))
    answer.feed(answer_body("m", 7, [b'{"embedding":[0'])[:-2])
    for _ in range(12):
        answer.feed(b",0.25" * 200_000)
    assert answer.released, "it goes on to the client"
    answer.feed(b"]}]}")
    answer.end()
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, None)
    assert answer.usage.model == "m"


def test_an_exchange_of_embeddings() -> None:
    exchange = make_exchange(kind=Kind.EMBEDDINGS, path="/v1/embeddings", method="POST")
    assert exchange.endpoint == "embeddings"
    assert exchange.metering is Metering.METERED
    assert exchange.repeatable


@pytest.mark.parametrize("status", [200, 429])
def test_without_a_plan_an_answer_is_not_ours_to_judge(status: int) -> None:
    exchange = make_exchange(kind=Kind.FORWARD)
    assert type(reader_for(exchange, status, (JSON,))) is OpaqueReader


@pytest.mark.parametrize(
    ("kind", "status", "released"),
    [
        (Kind.MESSAGES, 200, False),
        (Kind.COUNT_TOKENS, 200, False),
        (Kind.API, 200, True),
        (Kind.API, 204, True),
        (Kind.MESSAGES, 204, False),
        (Kind.MESSAGES, 302, False),
    ],
)
def test_which_answers_may_be_empty(kind: Kind, status: int, released: bool) -> None:
    answer = reader_for(on_the_pool(kind), status, (JSON,))
    answer.end()
    assert answer.released is released


# --- who serves


def test_without_an_attempt_there_is_no_account() -> None:
    assert make_exchange().account is None


def test_the_account_is_that_of_the_latest_attempt() -> None:
    attempts = [make_attempt(make_account("a")), make_attempt(make_account("b"))]
    account = make_exchange(attempts=attempts).account
    assert account is not None
    assert account.label == "b"


FAILED = Failure.of_status(429, b"")


@pytest.mark.parametrize(
    ("failures", "answer", "served"),
    [
        ([], OpaqueReader(), False),
        ([None], None, False),
        ([None], OpaqueReader(), True),
        ([None], EventStreamReader(), False),
        ([FAILED], OpaqueReader(), False),
        ([FAILED, None], OpaqueReader(), True),
        ([None, FAILED], OpaqueReader(), False),
    ],
    ids=["no-attempt", "no-head", "good", "held", "failed", "good-at-last", "failed-at-last"],
)
def test_served(
    failures: list[Failure | None], answer: ResponseReader | None, served: bool
) -> None:
    attempts = [make_attempt(failure=failure, reader=answer) for failure in failures]
    assert make_exchange(attempts=attempts).served is served


# --- what it is


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("claude-cli/2.1.0 (external, cli)", True),
        ("claude-cli/", True),
        ("", False),
        ("claude-cli", False),
        ("Claude-CLI/2.1.0", False),
        ("anthropic-sdk claude-cli/2.1.0", False),
        ("python-httpx/0.27", False),
    ],
)
def test_claude_code_says_who_it_is(user_agent: str, expected: bool) -> None:
    assert make_exchange(user_agent=user_agent).requirements.claude_code is expected


def test_what_is_demanded() -> None:
    exchange = make_exchange(model="claude-x", session_id="s1")
    assert exchange.requirements == Requirements(claude_code=False, model="claude-x", session="s1")


@pytest.mark.parametrize(
    ("kind", "method", "expected"),
    [
        (Kind.MESSAGES, "POST", True),
        (Kind.COUNT_TOKENS, "POST", True),
        (Kind.API, "GET", True),
        (Kind.API, "HEAD", True),
        (Kind.API, "OPTIONS", True),
        (Kind.API, "POST", False),
        (Kind.API, "DELETE", False),
        (Kind.API, "PUT", False),
        (None, "POST", False),
    ],
)
def test_what_may_be_sent_twice(kind: Kind | None, method: str, expected: bool) -> None:
    assert make_exchange(kind=kind, method=method).repeatable is expected


def test_an_attempt_counts_once_it_is_sent_or_has_failed() -> None:
    exchange = make_exchange()
    first = exchange.begin_attempt()
    first.step = Try(make_account(), "took it")
    assert (exchange.attempts, exchange.account, exchange.why) == ([], None, "")
    exchange.count(first)
    exchange.count(first)
    second = exchange.begin_attempt()
    assert ([*exchange.attempts], exchange.attempt, exchange.why) == ([first], second, "took it")
    assert (first.number, second.number) == (1, 2)


def test_an_attempt_begins_with_nothing_of_the_one_before() -> None:
    exchange = make_exchange(masked=((b"x-api-key", b"the caller's"),))
    first = exchange.begin_attempt()
    first.masked, first.ready, first.failure = ((b"x-api-key", b"an account's"),), True, FAILED
    assert exchange.begin_attempt() == Attempt(1, masked=((b"x-api-key", b"the caller's"),))


@pytest.mark.parametrize(
    ("outcome", "failure", "left"),
    [
        (Outcome.CANCELLED, None, True),
        (Outcome.CANCELLED, FAILED, False),
        (Outcome.COMPLETE, None, False),
    ],
    ids=["left", "between-attempts", "answered"],
)
def test_whose_client_left(outcome: Outcome, failure: Failure | None, left: bool) -> None:
    exchange = make_exchange(outcome=outcome, attempts=[make_attempt(failure=failure)])
    assert exchange.left_upstream is left


def test_nobody_left_an_attempt_that_was_not_sent() -> None:
    exchange = make_exchange(outcome=Outcome.CANCELLED, attempt=make_attempt(sent=False))
    assert not exchange.left_upstream
