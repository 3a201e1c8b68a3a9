"""The outcome of a request."""

from __future__ import annotations

from neurolink_mitm.core.exchange import Exchange, Outcome
from neurolink_mitm.core.pool.accounts import ANTHROPIC


def conclude(exchange: Exchange, *, status: int | None, now: float) -> None:
    """Record the end of a request. `status` was sent to the client; None if no response was."""
    exchange.ended_at = now
    exchange.status = status if exchange.status is None else exchange.status
    exchange.outcome = exchange.outcome or _outcome(exchange, status)
    if exchange.attempts and exchange.attempts[-1].ended_at is None:
        exchange.attempts[-1].ended_at = now


def _outcome(exchange: Exchange, status: int | None) -> Outcome:
    if status is None or status >= 400:
        return Outcome.ERROR
    if not exchange.served:
        return Outcome.COMPLETE  # answered here
    answer = exchange.reader
    if answer is not None and answer.error and _of_another_provider(exchange):
        return Outcome.TRUNCATED  # the translator's only error event, for a stream that broke off
    if answer is None or answer.error:
        return Outcome.ERROR
    return Outcome.COMPLETE if answer.complete else Outcome.TRUNCATED


def _of_another_provider(exchange: Exchange) -> bool:
    account = exchange.attempts[-1].account if exchange.attempts else None
    return account is not None and account.provider != ANTHROPIC
