"""Replays recorded requests under other strategies: an estimate, whose assumptions are listed beside it.

An account is limited from a recorded 429 on for as long as upstream said, until it is recorded to have answered again.
So the result counts how often a strategy meets the recorded limits, not how its own use would have moved them.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from neurolink_mitm.core.cost.budget import Budget, is_paid
from neurolink_mitm.core.logs.timestamps import next_midnight
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.quota import DEFAULT_FALLBACK, Quota
from neurolink_mitm.core.pool.windows import FIVE_HOURS, Window
from neurolink_mitm.core.response.prompt_cache import SHORT, Conversation
from neurolink_mitm.records.recorded_limits import Limits, failure_of
from neurolink_mitm.records.recording import Asked, Recording, Tried
from neurolink_mitm.records.replay_pool import ReplayPool, Setting, accounts_of

BATCH = 25
"""Requests from one `yield` to the next: a millisecond, about."""


@dataclass(slots=True)
class Outcome:
    """What became of the requests. Costs are USD."""

    requests: int = 0
    rate_limits: int = 0
    failovers: int = 0
    refused: int = 0
    """Requests that no account could serve: they got a 429, or another provider's answer."""
    served: Counter[str] = field(default_factory=Counter)
    """Requests by the label of the account."""
    paid: float = 0.0
    """What was paid per use."""
    listed: float = 0.0
    """By the price list, on subscriptions too."""
    unpriced: int = 0
    """Served requests whose cost is not known."""
    moved: int = 0
    """Tokens that were written to a prompt cache again, since their session had moved."""

    def serve(self, asked: Asked, account: str, *, paid: bool) -> None:
        self.served[account] += 1
        if asked.cost is None:
            self.unpriced += 1
        else:
            self.listed += asked.cost
            self.paid += asked.cost if paid else 0.0

    def refuse(self, asked: Asked) -> None:
        self.refused += 1
        self.paid += asked.other_cost


def recorded(recording: Recording) -> Outcome:
    """Return what did become of the requests."""
    outcome = Outcome(requests=len(recording.requests))
    for asked in recording.requests:
        outcome.failovers += asked.failovers
        outcome.moved += asked.moved
        if asked.served_by is None:
            outcome.refuse(asked)
        else:
            paid = recording.types.get(asked.served_by) != "oauth"
            outcome.serve(asked, asked.served_by, paid=paid)
    outcome.rate_limits = sum(each.is_rate_limit for each in recording.attempts)
    return outcome


class Replay:
    """Sends the recorded requests again, under several strategies at once."""

    def __init__(
        self, recording: Recording, strategies: Sequence[str], setting: Setting | None = None
    ) -> None:
        self._recording = recording
        setting = setting or Setting()
        accounts = accounts_of(recording, setting.accounts)
        self._worlds = {name: _World(name, accounts, setting) for name in strategies}
        self._limits = Limits()
        self._failing: list[tuple[float, int, _Failing]] = []
        """Attempts that will fail, by their end."""
        self._number = 0
        self._past: dict[str, bool] = {}
        """By account: whether a window is used up so far that other accounts serve first."""
        self._next_limit = self._next_quota = 0

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """The outcome by strategy."""
        return {name: world.outcome for name, world in self._worlds.items()}

    def run(self) -> Iterator[int]:
        """Send all requests; yield how many were sent, now and then."""
        for number, asked in enumerate(self._recording.requests):
            if number % BATCH == 0:
                yield number
            self._fail_until(asked.at)
            self._look(asked.at)
            for world in self._worlds.values():
                world.outcome.requests += 1
                self._send(world, _Try(asked, asked.at))
        self._fail_until(math.inf)
        for world in self._worlds.values():
            world.end()
        yield len(self._recording.requests)

    def finish(self) -> Mapping[str, Outcome]:
        """Send all requests, and return the outcomes."""
        for _ in self.run():
            pass
        return self.outcomes

    def _look(self, now: float) -> None:
        """Take what is recorded until `now`: the limits of then, and how full windows were before."""
        attempts = self._recording.attempts
        while self._next_limit < len(attempts) and attempts[self._next_limit].at <= now:
            self._limits.take(attempts[self._next_limit])
            self._next_limit += 1
        while self._next_quota < len(attempts) and attempts[self._next_quota].at < now:
            if attempts[self._next_quota].used is not None:
                self._take_quota(attempts[self._next_quota])
            self._next_quota += 1

    def _take_quota(self, tried: Tried) -> None:
        """Take what a response said of the windows, where that makes a difference."""
        past = (tried.used or 0.0) >= DEFAULT_FALLBACK
        if self._past.get(tried.account) != past:
            self._past[tried.account] = past
            windows = {FIVE_HOURS: Window(tried.used)}
            for world in self._worlds.values():
                world.pool.take_quota(f"anthropic:{tried.account}", Quota(tried.at, windows))

    def _fail_until(self, now: float) -> None:
        while self._failing and self._failing[0][0] <= now:
            at, _, (world, attempt, account, limit) = heapq.heappop(self._failing)
            self._look(at)
            world.fail(attempt, account, limit, at)
            attempt.now = at
            self._send(world, attempt)

    def _send(self, world: _World, attempt: _Try) -> None:
        """Send a request to the account that the strategy chooses."""
        account = world.choose(attempt)
        if account is None:
            world.outcome.refuse(attempt.asked)
            return
        world.outcome.failovers += bool(attempt.tried)
        limit = self._limits.of(account.label, attempt.asked.requirements, attempt.now)
        if limit is None:
            world.serve(attempt, account)
            return
        world.begin(attempt, account)
        self._number += 1
        end = attempt.now + limit.delay
        heapq.heappush(self._failing, (end, self._number, (world, attempt, account, limit)))


