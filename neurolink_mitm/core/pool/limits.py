"""The limits of one account's settings: `rateLimit` and `maxConcurrent`; what of them this proxy may use now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.token_bucket import TokenBucket


class Bucket(Protocol):
    """A rate limit, of this proxy alone or shared with replicas. Times are seconds since the epoch."""

    rate: int
    """Requests a minute."""

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 if there is one."""

    def take(self, now: float) -> None:
        """Take a token, on credit if there is none."""

    def give_back(self) -> None: ...


class Limits(Protocol):
    """The limits of one account. `in_flight` are its requests in this proxy."""

    def busy(self, account: Account, in_flight: int, now: float) -> tuple[str, float] | None:
        """Return which limit keeps `account` from one more request now, and until when; None if none does."""

    def began(self, in_flight: int, now: float) -> None:
        """Count a request, which is among those `in_flight`."""

    def ended(self, in_flight: int, *, sent: bool) -> None:
        """Note that a request has ended; one that was not `sent` does not count against the rate limit."""

    def changes_at(self, now: float) -> float:
        """Return the next time at which time alone may change what `busy` returns."""

    def ask_for_more(self, account: Account, in_flight: int, now: float) -> float | None:
        """Note that a request would have used `account`, which is busy. Return until when that is worth waiting for."""


@dataclass(slots=True)
class OwnLimits:
    """The limits of an account that this proxy alone uses."""

    bucket: TokenBucket | None = None

    def busy(self, account: Account, in_flight: int, now: float) -> tuple[str, float] | None:
        if account.max_concurrent and in_flight >= account.max_concurrent:
            return f"at its {account.max_concurrent} requests at once", now + 1
        if account.rate_limit:
            if self.bucket is None or self.bucket.rate != account.rate_limit:
                self.bucket = TokenBucket.full(account.rate_limit, now)
            if wait := self.bucket.wait(now):
                return over_rate(account.rate_limit), now + wait
        return None

    def began(self, in_flight: int, now: float) -> None:
        if self.bucket:
            self.bucket.take(now)

    def ended(self, in_flight: int, *, sent: bool) -> None:
        if self.bucket and not sent:
            self.bucket.give_back()

    def changes_at(self, now: float) -> float:
        return self.bucket.next_token_at if self.bucket and self.bucket.tokens < 1 else math.inf

    def ask_for_more(self, account: Account, in_flight: int, now: float) -> float | None:
        return None  # nobody else has any


def over_rate(rate: int) -> str:
    return f"over its {rate} requests a minute"
