"""The requests at once on one account (`maxConcurrent`) that replicas share: each holds slots, by a lease.

A slot is held before a request uses it, so that all together never have more. Idle replicas hold their share, until
another one is short of slots; then every slot that is left goes back, to whoever has waited longest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

LEASE = 5.0
"""Seconds of Redis' clock after which the slots of a replica that says nothing are free again."""
MARGIN = 0.5
"""Seconds by which a replica counts its lease shorter."""
WANTED = 1.5
"""Seconds for which a request that found no slot counts as waiting for one."""
HANDOVER = 0.1
"""Seconds in which an idle slot of another replica is here, if there is one."""
SETTLE = 0.2
"""Seconds that the slot of a waiting request is kept for it."""


@dataclass(slots=True)
class Slots:
    """This replica's slots of an account that has `limit` of them. Times are seconds since the epoch."""

    limit: int
    replicas: Callable[[], int]
    on_change: Callable[[], object] = field(repr=False)
    """Called when other slots are wanted than are held."""
    held: int = 0
    leased_at: float = -math.inf
    """When the lease was asked for."""
    wanted_at: float = -math.inf
    """When a request last found no slot, and none has come since."""
    granted_at: float = -math.inf
    """When a request that waited last got a slot."""
    asked_at: float = -math.inf
    """When the first of the requests that wait found no slot."""
    contended: bool = False
    """Whether another replica waits for slots."""

    def is_leased(self, now: float) -> bool:
        """Return whether the slots are held in Redis; else this replica goes by its share."""
        return -1.0 < now - self.leased_at < LEASE - MARGIN

    def allowed(self, now: float) -> int:
        """Return how many requests there may be at once in this replica."""
        return self.held if self.is_leased(now) else self.share

    @property
    def share(self) -> int:
        """This replica's part of the limit; one at least, though together that may be more."""
        return max(1, self.limit // self.replicas())

    def ask_for(self, in_flight: int, now: float) -> tuple[int, int, bool]:
        """Return how many slots are in use, how many to ask for, and whether a request waits for one of them.

        What goes back is not used from now on, though Redis is asked later: so it never has two holders.
        """
        waits = 0 <= now - self.wanted_at < WANTED
        wanted = min(self.limit, max(in_flight + max(1, self.limit // 10), self.share))
        if self.contended and not 0 <= now - self.granted_at < SETTLE:
            wanted = in_flight + waits
        if not self.is_leased(now):
            return in_flight, max(wanted, in_flight), waits
        self.held = max(in_flight, min(self.held, wanted))
        return self.held, max(wanted, self.held), waits

    def began(self, in_flight: int) -> None:
        self.granted_at = -math.inf  # it is used
        if in_flight >= self.held:
            self.on_change()

    def ended(self, in_flight: int) -> None:
        """Leave the slot of a request that has ended to a replica that waits for one."""
        if self.contended:
            self.held = min(self.held, in_flight)
            self.on_change()

    def leave(self, in_flight: int, now: float) -> None:
        """Note that another replica waits for slots: those that are not used go back."""
        self.contended = True
        if self.held > in_flight and not 0 <= now - self.granted_at < SETTLE:
            self.on_change()

    def ask(self, now: float) -> None:
        """Note that a request has found no slot."""
        first = not 0 <= now - self.wanted_at < WANTED
        self.wanted_at = now
        if first:
            self.asked_at = now
            self.on_change()

    def handed_over_by(self, now: float) -> float | None:
        """Return until when it is worth waiting for a slot that another replica does not use; None if it is not."""
        until = self.asked_at + HANDOVER
        return until if self.is_leased(now) and self.asked_at <= now < until else None

    def leased(self, held: int, in_flight: int, at: float, *, contended: bool) -> None:
        """Take over what a lease that was asked for `at` has brought."""
        self.held = min(max(held, 0), max(self.limit, in_flight))
        self.leased_at, self.contended = at, contended
        if self.held > in_flight:
            if math.isfinite(self.wanted_at):
                self.wanted_at, self.granted_at = -math.inf, at
            elif contended:
                self.leave(in_flight, at)
