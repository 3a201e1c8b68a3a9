"""What a request costs on an account that is paid per use: nothing, what its answer tells, or nobody can say.

https://platform.claude.com/docs/en/about-claude/pricing

Bounds on what is paid per use: API keys beside subscriptions, and other providers.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.providers import names as providers


class Charge(enum.Enum):
    """How its cost is known."""

    FREE = "free"
    TOLD = "told"  # its answer tells its tokens
    UNTOLD = "untold"  # a batch, say: its results come later, or never come by here


_READS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_FREE = re.compile(
    r"/v1/(files|skills(/[^/]+/versions)?|organizations/.*|messages/batches/[^/]+/cancel)/?"
)
"""What is posted there costs nothing."""


def charge_at(method: str, path: str) -> Charge:
    """The charge for anything but Messages, which tell theirs. What is not known to be free costs something."""
    if method in _READS:
        return Charge.FREE
    free = method == "POST" and _FREE.fullmatch(path.partition("?")[0])
    return Charge.FREE if free else Charge.UNTOLD


NEVER = "routing.pay-per-use is never"
UNTOLD = "what this costs can't be counted, and routing.daily-cap-usd is set"


def is_paid(account: Account) -> bool:
    """Whether each request costs money; those of a subscription don't."""
    if account.is_anthropic:
        return account.type == "api_key"
    return not providers.known(account.provider).free


def unpriced(others: Iterable[Account], prices: Prices) -> frozenset[str]:
    """Keys of those that cost something, nobody knows what."""
    return frozenset(
        each.key
        for each in others
        if each.model and is_paid(each) and prices.of(each.provider, each.model) is None
    )


@dataclass(slots=True)
class Budget:
    """What may be spent, and what has been. Whoever counts sets `spent` and `day_ends_at`."""

    pay_per_use: Literal["allow", "never"] = "allow"
    cap: float | None = None
    """USD a day."""
    spent: float = 0.0
    """USD, in the day that ends at `day_ends_at` (seconds since the epoch)."""
    day_ends_at: float = 0.0
    unpriced: Collection[str] = field(default_factory=frozenset)
    """Keys of those whose price nobody knows: a cap could not bound them."""

    def spent_today(self, now: float) -> float:
        return self.spent if now < self.day_ends_at else 0.0

    def skip(
        self,
        account: Account,
        now: float,
        *,
        beside_subscription: bool,
        charge: Charge = Charge.TOLD,
    ) -> Ineligible | None:
        """Why this account is not asked now. Keys of a pool that has nothing else are what its owner means to pay.

        A request whose `charge` is nothing is bounded by no cap; one whose charge nobody can tell can't be.
        """
        if not is_paid(account):
            return None
        if self.pay_per_use == "never" and beside_subscription:
            return Ineligible(NEVER)
        if self.cap is None or charge is Charge.FREE:
            return None
        if charge is Charge.UNTOLD:
            return Ineligible(UNTOLD)
        if account.key in self.unpriced:
            return Ineligible("its price is not known, and routing.daily-cap-usd is set")
        if self.spent_today(now) < self.cap:
            return None
        spent = f"${self.spent_today(now):.2f} of ${self.cap:.2f}"
        return Ineligible(
            f"routing.daily-cap-usd is reached: {spent} spent today", self.day_ends_at
        )
