"""The cost of an exchange."""

from __future__ import annotations

from dataclasses import replace

from neurolink_mitm.core.cost.budget import Metering, is_paid
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.exchange import Exchange, Kind, Outcome
from neurolink_mitm.core.response.usage import TokenUsage

UNFINISHED = (Outcome.TRUNCATED, Outcome.CANCELLED, Outcome.ERROR)
REQUEST_BYTES_PER_TOKEN = 4
STREAM_BYTES_PER_TOKEN = 30
"""Of a streamed response, whose events of some 130 bytes hold three to five tokens each."""


def cost_of(exchange: Exchange, prices: Prices) -> float | None:
    """Return the USD of a response by its reported tokens; None if they or the price are unknown."""
    account, model = exchange.account, _model(exchange)
    if account is None or not model or not exchange.served:
        return None
    return prices.cost(account.provider, model, exchange.usage)


def used_by(exchange: Exchange, prices: Prices, body_bytes: int) -> float:
    """Return the USD to count against a client's cap: by the price list, also on a subscription.

    It is an estimate where upstream charges for more than it reported.
    """
    account, model = exchange.account, _model(exchange)
    if account is None or not model or exchange.metering is Metering.FREE:
        return 0.0
    if exchange.attempts[-1].failure:
        return 0.0  # any other was sent, whether somebody waited for its end or not
    usage, reader = exchange.usage, exchange.reader
    if exchange.outcome in UNFINISHED or _is_unread(exchange):
        usage = _at_least(usage, body_bytes, reader.size if reader else 0)
    return prices.cost(account.provider, model, usage) or 0.0


def spent_on(exchange: Exchange, prices: Prices, body_bytes: int) -> float:
    """Return the USD to count against the cap on what is paid per use."""
    account = exchange.account
    return used_by(exchange, prices, body_bytes) if account and is_paid(account) else 0.0


def _is_unread(exchange: Exchange) -> bool:
    """Return whether the response passed unread, since it is compressed."""
    usage = exchange.usage
    read = usage.input_tokens is not None or usage.output_tokens is not None
    return exchange.kind is Kind.MESSAGES and not read


def _at_least(usage: TokenUsage, request_bytes: int, stream_bytes: int) -> TokenUsage:
    cached = (usage.cache_read_tokens or 0) + (usage.cache_creation_tokens or 0)
    reported = usage.input_tokens or 0
    return replace(
        usage,
        input_tokens=reported if reported or cached else request_bytes // REQUEST_BYTES_PER_TOKEN,
        output_tokens=max(usage.output_tokens or 0, stream_bytes // STREAM_BYTES_PER_TOKEN),
    )


def _model(exchange: Exchange) -> str | None:
    account = exchange.account
    if account and not account.is_anthropic:
        return exchange.model_at(account)
    return exchange.usage.model or exchange.requirements.model
