"""State of one account: cooldowns, probes, quota, requests in flight; and why the account is ineligible now."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from neurolink_mitm.core.failover.errors import CooldownKind
from neurolink_mitm.core.pool import cooldown
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.cooldown import Cooldown, moved
from neurolink_mitm.core.pool.quota import WHOLE_ACCOUNT, Quota, Window, runs_out_at
from neurolink_mitm.core.request.endpoints import MESSAGES, described, parts


@dataclass(frozen=True, slots=True)
class Ineligible:
    """The reason, and until when, where that is only a matter of time (seconds since the epoch)."""

    reason: str
    until: float | None = None


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

    def give_back(self) -> None:
        """Return a token that was taken for nothing."""
        self.tokens += 1

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self.filled_at)  # a clock that was set back fills nothing
        self.tokens = min(float(self.rate), self.tokens + passed * self.rate / 60)
        self.filled_at = now


NOT_FOR_CLIENT = "a subscription serves Claude Code only"
PROBE_LEASE = 120.0
"""Seconds after which a probe that was never heard of again no longer keeps others off."""
REMEMBERED = 3600.0
"""Seconds for which a model's cooldown that has run out still makes the next one longer."""
READINGS = 60
"""Readings of a window that a projection looks back on."""
LONGEST_WINDOW = 7 * 86400.0


def out_of_use(account: Account, now: float) -> str | None:
    """Why it serves nobody, whoever asks for whatever; None if it may serve."""
    if account.disabled:
        return f"disabled: {account.disabled}" if account.is_anthropic else account.disabled
    if account.expires_at and account.expires_at <= now and not account.refreshable:
        return "needs login: its token has expired"
    return None if account.enabled else "not enabled"


@dataclass(slots=True)
class Tally:
    """What happened on one account since the proxy started."""

    attempts: int = 0
    success: int = 0
    errors: int = 0
    rate_limits: int = 0
    last_attempt_at: float | None = None
    last_error_at: float | None = None
    last_error: str | None = None


