"""The difference between Redis' clock, by which replicas agree, and this machine's."""

from __future__ import annotations

from dataclasses import dataclass

JITTER = 0.01
"""Seconds by which a new measurement may differ without being taken over: times that were converted stay exact."""


@dataclass(slots=True)
class Offset:
    """`seconds` that Redis' clock is ahead of ours; None before the first measurement."""

    seconds: float | None = None

    def measured(self, server: float, before: float, after: float) -> None:
        """Take over that Redis' clock showed `server` between `before` and `after` of ours: seconds since the epoch."""
        offset, uncertain = server - (before + after) / 2, abs(after - before) / 2
        if self.seconds is None or abs(offset - self.seconds) > max(JITTER, uncertain):
            self.seconds = offset

    def to_server(self, ours: float) -> float:
        return ours + (self.seconds or 0.0)

    def to_ours(self, server: float) -> float:
        return server - (self.seconds or 0.0)
