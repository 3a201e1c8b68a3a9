"""The limits of one account that replicas share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from neurolink_mitm.core.cluster.rates import STALE, SharedRate
from neurolink_mitm.core.cluster.slots import LEASE, MARGIN, Slots
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.limits import over_rate


@dataclass(slots=True)
class SharedLimits:
    """`rateLimit` and `maxConcurrent` of the account `key`, as its settings have them. Implements `Limits`."""

    key: str
    replicas: Callable[[], int]
    on_rate: Callable[[str], object] = field(repr=False)
    """Called with the key when there are requests to settle."""
    on_slots: Callable[[str], object] = field(repr=False)
    """Called with the key when other slots are wanted than are held."""
    short: set[str] = field(repr=False)
    """Has the key while there is no free slot."""
    rate: SharedRate | None = None
    slots: Slots | None = None

    def configure(self, account: Account) -> None:
        """Follow the settings of the account. A rate that has changed keeps what is paid for."""
        if not account.rate_limit:
            self.rate = None
        elif self.rate is None:
            self.rate = SharedRate(
                account.rate_limit, self.replicas, lambda: self.on_rate(self.key)
            )
        else:
            self.rate.rate = account.rate_limit
        if not account.max_concurrent:
            self.slots = None
            self.short.discard(self.key)
        elif self.slots is None:
            self.slots = Slots(
                account.max_concurrent, self.replicas, lambda: self.on_slots(self.key)
            )
        else:
            self.slots.limit = account.max_concurrent

    def busy(self, account: Account, in_flight: int, now: float) -> tuple[str, float] | None:
        self.configure(account)
        if self.slots and in_flight >= self.slots.allowed(now):
            self.short.add(self.key)
            return self._no_slot(self.slots, now), now + 1
        self.short.discard(self.key)
        if self.rate and (wait := self.rate.wait(now)):
            return over_rate(self.rate.rate), now + wait
        return None

    def began(self, in_flight: int, now: float) -> None:
        if self.rate:
            self.rate.take(now)
        if self.slots:
            self.slots.began(in_flight)

    def ended(self, in_flight: int, *, sent: bool) -> None:
        if self.rate and not sent:
            self.rate.give_back()
        if self.slots:
            self.slots.ended(in_flight)

    def changes_at(self, now: float) -> float:
        moments = []
        if self.rate:
            moments.append(self.rate.heard_at + STALE)
            if wait := self.rate.wait(now):
                moments.append(now + wait)
        if self.slots:
            moments.append(self.slots.leased_at + LEASE - MARGIN)
        return min((moment for moment in moments if moment >= now), default=math.inf)

    def ask_for_more(self, account: Account, in_flight: int, now: float) -> float | None:
        if self.slots and in_flight >= self.slots.allowed(now):
            self.slots.ask(now)
            return self.slots.handed_over_by(now)
        return None

    @staticmethod
    def _no_slot(slots: Slots, now: float) -> str:
        if slots.is_leased(now):
            return f"at its {slots.limit} requests at once, those of other replicas included"
        return f"at {slots.share} of its {slots.limit} requests at once, as Redis is away"
