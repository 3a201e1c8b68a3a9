"""The breaker before Redis: while Redis is away nobody asks it, but for one probe at a time."""

from __future__ import annotations

import enum
from dataclasses import dataclass

MOST_ERRORS = 5
"""Hard errors in a row (refused, reset, an answer that is none) that open it."""
LONGEST_TIMEOUTS = 2.0
"""Seconds of nothing but time-outs that open it."""
PROBE_EVERY = 0.5
"""Seconds from one probe of an open breaker to the next."""


class State(enum.Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"  # one probe is under way


@dataclass(slots=True)
class Breaker:
    """Times are monotonic seconds."""

    state: State = State.CLOSED
    changed_at: float = 0.0
    reason: str = ""
    """The last error; empty after a success."""
    errors: int = 0
    """Hard errors in a row."""
    timeouts_since: float | None = None
    """When the first time-out in a row was noticed."""
    probed_at: float = 0.0

    def admits(self, now: float) -> bool:
        """Return whether a call may go through. Of an open breaker, that call is the probe."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN and now - self.probed_at >= PROBE_EVERY:
            self.state, self.probed_at = State.HALF_OPEN, now
            return True
        return False

    def succeeded(self, now: float) -> bool:
        """Note an answer. Return whether the breaker has closed."""
        self.errors, self.timeouts_since, self.reason = 0, None, ""
        return self._go(State.CLOSED, now)

    def failed(self, now: float, reason: str, *, timeout: bool) -> bool:
        """Note a call without a usable answer. Return whether the breaker has opened."""
        self.reason = reason
        if timeout:
            self.timeouts_since = now if self.timeouts_since is None else self.timeouts_since
        else:
            self.errors += 1
        too_long = self.timeouts_since is not None and now - self.timeouts_since >= LONGEST_TIMEOUTS
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN
            return False
        if self.state is State.CLOSED and (too_long or self.errors >= MOST_ERRORS):
            self.probed_at = now
            return self._go(State.OPEN, now)
        return False

    def abandoned(self) -> None:
        """Note a call that was cancelled: it says nothing."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN

    def _go(self, state: State, now: float) -> bool:
        if self.state is state:
            return False
        self.state, self.changed_at = state, now
        return True
