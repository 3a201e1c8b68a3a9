"""Bounds on what is paid per use: API keys beside subscriptions, and other providers."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.logs.timestamps import next_midnight
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.providers import catalog


class Metering(enum.Enum):
    """Whether the cost of a request can be metered. https://platform.claude.com/docs/en/about-claude/pricing"""

    FREE = "free"
    METERED = "metered"  # the response reports its tokens
    UNMETERED = "unmetered"  # a batch, say, whose results come later or elsewhere


_READS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_FREE = re.compile(
    r"/v1/(files|skills(/[^/]+/versions)?|organizations/.*|messages/batches/[^/]+/cancel)/?"
)
"""Paths to which a POST costs nothing."""


def metering_at(method: str, path: str) -> Metering:
    """Return the metering of a request that is not inference. What is not listed as free costs something."""
    if method in _READS:
        return Metering.FREE
    free = method == "POST" and _FREE.fullmatch(path.partition("?")[0])
    return Metering.FREE if free else Metering.UNMETERED


NEVER = "routing.pay-per-use is never"
UNPRICED = "its price is not known, and routing.daily-cap-usd is set"
UNPRICED_FOR_CLIENT = "its price is not known, and the client has a daily cap"
PART_REACHED = "is reached as far as this replica may go while Redis is away"
NOT_METERED = "what this costs can't be counted, and routing.daily-cap-usd is set"


def is_paid(account: Account) -> bool:
    """Return whether each request on `account` costs money; on a subscription it doesn't."""
    if account.is_anthropic:
        return account.type == "api_key"
    return not catalog.provider_info(account.provider).free


def unpriced(fallbacks: Iterable[Account], prices: Prices) -> frozenset[str]:
    """Return the keys of those that are paid, at an unknown price."""
    return frozenset(
        each.key
        for each in fallbacks
        if each.model and is_paid(each) and prices.of(each.provider, each.model) is None
    )


def of_cap(spent: float, cap: float) -> str:
    """Return how much of a cap is spent, in cents where that is exact enough."""
    digits = 2 if cap >= 0.1 or not cap else 4
    return f"${spent:.{digits}f} of ${cap:.{digits}f}"


OUT_OF_REACH = 2.5
"""Seconds without an answer of Redis after which replicas go by their parts of a cap."""

Sum = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
"""USD, or seconds, as a file may have them: what adds up to infinity could not be written."""


class ClientUse(msgspec.Struct, rename="camel"):
    """What the requests of one client have used. Costs are USD by the price list, on subscriptions too."""

    today_usd: Sum = 0.0
    total_usd: Sum = 0.0
    requests: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    last_used_at: Sum = 0.0
    """Seconds since the epoch."""

    def add(self, more: ClientUse) -> None:
        self.today_usd += more.today_usd
        self.total_usd += more.total_usd
        self.requests += more.requests
        self.last_used_at = max(self.last_used_at, more.last_used_at)


@dataclass(slots=True)
class Apart:
    """What this proxy has spent that the other replicas of its cluster do not know of yet.

    While they are out of reach each may be spending as much.
    """

    replicas: int = 1
    usd: float = 0.0
    clients: dict[str, float] = field(default_factory=dict)
    """USD by the name of the client key."""
    synced_at: float = -math.inf
    """When they last knew all, in seconds since the epoch."""

    def others(self, usd: float, now: float) -> float:
        """Return what the other replicas may have spent, where this one has spent `usd` that they don't know of."""
        if self.replicas == 1 or -1.0 < now - self.synced_at < OUT_OF_REACH:
            return 0.0
        return (self.replicas - 1) * usd


@dataclass(slots=True)
class Budget:
    """What may be spent, and what was spent today; `adapters/cost.py` counts it."""

    pay_per_use: Literal["allow", "never"] = "allow"
    cap: float | None = None
    """USD a day."""
    spent: float = 0.0
    """USD, in the day that ends at `day_ends_at` (seconds since the epoch)."""
    day_ends_at: float = 0.0
    unpriced: Collection[str] = field(default_factory=frozenset)
    """Keys of targets whose price is unknown: a cap can't bound them."""

    clients: dict[str, ClientUse] = field(default_factory=dict)
    """By the name of the client key."""
    apart: Apart = field(default_factory=Apart)
    midnight: Callable[[float], float] = next_midnight
    """Returns when the day of a moment ends."""

    def spent_today(self, now: float) -> float:
        return self.spent if now < self.day_ends_at else 0.0

    def used_today(self, client: str, now: float) -> float:
        """Return the USD that a client's requests have cost today, by the price list."""
        use = self.clients.get(client)
        return use.today_usd if use and now < self.day_ends_at else 0.0

    def counted_today(self, now: float) -> float:
        """Return the USD that count for the cap: those spent today, and those that other replicas may have spent."""
        if now >= self.day_ends_at:
            return 0.0
        return self.spent + self.apart.others(self.apart.usd, now)

    def counted_of(self, client: str, now: float) -> float:
        """The same for a client's cap."""
        used = self.used_today(client, now)
        return used + self.apart.others(self.apart.clients.get(client, 0.0), now) if used else 0.0

    def resets_at(self, now: float) -> float:
        """Return when the day ends: nothing may have been spent since the last one ended."""
        return self.day_ends_at if now < self.day_ends_at else self.midnight(now)

    def unbounded(
        self, entry: Account, model: str, prices: Prices, *, client_capped: bool
    ) -> str | None:
        """Return why a cap can't bound a model that an entry for any model is asked for; None where it can."""
        if not is_paid(entry) or prices.of(entry.provider, model) is not None:
            return None
        if client_capped:
            return UNPRICED_FOR_CLIENT
        return None if self.cap is None else UNPRICED

    def ineligible(
        self,
        account: Account,
        now: float,
        *,
        beside_subscription: bool,
        metering: Metering = Metering.METERED,
        client_capped: bool = False,
    ) -> Ineligible | None:
        """Return why the budget rules out `account` now; `client_capped`: the client has a daily cap of its own.

        `pay_per_use` concerns API keys beside subscriptions only: in a pool of keys, the owner means to pay.
        """
        if not is_paid(account):
            return None
        if self.pay_per_use == "never" and beside_subscription:
            return Ineligible(NEVER)
        if metering is Metering.FREE:
            return None
        if client_capped and account.key in self.unpriced:
            return Ineligible(UNPRICED_FOR_CLIENT)
        if self.cap is None:
            return None
        if metering is Metering.UNMETERED:
            return Ineligible(NOT_METERED)
        if account.key in self.unpriced:
            return Ineligible(UNPRICED)
        if self.counted_today(now) < self.cap:
            return None
        spent = self.spent_today(now)
        what = "is reached" if spent >= self.cap else PART_REACHED
        reason = f"routing.daily-cap-usd {what}: {of_cap(spent, self.cap)} spent today"
        return Ineligible(reason, self.resets_at(now), capped=True)
