"""Rate limits of requests a minute, of accounts and of clients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """A rate limit of `rate` requests a minute: a full bucket has as many tokens, a request takes one."""

    rate: int
    tokens: float
    filled_at: float

    @classmethod
    def full(cls, rate: int, now: float) -> TokenBucket:
        return cls(rate, float(rate), now)

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 if there is one."""
        self.filled_at = min(self.filled_at, now)  # a clock that was set back fills nothing
        tokens = self._tokens_at(now)
        return 0.0 if tokens >= 1 else (1 - tokens) * 60 / self.rate

    @property
    def next_token_at(self) -> float:
        """The time at which an empty bucket has a token again."""
        return self.filled_at + (1 - self.tokens) * 60 / self.rate

    def take(self, now: float) -> None:
        """Take a token, on credit if there is none."""
        self.tokens = self._tokens_at(now) - 1
        self.filled_at = now

    def give_back(self) -> None:
        self.tokens += 1

    def _tokens_at(self, now: float) -> float:
        passed = max(0.0, now - self.filled_at)
        return min(float(self.rate), self.tokens + passed * self.rate / 60)
