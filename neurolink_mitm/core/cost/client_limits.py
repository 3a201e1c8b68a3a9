"""What the holder of a client key may ask for: models, requests a minute, USD a day; and the replies beyond that.

The cap is on what requests cost by the price list, on whichever account: a subscription's share counts as money would.
A request is judged before it is sent, so the requests in flight may exceed the cap by what they cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cost.budget import Budget, Metering, metering_at, of_cap
from neurolink_mitm.core.exchange import Exchange, Kind, Reply
from neurolink_mitm.core.logs.reset_times import reset_time
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.pool.limits import Bucket
from neurolink_mitm.core.pool.token_bucket import TokenBucket
from neurolink_mitm.core.providers.models import served
from neurolink_mitm.core.request.endpoints import COUNT_TOKENS
from neurolink_mitm.core.settings.values import Routing

SPEND_LIMIT = "spend limit reached"
"""The beginning of the message, as Anthropic's own gateway has it."""
MOST_BUCKETS = 1_000
"""Buckets of keys that are kept; those of revoked keys are among them."""
LISTED = 20
"""Models that a reply lists."""


def may_ask_for(key: ClientKey | None, model: str) -> bool:
    """Return whether the holder of `key` may ask for `model`."""
    if key is None or not key.models:
        return True
    # `[1m]` at the end of a name would be a set of characters
    return any(model == pattern or fnmatchcase(model, pattern) for pattern in key.models)


def model_not_allowed(key: ClientKey | None, model: str, routing: Routing) -> Reply | None:
    """Return the refusal of a model that is not for the holder of `key`; None if it is.

    A 404, of which Claude Code says that the user may not have access to the model, and how to choose another one.
    """
    if key is None or may_ask_for(key, model):
        return None
    listed = [each for each in served(routing) if may_ask_for(key, each)][:LISTED] or key.models
    message = (
        f"model: {model!r:.120} is not for the client {key.name!r}. Ask for: {', '.join(listed)}"
    )
    return Reply(404, "not_found_error", message)


def own_bucket(key: ClientKey, rate: int, endpoint: str, now: float) -> Bucket:
    """Return the rate limit of a client of this proxy alone."""
    return TokenBucket.full(rate, now)


@dataclass(slots=True)
class ClientLimits:
    """Judges requests by the limits of their client."""

    buckets: dict[str, Bucket] = field(default_factory=dict)
    """By the digest of the key, with the endpoint for what has limits of its own."""
    new_bucket: Callable[[ClientKey, int, str, float], Bucket] = own_bucket
    """Makes the bucket of a client: its key and rate, the endpoint (or empty), the time."""

    def refusal(self, exchange: Exchange, budget: Budget, now: float) -> Reply | None:
        """Return the reply to a request that its client may not make, by its head; count it if it may."""
        key = exchange.client_key
        if key is None or exchange.kind in (Kind.LOCAL, Kind.FORWARD):
            return None
        metering = metering_of(exchange)
        return (
            _unmetered(key, metering)
            or over_cap(key, metering, budget, now)
            or self._over_rate(key, exchange, now)
        )

    def _over_rate(self, key: ClientKey, exchange: Exchange, now: float) -> Reply | None:
        if key.rate is None:
            return None
        endpoint = COUNT_TOKENS if exchange.kind is Kind.COUNT_TOKENS else ""
        bucket = self._bucket(key, key.rate, endpoint, now)
        wait = math.ceil(bucket.wait(now))
        if not wait:
            bucket.take(now)
            return None
        rate = f"{key.rate} request{'s' * (key.rate != 1)} a minute"
        message = f"The client {key.name!r} may send {rate}. Ask again in {wait} s."
        return Reply(429, "rate_limit_error", message, retry_after=wait)

    def make_by(self, new_bucket: Callable[[ClientKey, int, str, float], Bucket]) -> None:
        """Have the buckets of all clients made by `new_bucket`. What was counted is forgotten."""
        self.new_bucket = new_bucket
        self.buckets.clear()

    def _bucket(self, key: ClientKey, rate: int, endpoint: str, now: float) -> Bucket:
        name = key.digest + endpoint
        bucket = self.buckets.pop(name, None)
        if bucket is None or bucket.rate != rate:
            bucket = self.new_bucket(key, rate, endpoint, now)
        self.buckets[name] = bucket  # the one used last is the last one
        if len(self.buckets) > MOST_BUCKETS:
            del self.buckets[next(iter(self.buckets))]
        return bucket


def metering_of(exchange: Exchange) -> Metering:
    """Return the metering of a request before it was translated."""
    if exchange.api is Api.ANTHROPIC:
        return exchange.metering
    free = metering_at(exchange.method, exchange.path) is Metering.FREE
    return Metering.FREE if free else Metering.METERED


def _unmetered(key: ClientKey, metering: Metering) -> Reply | None:
    if metering is not Metering.UNMETERED or (key.daily_cap_usd is None and not key.models):
        return None
    what = "models" if key.daily_cap_usd is None else "a daily cap"
    message = (
        f"The client {key.name!r} has limits ({what}) that could not be kept here: the model and the cost of what is"
        " asked of this path can't be told. Use POST /v1/messages."
    )
    return Reply(400, "invalid_request_error", message)


def over_cap(key: ClientKey, metering: Metering, budget: Budget, now: float) -> Reply | None:
    """Return the reply to a client that has used up its cap of today; None where it has not."""
    cap = key.daily_cap_usd
    if cap is None or metering is Metering.FREE:
        return None
    if budget.counted_of(key.name, now) < cap:
        return None
    used = budget.used_today(key.name, now)
    what = f"the client {key.name!r} has used {of_cap(used, cap)} today"
    if used < cap:
        what += ", the part of a replica while Redis is away"
    return cap_reached(what, budget.resets_at(now), now)


def cap_reached(what: str, resets_at: float, now: float) -> Reply:
    """Return the reply where a cap on spending is reached, in the form that Anthropic's own gateway has.

    Claude Code shows it at once.
    """
    message = f"{SPEND_LIMIT} — {what}. It resets at {reset_time(resets_at, now)}."
    return Reply(429, "billing_error", message, lasting=True)
