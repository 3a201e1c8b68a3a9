"""A rate limit that replicas share: what each has sent adds to one theoretical arrival time (GCRA) in Redis.

A replica admits requests at once, by the arrival time that it last heard of, and has them added to it a moment later.
So it may use a part of what is free ahead of the others: its share of it, and one request at least. What that is too
much is missing afterwards. https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

BURST = 4.0
"""Seconds whose requests may be sent at once; one request at least."""
STALE = 3.0
"""Seconds after the last answer for which the arrival time counts; then the replica goes by its share."""
RECHECK = 0.05
"""Seconds until what was sent is settled, about: then there is more."""
_EXACT = 1e-6
"""Part of a request that rounding may cost."""


@dataclass(slots=True)
class SharedRate:
    """A rate limit of `rate` requests a minute. Times are seconds since the epoch, by our clock."""

    rate: int
    replicas: Callable[[], int]
    on_change: Callable[[], object] = field(repr=False)
    """Called when there is something to settle."""
    arrival: float = 0.0
    """The theoretical arrival time of the next request: all that is settled is paid for then."""
    unsettled: int = 0
    """Requests that Redis does not know of; negative: more were given back than sent."""
    heard_at: float = -math.inf
    own_arrival: float = 0.0
    """The same for this replica's share alone, while Redis is away."""

    @property
    def interval(self) -> float:
        """Seconds from one request to the next."""
        return 60 / self.rate

    @property
    def tolerance(self) -> float:
        """Seconds that the arrival time may be ahead."""
        return max(BURST, self.interval)

    @property
    def most(self) -> float:
        """Seconds that the arrival time can be ahead where all replicas sent at once; more is an error's debt."""
        return 2 * self.tolerance + self.replicas() * self.interval

    def is_shared(self, now: float) -> bool:
        """Return whether the arrival time is known well enough; else this replica goes by its share."""
        return -1.0 < now - self.heard_at < STALE

    def wait(self, now: float) -> float:
        if not self.is_shared(now):
            self.own_arrival = min(self.own_arrival, now + 2 * self._own_tolerance())
            ahead = max(self.own_arrival - now, 0.0) + self._own_interval() - self._own_tolerance()
            return ahead if ahead > _EXACT * self.interval else 0.0
        free = self._free(now)
        if self.unsettled < self._ahead(free):
            return 0.0
        left = 1 - (free - self.unsettled)
        return left * self.interval if left > _EXACT else RECHECK

    def take(self, now: float) -> None:
        if self.is_shared(now):
            self.unsettled += 1
        else:
            self.own_arrival = max(self.own_arrival, now) + self._own_interval()
        self.on_change()

    def give_back(self) -> None:
        if self.own_arrival > self.arrival:  # sent while Redis was away
            self.own_arrival -= self._own_interval()
        else:
            self.unsettled -= 1
        self.on_change()

    def to_settle(self, now: float) -> int:
        """Return how many requests to add to the arrival time: all of late, and the last while Redis was away."""
        count = self.unsettled
        if not self.is_shared(now):
            count += round(max(0.0, self.own_arrival - now) / self._own_interval())
        most = max(1, self.rate // 10)
        return min(max(count, -most), most)

    def settled(self, count: int, ahead: float, now: float) -> None:
        """Take over the answer: `count` are added, and the arrival time is `ahead` of now."""
        self.unsettled = self.unsettled - count if self.is_shared(now) else 0
        self.arrival, self.heard_at = now + ahead, now
        self.own_arrival = self.arrival

    def heard(self, arrival: float, now: float) -> None:
        """Take over the arrival time after another replica has settled; the next answer makes up for what is wrong."""
        if self.arrival < arrival <= now + self.most:
            self.arrival = arrival

    def _free(self, now: float) -> float:
        """Return how many requests may be sent at once, by all replicas."""
        return (now + self.tolerance - max(self.arrival, now)) / self.interval

    def _ahead(self, free: float) -> int:
        """Return how many of those this replica may send before the others know."""
        whole = math.floor(free + _EXACT)
        return min(whole, max(1, math.ceil(free / self.replicas() - _EXACT)))

    def _own_interval(self) -> float:
        """Return the interval of a replica's share, which is one request a minute at least."""
        return min(60.0, self.interval * self.replicas())

    def _own_tolerance(self) -> float:
        return max(BURST, self._own_interval())
