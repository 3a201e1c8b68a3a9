"""What became of a request, in values and in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.exchange import Attempt, Exchange, Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.summary import comment, conclude, lines, marker, summary
from neurolink_mitm.core.response.reader import OpaqueReader
from tests.fakes import NOW, make_account, make_attempt, make_exchange


def served(**answer: object) -> Exchange:
    """What upstream answered, as far as the client has got it."""
    exchange = make_exchange(attempts=[make_attempt(make_account())])
    for name, value in {"complete": True, **answer}.items():
        setattr(exchange.answer, name, value)
    return exchange


def outcome(exchange: Exchange, status: int | None) -> Outcome | None:
    conclude(exchange, status=status, now=NOW + 1)
    return exchange.outcome


@pytest.mark.parametrize("status", [200, 204, 302])
def test_answered_here(status: int) -> None:
    assert outcome(make_exchange(), status) is Outcome.COMPLETE


@pytest.mark.parametrize("status", [400, 404, 429, 503, None])
def test_refused_here(status: int | None) -> None:
    assert outcome(make_exchange(), status) is Outcome.ERROR


def test_served_to_the_end() -> None:
    assert outcome(served(), 200) is Outcome.COMPLETE


@pytest.mark.parametrize("status", [400, 529])
def test_an_error_that_was_passed_on(status: int) -> None:
    assert outcome(served(), status) is Outcome.ERROR


def test_served_without_its_end() -> None:
    assert outcome(served(complete=False), 200) is Outcome.TRUNCATED


@pytest.mark.parametrize("complete", [True, False])
def test_an_error_inside_a_stream(complete: bool) -> None:
    assert outcome(served(complete=complete, error="overloaded_error"), 200) is Outcome.ERROR


def test_an_answer_of_our_own_after_failed_attempts() -> None:
    exchange = make_exchange(attempts=[make_attempt(failure=Failure.of_status(500, b""))])
    assert outcome(exchange, 200) is Outcome.COMPLETE


def test_what_is_known_already_stays() -> None:
    exchange = served()
    exchange.outcome = Outcome.CANCELLED
    assert outcome(exchange, 200) is Outcome.CANCELLED


def test_the_end_is_now() -> None:
    exchange = make_exchange()
    conclude(exchange, status=200, now=NOW + 1.5)
    assert exchange.ended_at == NOW + 1.5


@pytest.mark.parametrize(("known", "expected"), [(None, 500), (200, 200)], ids=["unknown", "known"])
def test_the_status_is_the_one_the_client_was_sent_first(known: int | None, expected: int) -> None:
    exchange = make_exchange(status=known)
    conclude(exchange, status=500, now=NOW)
    assert exchange.status == expected


def test_the_latest_attempt_ends_with_the_request() -> None:
    first, latest = make_attempt(ended_at=NOW), make_attempt(number=2)
    conclude(make_exchange(attempts=[first, latest]), status=200, now=NOW + 2)
    assert (first.ended_at, latest.ended_at) == (NOW, NOW + 2)


def test_an_attempt_that_has_ended_keeps_its_end() -> None:
    attempt = make_attempt(ended_at=NOW + 1)
    conclude(make_exchange(attempts=[attempt]), status=502, now=NOW + 2)
    assert attempt.ended_at == NOW + 1


def test_what_goes_through_unread_is_complete_at_its_end() -> None:
    exchange = make_exchange(attempts=[make_attempt()], answer=OpaqueReader())
    exchange.answer.end()
    assert outcome(exchange, 200) is Outcome.COMPLETE


LIMITED = make_attempt(
    make_account("alpha"), status=429, failure=Failure.of_status(429, b""), sent_at=NOW,
    ended_at=NOW + 0.012, cooldown=60.0,
)  # fmt: skip
CUT = make_attempt(make_account("alpha"), failure=Failure.of_network("closed", "gone"))
SERVED = make_attempt(make_account("beta"), number=2, status=200, sent_at=NOW, ended_at=NOW + 1.5)
FORWARDED = make_attempt(None, status=200)


def exchange(*attempts: Attempt, **changes: Any) -> Exchange:
    return make_exchange(attempts=list(attempts), began_at=NOW, **changes)


def told(known: Exchange) -> dict[str, str]:
    return dict(lines(summary(known)))


def test_it_is_plain_and_holds_no_credential() -> None:
    text = json.dumps(summary(exchange(LIMITED, SERVED, why="key sk-ant-test-12345678")))
    assert "alpha" in text
    assert "sk-ant-" not in text


@pytest.mark.parametrize(
    ("attempts", "words"),
    [
        ((), ""),
        ((SERVED,), "beta"),
        ((LIMITED,), "alpha (429)"),
        ((CUT,), "alpha (closed)"),
        ((LIMITED, SERVED), "beta, after alpha (429)"),
        ((LIMITED, CUT, SERVED), "beta, after alpha (429), alpha (closed)"),
        ((FORWARDED,), "the caller's own credential"),
    ],
    ids=["none", "served", "failed", "cut", "second", "third", "forwarded"],
)
def test_the_comment(attempts: tuple[Attempt, ...], words: str) -> None:
    assert comment(summary(exchange(*attempts))) == words


@pytest.mark.parametrize(
    ("attempts", "outcome", "mark"),
    [
        ((SERVED,), Outcome.COMPLETE, ""),
        ((LIMITED, SERVED), Outcome.COMPLETE, ":warning:"),
        ((LIMITED,), Outcome.ERROR, ":x:"),
        ((SERVED,), Outcome.TRUNCATED, ":x:"),
        ((SERVED,), Outcome.CANCELLED, ""),
    ],
    ids=["as-usual", "failed-over", "failed", "cut", "client-left"],
)
def test_the_marker(attempts: tuple[Attempt, ...], outcome: Outcome, mark: str) -> None:
    assert marker(summary(exchange(*attempts, outcome=outcome))) == mark


def test_a_line_for_each_attempt() -> None:
    found = told(exchange(LIMITED, SERVED))
    assert found["attempt 1"] == "alpha (api_key), 429, 12 ms, cools for 60 s"
    assert found["attempt 2"] == "beta (api_key), 200, 1.50 s"


def test_a_request_that_is_over() -> None:
    known = exchange(
        SERVED, why="took beta by fill-first", model="claude-x", stream=True, tool_count=3,
        outcome=Outcome.COMPLETE, ended_at=NOW + 2, first_byte_at=NOW + 0.25,
    )  # fmt: skip
    usage = known.answer.usage
    usage.input_tokens, usage.output_tokens, usage.stop_reason = 26, 55, "end_turn"
    assert told(known) == {
        "request": f"{known.request_id}, claude-x, stream, 3 tools",
        "attempt 1": "beta (api_key), 200, 1.50 s",
        "reason": "took beta by fill-first",
        "usage": "tokens: 26 in, 55 out",
        "outcome": "complete, end_turn, 2.00 s, first byte after 250 ms",
    }


def test_a_request_under_way() -> None:
    found = told(exchange(make_attempt(make_account("beta"))))
    assert found["attempt 1"] == "beta (api_key), under way"
    assert (found["usage"], found["outcome"]) == ("not told", "under way")
