"""The requests in flight: from the head of each to its end, what it is doing now.

Nothing is noted as a request goes on: its state is read from its exchange when somebody asks.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from weakref import WeakValueDictionary

from neurolink_mitm.core.exchange import Attempt, Exchange, Hold, Kind
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.accounts import ANTHROPIC
from neurolink_mitm.core.redact.text import redact, short
from neurolink_mitm.core.response.reader import ResponseReader

LISTED = 50
"""Requests that a report lists, of any number of them: the oldest, and the newest."""
LONGEST = 128
"""Characters of a name that the client chose."""
LISTED_ATTEMPTS = 20
"""Attempts that a report lists of one request: the latest."""
BYTES_A_TOKEN = 4
"""About so many bytes of English text, as JSON, make a token: for a rate on the screen, never for a bill."""

Shown = Callable[[Exchange], bool]
"""Whether the one who asks may see the request."""


def all_shown(_: Exchange) -> bool:
    """Show every request, as to the owner of the proxy."""
    return True


class State(enum.StrEnum):
    """What a request waits for, or gets."""

    WAITING = "waiting"  # for its body, a token, a pause between attempts
    HELD = "held"  # for an account to recover
    CONNECTING = "connecting"  # to upstream
    SENT = "sent"  # nothing of the response has gone to the client
    STREAMING = "streaming"  # the response goes to the client as it comes


class InFlight:
    """The exchanges that have begun and not ended, oldest first.

    It holds them weakly: one whose end is never announced goes with its flow.
    """

    def __init__(self) -> None:
        self._exchanges: WeakValueDictionary[str, Exchange] = WeakValueDictionary()

    def add(self, exchange: Exchange) -> None:
        self._exchanges[exchange.request_id] = exchange

    def remove(self, exchange: Exchange) -> None:
        self._exchanges.pop(exchange.request_id, None)

    def __len__(self) -> int:
        """Return how many there are, with those that are answered by pages of our own."""
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        """Yield those that are not answered by pages of our own."""
        return (each for each in self._exchanges.values() if each.kind is not Kind.LOCAL)

    def report(
        self, now: float, shown: Shown = all_shown, room: WaitingRoom | None = None
    ) -> dict[str, object]:
        """Return the part of `/status`: how many there are, and of those `shown` the oldest and the newest.

        `room` knows since when those are held.
        """
        states = [(each, state_of(each)) for each in self]
        listed = [(each, state) for each, state in states if shown(each)]
        if len(listed) > LISTED:
            listed = listed[: LISTED // 2] + listed[-LISTED // 2 :]
        return {
            "requestsInFlight": len(states),
            "requestsHeld": sum(state is State.HELD for _, state in states),
            "requests": [_request(each, state, now, room) for each, state in listed],
        }


def state_of(exchange: Exchange) -> State:
    """Return what a request in flight is doing."""
    attempt = exchange.attempt
    if exchange.served:
        return State.STREAMING
    if attempt and attempt.failure is None and attempt.ready:
        return State.SENT if attempt.sent else State.CONNECTING
    return State.HELD if _hold(exchange) else State.WAITING


def _hold(exchange: Exchange) -> Hold | None:
    """Return the step that holds a request until an account recovers; None where it waits for a moment only."""
    step = exchange.step
    return step if isinstance(step, Hold) and step.recovery else None


def _request(
    exchange: Exchange, state: State, now: float, room: WaitingRoom | None
) -> dict[str, object]:
    busy = state not in (State.WAITING, State.HELD)
    attempt = exchange.attempt if busy else None
    account = attempt.account if attempt else None
    return {
        "requestId": exchange.request_id,
        "path": shown_name(exchange.path.partition("?")[0]),
        "api": exchange.api.value,
        "model": shown_name(exchange.model),
        "client": shown_name(exchange.client),
        "session": shown_name(exchange.session_id or exchange.labels.get("session")),
        "agent": shown_name(exchange.agent_id),
        "state": state.value,
        "account": account.label if account else None,
        "attempt": attempt.number if attempt else len(exchange.attempts),
        "attempts": [_attempt(each, exchange) for each in _begun(exchange)[-LISTED_ATTEMPTS:]],
        "since": iso(exchange.began_at),
        "ageMs": max(0, round((now - exchange.began_at) * 1000)),
        **_held(exchange, state, room),
        "firstByteAt": _iso(exchange.first_byte_at),
        "responseBytes": exchange.reader.size if exchange.reader else 0,
        "outputTokens": _output_tokens(exchange.reader) if exchange.reader else None,
    }


def _held(exchange: Exchange, state: State, room: WaitingRoom | None) -> dict[str, object]:
    hold = _hold(exchange) if state is State.HELD else None
    return {
        "heldSince": _iso(room.since(exchange)) if hold and room else None,
        "heldUntil": iso(hold.until) if hold else None,
        "heldFor": hold.why if hold else None,
        "heldMs": round(exchange.held_seconds * 1000),
    }


def _begun(exchange: Exchange) -> list[Attempt]:
    """Return the attempts with the current one, which counts as soon as its account is chosen."""
    current = exchange.attempt
    if current is None or not current.sent_at or current in exchange.attempts[-1:]:
        return exchange.attempts
    return [*exchange.attempts, current]


def _attempt(attempt: Attempt, exchange: Exchange) -> dict[str, object]:
    account, failure = attempt.account, attempt.failure
    elsewhere = account is not None and not account.is_anthropic
    return {
        "number": attempt.number,
        "account": account.label if account else None,
        "provider": account.provider if account else ANTHROPIC,
        "model": shown_name(exchange.model_at(account)) if account and elsewhere else None,
        "since": iso(attempt.sent_at),
        "endedAt": _iso(attempt.ended_at),
        "status": attempt.status,
        "errorType": shown_name(failure.error_type) if failure else None,
        "reason": shown_name(attempt.reason) if failure else None,
        "connectMs": round((attempt.connect_seconds + attempt.tls_seconds) * 1000, 1),
        "waitMs": None if attempt.wait_seconds is None else round(attempt.wait_seconds * 1000, 1),
    }


def _output_tokens(reader: ResponseReader) -> int | None:
    """Return how many tokens have come: what upstream reports at the end, before that an estimate by their bytes."""
    reported = reader.usage.output_tokens
    if reader.usage.stop_reason or not reader.content_size:
        return reported
    return max(reported or 0, reader.content_size // BYTES_A_TOKEN)


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def shown_name(text: str | None) -> str | None:
    """Return what a client calls something, without secrets and not too long."""
    return redact(short(text, LONGEST)) if text else None
