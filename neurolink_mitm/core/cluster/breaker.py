"""The breaker before Redis: while Redis is away nobody asks it, but for one probe at a time."""

from __future__ import annotations

import enum
from dataclasses import dataclass

MOST_ERRORS = 5
"""Hard errors in a row (refused, reset, no login, an answer that is none) that open it."""
LONGEST_TIMEOUTS = 2.0
"""Seconds of nothing but time-outs that open it."""
PROBE_EVERY = 0.5
"""Seconds from one probe of an open breaker to the next."""
PROBE_EVERY_AT_MOST = 4.0
"""The same for one that opens again and again, so that it does not fill the log."""
PROBE_LOST = 2.0
"""Seconds after which a probe of which nothing is heard counts as failed."""
STEADY = 10.0
"""Seconds closed after which an opening counts as the first again."""


class State(enum.Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"  # one probe is under way


class Call(enum.Enum):
    """What an admitted call means for the breaker."""

    ORDINARY = "ordinary"
    PROBE = "probe"


@dataclass(slots=True)
class Breaker:
    """Times are monotonic seconds."""

    state: State = State.CLOSED
    changed_at: float = 0.0
    """When it was opened or closed."""
    reason: str = ""
    """The last error; empty after an answer."""
    errors: int = 0
    """Hard errors in a row."""
    timeouts_since: float | None = None
    """When the first time-out in a row was noticed."""
    probed_at: float = 0.0
    reopened: int = 0
    """How often in a row it was opened soon after it had closed."""

    @property
    def is_open(self) -> bool:
        return self.state is not State.CLOSED

    @property
    def probe_every(self) -> float:
        return float(min(PROBE_EVERY_AT_MOST, PROBE_EVERY * 2 ** min(self.reopened, 10)))

    def admits(self, now: float) -> Call | None:
        """Return what a call is that may go through now; None: it may not."""
        if self.state is State.CLOSED:
            return Call.ORDINARY
        pause = PROBE_LOST if self.state is State.HALF_OPEN else self.probe_every
        if now - self.probed_at < pause:
            return None
        self.state, self.probed_at = State.HALF_OPEN, now
        return Call.PROBE

    def succeeded(self, now: float) -> bool:
        """Note an answer. Return whether the breaker has closed."""
        self.errors, self.timeouts_since, self.reason = 0, None, ""
        if self.state is State.CLOSED:
            return False
        self.state, self.changed_at = State.CLOSED, now
        return True

    def failed(self, call: Call, now: float, reason: str, *, timeout: bool) -> bool:
        """Note a call without a usable answer. Return whether the breaker has opened."""
        self.reason = reason
        if self.state is not State.CLOSED:  # calls from before it opened say nothing new
            if call is Call.PROBE:
                self.state = State.OPEN
            return False
        if timeout:
            self.timeouts_since = now if self.timeouts_since is None else self.timeouts_since
        else:
            self.errors += 1
        too_long = self.timeouts_since is not None and now - self.timeouts_since >= LONGEST_TIMEOUTS
        if not too_long and self.errors < MOST_ERRORS:
            return False
        self._open(now)
        return True

    def abandoned(self, call: Call) -> None:
        """Note a call that was cancelled: it says nothing."""
        if call is Call.PROBE and self.state is State.HALF_OPEN:
            self.state = State.OPEN

    def _open(self, now: float) -> None:
        soon = self.changed_at > 0 and now - self.changed_at < STEADY
        self.reopened = self.reopened + 1 if soon else 0
        self.state, self.changed_at, self.probed_at = State.OPEN, now, now
