"""The difference between Redis' clock, by which replicas agree, and this machine's."""

from __future__ import annotations

import math
from dataclasses import dataclass

JITTER = 0.01
"""Seconds by which a new measurement may differ without being taken over: times that were converted stay exact."""
STEP = 0.5
"""Seconds by which our clock has been set, at least; less is a clock that is being slewed."""
LONGEST = 5.0
"""Seconds for an answer: if they are more by our clock, that has been set meanwhile."""
LATEST = 32503680000.0
"""The year 3000: no clock shows more."""


def as_time(text: bytes) -> float:
    """Return seconds since the epoch. Raises `ValueError` for what no clock shows."""
    time = float(text)
    if not (math.isfinite(time) and 0 < time < LATEST):
        raise ValueError(f"no time: {time}")
    return time


@dataclass(slots=True)
class Offset:
    """`seconds` that Redis' clock is ahead of ours; None before the first measurement."""

    seconds: float | None = None
    lead: float | None = None
    """Seconds that our clock, which may be set, was ahead of one that may not."""

    def measured(self, server: float, before: float, after: float) -> None:
        """Take over that Redis' clock showed `server` between `before` and `after` of ours: seconds since the epoch.

        A slow answer says little: it is left out if it agrees with what is known.
        """
        if abs(after - before) > LONGEST:
            return
        offset, uncertain = server - (before + after) / 2, abs(after - before) / 2
        if self.seconds is None or abs(offset - self.seconds) > max(JITTER, uncertain):
            self.seconds = offset

    def followed(self, lead: float) -> None:
        """Take over that our clock is `lead` ahead of one that can't be set: it may have been set since."""
        if self.lead is not None and self.seconds is not None and abs(lead - self.lead) > STEP:
            self.seconds -= lead - self.lead
        self.lead = lead

    def to_server(self, ours: float) -> float:
        return ours + (self.seconds or 0.0)

    def to_ours(self, server: float) -> float:
        return server - (self.seconds or 0.0)