@dataclass(slots=True)
class AccountState:
    """The state of one account."""

    cooldowns: dict[str, Cooldown] = field(default_factory=dict)
    probes: dict[str, float] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    quota: Quota | None = None
    in_flight: int = 0
    bucket: Bucket | None = None
    readings: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def skip(
        self,
        account: Account,
        model: str | None,
        claude_code: bool,
        now: float,
        endpoint: str = MESSAGES,
    ) -> Ineligible | None:
        """Why this account does not serve such a request now; None if it does."""
        return (
            self._never(account, model, claude_code, now)
            or self._cooling(model, endpoint, now)
            or self._busy(account, now)
        )

    @staticmethod
    def _never(
        account: Account, model: str | None, claude_code: bool, now: float
    ) -> Ineligible | None:
        if why := out_of_use(account, now):
            return Ineligible(why)
        if account.type == "oauth" and not claude_code:
            return Ineligible(NOT_FOR_CLIENT)
        if model and any(fnmatchcase(model, pattern) for pattern in account.excluded_models):
            return Ineligible(f"excludes {model}")
        return None

    def _cooling(self, model: str | None, endpoint: str, now: float) -> Ineligible | None:
        met = self._on(model, endpoint)
        for scope, state in (*met, *self._refused(now)):
            if state.cooling(now):
                seconds = max(1, math.ceil(state.until - now))
                return Ineligible(
                    f"cooling{_of(scope, state)} for {seconds} s: {state.reason}", state.until
                )
        for scope, state in met:
            if abs(now - self.probes.get(scope, -math.inf)) < PROBE_LEASE:
                return Ineligible(
                    f"being tried again{_of(scope, state)} after {state.reason}", now + 1
                )
        return None

    def _busy(self, account: Account, now: float) -> Ineligible | None:
        if account.max_concurrent and self.in_flight >= account.max_concurrent:
            return Ineligible(f"at its {account.max_concurrent} requests at once", now + 1)
        if account.rate_limit:
            if self.bucket is None or self.bucket.rate != account.rate_limit:
                self.bucket = Bucket.full(account.rate_limit, now)
            if wait := self.bucket.wait(now):
                return Ineligible(f"over its {account.rate_limit} requests a minute", now + wait)
        return None

    def _on(self, model: str | None, endpoint: str) -> list[tuple[str, Cooldown]]:
        """The cooldowns, running or run out, that a request for this model meets at this endpoint."""
        return [
            (scope, state)
            for scope, state in self.cooldowns.items()
            if _concerns(*parts(scope), model, endpoint)
        ]

    def _refused(self, now: float) -> list[tuple[str, Cooldown]]:
        """The cooldowns of the account itself, whichever endpoint they were met at."""
        return [
            (s, state) for s, state in self.cooldowns.items() if state.whole and state.cooling(now)
        ]

    def begin(self, model: str | None, now: float, endpoint: str = MESSAGES) -> None:
        """A request goes out. After a cooldown it is the probe: others stay off until it is answered."""
        self.tally.attempts += 1
        self.tally.last_attempt_at = now
        self.in_flight += 1
        if self.bucket:
            self.bucket.take(now)
        for scope, _ in self._on(model, endpoint):
            self.probes[scope] = now

    def end(self, sent_at: float, *, sent: bool = True) -> None:
        """End the attempt that began at `sent_at`, whatever came of it; if it was the probe, there is none.

        One that was not `sent` counts neither as an attempt nor against the account's rate.
        """
        self.in_flight = max(0, self.in_flight - 1)
        for scope, began_at in list(self.probes.items()):
            if began_at == sent_at:
                del self.probes[scope]
        if not sent:
            self.tally.attempts -= 1
            if self.bucket:
                self.bucket.give_back()

    def succeeded(self, model: str | None, sent_at: float, endpoint: str = MESSAGES) -> int:
        """It was answered well: that clears the cooldowns it could have met. Returns how many."""
        self.tally.success += 1
        cleared = [
            scope
            for scope, state in self._on(model, endpoint)
            if cooldown.after_success(state, sent_at=sent_at) is not state
        ]
        for scope in cleared:
            del self.cooldowns[scope]
            self.probes.pop(scope, None)
        return len(cleared)

    def bench(
        self,
        scope: str,
        bench: CooldownKind,
        *,
        base: float | None,
        sent_at: float,
        now: float,
        reason: str,
    ) -> Cooldown | None:
        """Put the account, or a model on it, on the bench; None where the failure asks for none."""
        if bench is CooldownKind.NONE:
            return None
        self._forget(now)
        self.cooldowns[scope] = state = cooldown.after_failure(
            self.cooldowns.get(scope, Cooldown()),
            bench, base=base, sent_at=sent_at, now=now, reason=reason,
        )  # fmt: skip
        return state

    def clock_moved(self, by: float) -> None:
        """The clock was set by so many seconds: cooldowns end when they would have."""
        self.cooldowns = {scope: moved(state, by) for scope, state in self.cooldowns.items()}

    def _forget(self, now: float) -> None:
        """Clients choose the names of models: those that nobody asks for any more are not to pile up."""
        for scope, state in list(self.cooldowns.items()):
            if parts(scope)[1] != WHOLE_ACCOUNT and now - state.until > REMEMBERED:
                del self.cooldowns[scope]
                self.probes.pop(scope, None)

    def see(self, quota: Quota | None) -> None:
        """Keep the latest word on limits, and what a projection needs."""
        if quota is None:
            return
        self.quota = quota
        for name, window in (("5h", quota.five_hour), ("7d", quota.seven_day)):
            if window is not None:
                self._read(name, window, quota.seen_at)

    def _read(self, name: str, window: Window, now: float) -> None:
        readings = self.readings.setdefault(name, deque(maxlen=READINGS))
        if readings and window.utilization < readings[-1][1]:
            readings.clear()  # the window has started anew
        readings.append((now, window.utilization))

    def runs_out(self, name: str, window: Window) -> float | None:
        """When the window is used up at the pace seen; None if it is reset before, or nothing can be said."""
        readings = self.readings.get(name)
        if not readings:
            return None
        at = runs_out_at(readings[0], readings[-1])
        end = readings[-1][0] + LONGEST_WINDOW if window.reset is None else window.reset
        return None if at is None or at >= end else at

    def worst(self, now: float) -> Cooldown:
        """The cooldown of the account or of all messages, or else the one of a model that lasts longest."""
        refused = [state for _, state in self._refused(now)]
        whole = self.cooldowns.get(WHOLE_ACCOUNT)
        if not refused and whole and whole.cooling(now):
            return whole
        of_messages = [c for scope, c in self.cooldowns.items() if parts(scope)[0] == MESSAGES]
        return max(refused or of_messages, key=lambda c: c.until, default=Cooldown())


def _concerns(at: str, models: str, model: str | None, endpoint: str) -> bool:
    if at != endpoint:
        return False
    if models in (WHOLE_ACCOUNT, model):  # a name with brackets is no wildcard of itself
        return True
    return model is not None and fnmatchcase(model, models)


def _of(scope: str, state: Cooldown) -> str:
    words = "" if state.whole else described(scope)
    return f" for {words}" if words else ""