class _Try(msgspec.Struct, gc=False):
    """A request on its way through the accounts."""

    asked: Asked
    now: float
    tried: tuple[str, ...] = ()
    settled: bool = False
    """Whether its session has an account that serves it, as nothing has changed."""


_Failing: TypeAlias = "tuple[_World, _Try, Account, Tried]"
"""A request under a strategy, on an account, and the limit that it meets there."""


class _World:
    """What becomes of the requests under one strategy."""

    def __init__(self, strategy: str, accounts: Sequence[Account], setting: Setting) -> None:
        self.outcome = Outcome()
        self.pool = ReplayPool(
            accounts, strategy, setting, Budget(setting.pay_per_use, setting.cap)
        )
        self._caches: dict[Conversation, _Caches] = {}

    def end(self) -> None:
        """Free the memory: the pool refers to itself, and would stay until the garbage collector comes."""
        self._caches.clear()
        vars(self.pool).clear()

    def choose(self, attempt: _Try) -> Account | None:
        of, now = attempt.asked.requirements, attempt.now
        settled = None if attempt.tried else self.pool.settled(of, now)
        attempt.settled = settled is not None
        return settled or self.pool.pick(of, now, attempt.tried)

    def serve(self, attempt: _Try, account: Account) -> None:
        asked, now = attempt.asked, attempt.now
        self.pool.served(asked.requirements, account, now, settled=attempt.settled)
        paid = is_paid(account)
        self.outcome.serve(asked, account.label, paid=paid)
        if paid and self.pool.budget.cap is not None:
            self._spend(asked.cost or 0.0, now)
        if asked.conversation and asked.cached:
            caches = self._caches.get(asked.conversation)
            if caches is None:
                caches = self._caches[asked.conversation] = _Caches()
            self.outcome.moved += caches.use(account.key, asked, now)

    def _spend(self, cost: float, now: float) -> None:
        budget = self.pool.budget
        budget.spent = budget.spent_today(now) + cost
        budget.day_ends_at = next_midnight(now)

    def begin(self, attempt: _Try, account: Account) -> None:
        """Begin an attempt that will fail."""
        attempt.tried += (account.key,)
        self.pool.began(account.key, attempt.asked.requirements, attempt.now)

    def fail(self, attempt: _Try, account: Account, limit: Tried, now: float) -> None:
        """Book the failure of an attempt that has met `limit`."""
        self.outcome.rate_limits += limit.is_rate_limit
        self.pool.ended(account.key, sent_at=attempt.now)
        of, failure = attempt.asked.requirements, failure_of(limit, now)
        self.pool.failed(account.key, of, failure, sent_at=attempt.now, now=now)


class _Cached(msgspec.Struct, gc=False):
    """A conversation's prompt in the cache of an account, until a time."""

    account: str
    tokens: int
    lifetime: float
    until: float


class _Caches:
    """Where a conversation's prompt is cached."""

    __slots__ = ("_by_account", "_last")

    def __init__(self) -> None:
        self._last: _Cached | None = None
        self._by_account: dict[str, _Cached] = {}

    def use(self, account: str, asked: Asked, now: float) -> int:
        """Note that `account` serves a request; return how many tokens it has to write that another one had."""
        before = self._last
        lifetime = asked.lifetime or (before.lifetime if before else SHORT)
        self._last = latest = _Cached(account, asked.cached, lifetime, now + lifetime)
        if before is None or before.account == account:
            return 0
        own = self._by_account.get(account)
        self._by_account[before.account] = before
        self._by_account[account] = latest
        if before.until <= now:
            return 0
        kept = own.tokens if own and now < own.until else 0
        return max(0, min(asked.cached, before.tokens) - kept)
