"""Replays recorded requests under other strategies: an estimate, whose assumptions are listed beside it.

An account is limited from a recorded 429 on for as long as upstream said, until it is recorded to have answered again.
So the result counts how often a strategy meets the recorded limits, not how its own use would have moved them.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, TypeAlias

import msgspec

from neurolink_mitm.core.cost.budget import Budget, is_paid
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.logs.timestamps import next_midnight
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.choosing import session_of
from neurolink_mitm.core.pool.families import family_of
from neurolink_mitm.core.pool.limit_headers import UNIFIED
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import DEFAULT_FALLBACK, Quota
from neurolink_mitm.core.pool.ready import KINDS, Kind, Ready
from neurolink_mitm.core.pool.windows import FIVE_HOURS, Window
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.endpoints import MESSAGES
from neurolink_mitm.core.response.prompt_cache import SHORT, Conversation
from neurolink_mitm.records.recording import Asked, Recording, Tried

CLAIM = f"{UNIFIED}representative-claim".encode()
"""The header that names the window which has limited a request."""
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


@dataclass(frozen=True, slots=True)
class Setting:
    """What is configured beside the strategy."""

    accounts: Sequence[Account] = ()
    """Those of now, in their order; recorded ones that are not among them come last."""
    affinity: bool = True
    primary: str | None = None
    pay_per_use: Literal["allow", "never"] = "allow"
    cap: float | None = None


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


def accounts_of(recording: Recording, accounts: Sequence[Account]) -> list[Account]:
    """Return the accounts that may serve: those of now that are in use, and those that were asked then."""
    by_label = {account.label: account for account in accounts}
    asked = recording.types
    current = [a for a in accounts if a.label in asked or (a.enabled and not a.disabled)]
    gone = [label for label in asked if label not in by_label]
    gone.sort(key=lambda label: asked[label] != "oauth")
    return [*map(_in_use, current), *(_recorded(label, asked[label]) for label in gone)]


def _in_use(account: Account) -> Account:
    """Return the account as it was while it served, without its secrets."""
    return replace(
        account,
        secret=Secret(""),
        enabled=True,
        disabled=None,
        paused=None,
        expires_at=None,
        max_concurrent=0,  # requests take no time here
    )


def _recorded(label: str, plan: str) -> Account:
    type_: Literal["oauth", "api_key"] = "oauth" if plan == "oauth" else "api_key"
    return Account(f"anthropic:{label}", label, type_, Secret(""), "")


class Replay:
    """Sends the recorded requests again, under several strategies at once."""

    def __init__(
        self, recording: Recording, strategies: Sequence[str], setting: Setting | None = None
    ) -> None:
        self._recording = recording
        setting = setting or Setting()
        accounts = accounts_of(recording, setting.accounts)
        self._worlds = {name: _World(name, accounts, setting) for name in strategies}
        self._limits = _Limits()
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


class _Limits:
    """What is recorded of limits up to a time."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], dict[str, Tried]] = {}
        """By account and endpoint, the latest of each family of models."""
        self._served: dict[tuple[str, str, str], float] = {}
        """By account, endpoint and family, when it was last served, if there was a limit."""

    def take(self, tried: Tried) -> None:
        place = (tried.account, tried.endpoint)
        if tried.keeps_away:
            limits = self._by_place.setdefault(place, {})
            before = limits.get(tried.family)
            if before is None or before.until <= tried.until:
                limits[tried.family] = tried
        elif place in self._by_place:
            self._by_place[place].pop(tried.family, None)
            self._served[(*place, tried.family)] = tried.at
            if not self._by_place[place]:
                del self._by_place[place]

    def of(self, account: str, of: Requirements, now: float) -> Tried | None:
        """Return what keeps the account from serving such a request at `now`; None: nothing that is recorded."""
        limits = self._by_place.get((account, of.endpoint))
        if not limits:
            return None
        family = family_of(of.model)
        served_at = self._served.get((account, of.endpoint, family), -math.inf)
        for each in limits.values():
            if now < each.until and (family == each.family or served_at < each.at):
                return each
        return None


