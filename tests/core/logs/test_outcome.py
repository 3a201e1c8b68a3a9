"""The outcome of a request, and what else its end records."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.exchange import Exchange, Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.outcome import conclude
from neurolink_mitm.core.response.reader import OpaqueReader
from tests.fakes import NOW, make_account, make_attempt, make_exchange, make_other


def served(**answer: object) -> Exchange:
    """What upstream answered, as far as the client has got it."""
    exchange = make_exchange(attempts=[make_attempt(make_account())])
    for name, value in {"complete": True, **answer}.items():
        setattr(exchange.reader, name, value)
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


def test_a_stream_of_another_provider_that_broke_off() -> None:
    """The translator ends it in an error event."""
    exchange = make_exchange(attempts=[make_attempt(make_other())])
    assert exchange.reader
    exchange.reader.error = "overloaded_error"
    assert outcome(exchange, 200) is Outcome.TRUNCATED


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
    exchange = make_exchange(attempts=[make_attempt()], reader=OpaqueReader())
    exchange.reader.end()
    assert outcome(exchange, 200) is Outcome.COMPLETE
