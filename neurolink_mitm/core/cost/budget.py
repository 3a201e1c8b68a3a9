"""Bounds on what is paid per use: API keys beside subscriptions, and other providers."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from neurolink_mitm.core.cost.prices import Prices
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


@dataclass(slots=True)
class Budget:
    """What may be spent, and what was spent today; `adapters/cost.py` sets `spent` and `day_ends_at`."""

    pay_per_use: Literal["allow", "never"] = "allow"
    cap: float | None = None
    """USD a day."""
    spent: float = 0.0
    """USD, in the day that ends at `day_ends_at` (seconds since the epoch)."""
    day_ends_at: float = 0.0
    unpriced: Collection[str] = field(default_factory=frozenset)
    """Keys of targets whose price is unknown: a cap can't bound them."""

    def spent_today(self, now: float) -> float:
        return self.spent if now < self.day_ends_at else 0.0

    def is_unbounded(self, entry: Account, model: str, prices: Prices) -> bool:
        """Return whether a cap can't bound a model that an entry for any model is asked for."""
        if self.cap is None or not is_paid(entry):
            return False
        return prices.of(entry.provider, model) is None

    def ineligible(
        self,
        account: Account,
        now: float,
        *,
        beside_subscription: bool,
        metering: Metering = Metering.METERED,
    ) -> Ineligible | None:
        """Return why the budget rules out `account` now.

        `pay_per_use` concerns API keys beside subscriptions only: in a pool of keys, the owner means to pay.
        """
        if not is_paid(account):
            return None
        if self.pay_per_use == "never" and beside_subscription:
            return Ineligible(NEVER)
        if self.cap is None or metering is Metering.FREE:
            return None
        if metering is Metering.UNMETERED:
            return Ineligible(NOT_METERED)
        if account.key in self.unpriced:
            return Ineligible(UNPRICED)
        if self.spent_today(now) < self.cap:
            return None
        spent = f"${self.spent_today(now):.2f} of ${self.cap:.2f}"
        return Ineligible(
            f"routing.daily-cap-usd is reached: {spent} spent today", self.day_ends_at
        )