class _Pool(Pool):
    """The pool, without what a replay does not need: reasons, waits, and state that is persisted."""

    def __init__(
        self, accounts: Sequence[Account], strategy: str, setting: Setting, budget: Budget
    ) -> None:
        self._ready_by_kind: dict[tuple[bool, str | None, str, bool], Ready] = {}
        super().__init__(
            accounts, strategy, affinity=setting.affinity, primary=setting.primary, budget=budget
        )
        self._paid = self._an_api_key is not None and not (
            budget.pay_per_use == "never" and self._has_subscription
        )

    def _touch(self, key: str) -> None:
        for ready in self._ready_by_kind.values():
            ready.touch(key)

    def pick(self, of: Requirements, now: float, tried: Collection[str]) -> Account | None:
        """Return the account that `choose` returns."""
        ready = self._ready_for(of, now)
        left = ready.eligible(tried)
        if not left:
            return None
        return self._home(of, ready, left, now, tried) or self._strategy.select(left)

    def _ready_for(self, of: Requirements, now: float) -> Ready:
        paid = self._paid if self.budget.cap is None else self._kind(of, now).paid
        key = (of.claude_code, of.model, of.endpoint, paid)
        ready = self._ready_by_kind.get(key)
        if ready is None:
            if len(self._ready_by_kind) >= KINDS:
                self._ready_by_kind.clear()
            verdict = partial(self._verdict, Kind(*key))
            ready = self._ready_by_kind[key] = Ready(self.accounts, verdict)
        ready.bring_up(now)
        return ready

    def settled(self, of: Requirements, now: float) -> Account | None:
        """Return the session's account if `choose` returns it without looking at any other one."""
        if self._affinity is None or of.endpoint != MESSAGES:
            return None
        for key in self._affinity.accounts(session_of(of), now):
            account = self._targets[key]
            cooldowns = self._states[key].cooldowns
            if not cooldowns:
                return account if self._serves(account, of) else None
            whole = cooldowns.get(WHOLE_ACCOUNT)
            if whole is None or not whole.cooling(now):
                return None
        return None

    def _serves(self, account: Account, of: Requirements) -> bool:
        """Return whether an account without a cooldown serves such requests, and is not too dear."""
        if account.rate_limit or account.excluded_models:
            return False
        if account.type == "oauth":
            return of.claude_code
        return not self._has_subscription and self.budget.cap is None

    def served(self, of: Requirements, account: Account, now: float, *, settled: bool) -> None:
        """Book a request that `account` serves at once."""
        if settled and self._affinity:
            self._affinity.served(session_of(of), account.key, now)
        elif account.rate_limit or self._states[account.key].cooldowns:
            self.began(account.key, of, now)
            self.ended(account.key, sent_at=now)
            self.succeeded(account.key, of, sent_at=now, now=now)
        elif of.endpoint == MESSAGES:
            self._move(of, account.key, now)


class _World:
    """What becomes of the requests under one strategy."""

    def __init__(self, strategy: str, accounts: Sequence[Account], setting: Setting) -> None:
        self.outcome = Outcome()
        self.pool = _Pool(accounts, strategy, setting, Budget(setting.pay_per_use, setting.cap))
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
        of, failure = attempt.asked.requirements, _failure(limit, now)
        self.pool.failed(account.key, of, failure, sent_at=attempt.now, now=now)


def _failure(limit: Tried, now: float) -> Failure:
    """Return the failure that upstream would have answered with at `now`."""
    stage = FailureStage.STATUS
    if limit.status is None or limit.status < 400:
        stage = FailureStage.NETWORK if limit.status is None else FailureStage.EVENT
    fields: list[tuple[bytes, bytes]] = []
    if limit.retry_after is not None:
        fields.append((b"retry-after", f"{max(0.0, limit.until - now):.3f}".encode()))
    if limit.of_family_only:
        fields.append((CLAIM, f"seven_day_{limit.family}".encode()))
    status = limit.status if stage is FailureStage.STATUS else None
    return Failure(stage, status, limit.error_type or "", "", tuple(fields))


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
