"""A token bucket: so many requests a minute, and no more than a minute's worth at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Holds `rate` tokens when full; a request takes one. Times are seconds of one clock."""

    rate: int
    tokens: float
    filled_at: float

    @classmethod
    def full(cls, rate: int, now: float) -> Bucket:
        """A bucket nobody has taken from yet; `rate` is requests a minute."""
        return cls(rate, float(rate), now)

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 if there is one."""
        self._fill(now)
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) * 60 / self.rate

    def take(self, now: float) -> None:
        """Take a token, on credit if there is none."""
        self._fill(now)
        self.tokens -= 1

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self.filled_at)  # a clock that was set back fills nothing
        self.tokens = min(float(self.rate), self.tokens + passed * self.rate / 60)
        self.filled_at = now
