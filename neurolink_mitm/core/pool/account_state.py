"""State of one account: cooldowns, probes, quota, requests in flight; and why the account is ineligible now."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from neurolink_mitm.core.failover.errors import CooldownKind
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.cooldown import (
    Cooldown,
    Reserved,
    after_failure,
    after_success,
    shifted,
)
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.limits import Limits, OwnLimits
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.ramp import LATELY, MAX_ANSWERS, PROBE_WAIT, Ramps
from neurolink_mitm.core.pool.readings import Reading, Readings
from neurolink_mitm.core.request.endpoints import MESSAGES, covers, described, parts
from neurolink_mitm.core.request.endpoints import scope as scope_at

NOT_FOR_CLIENT = "a subscription serves Claude Code only"
PROBE_LEASE = 120.0
"""Seconds after which a probe without a result no longer makes the account ineligible."""
LEVEL_LIFETIME = 3600.0
"""Seconds for which a model's cooldown that has run out still raises the level of the next one."""


@dataclass(frozen=True, slots=True)
class Ineligible:
    """Why an account may not serve a request, and until when (seconds since the epoch) if time alone ends it.

    Of a cooldown `until` is the account's recovery: the reset of the window that upstream called used up, where it is
    known. `tried_at` is set where the cooldown ends before that: from then on one request may probe the account.
    """

    reason: str
    until: float | None = None
    tried_at: float | None = None
    capped: bool = False
    """A cap on spending is the reason: it ends with the day, and nobody waits for that."""


def out_of_use(account: Account, now: float) -> str | None:
    """Return why `account` serves no request at all; None if it may serve some."""
    if account.disabled:
        return f"disabled: {account.disabled}" if account.is_anthropic else account.disabled
    if account.has_ended(now) and not account.refreshable:
        return "needs login: its token has expired"
    if not account.enabled:
        return "not enabled"
    return account.paused.text if account.paused and not account.paused.over(now) else None


@dataclass(slots=True)
class AccountTally:
    """Counts of one account since the proxy started."""

    attempts: int = 0
    success: int = 0
    errors: int = 0
    rate_limits: int = 0
    last_attempt_at: float | None = None
    last_error_at: float | None = None
    last_error: str | None = None


@dataclass(slots=True)
class AccountState:
    """The state of one account. Cooldowns and probes are by scope: an endpoint and a wildcard of models."""

    cooldowns: dict[str, Cooldown] = field(default_factory=dict)
    probes: dict[str, float] = field(default_factory=dict)
    """When the probe of a scope was sent: the first request after a cooldown."""
    reserved: dict[str, Reserved] = field(default_factory=dict)
    """The scopes whose probe is another replica's; without a cluster there is none."""
    ramps: Ramps = field(default_factory=Ramps)
    answers: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_ANSWERS))
    """When upstream gave the latest good answers."""
    tally: AccountTally = field(default_factory=AccountTally)
    quota: Quota | None = None
    in_flight: int = 0
    limits: Limits = field(default_factory=OwnLimits)
    readings: dict[str, Readings] = field(default_factory=dict)
    """What was used of each window in the last hour."""

    def ineligible(
        self,
        account: Account,
        model: str | None,
        claude_code: bool,
        now: float,
        endpoint: str = MESSAGES,
    ) -> Ineligible | None:
        """Return why `account` may not serve such a request now; None if it may."""
        return (
            self._unsuitable(account, model, claude_code, now)
            or self._cooling(model, endpoint, now)
            or self._probed(model, endpoint, now)
            or self._busy(account, now)
        )

    def suits(
        self, account: Account, model: str | None, claude_code: bool, now: float, endpoint: str
    ) -> bool:
        """Return whether `account` may serve such a request, were it not for its limits."""
        return not (
            self._unsuitable(account, model, claude_code, now)
            or self._cooling(model, endpoint, now)
            or self._probed(model, endpoint, now)
        )

    def probed_until(
        self,
        account: Account,
        model: str | None,
        claude_code: bool,
        now: float,
        endpoint: str = MESSAGES,
    ) -> float | None:
        """Return until when a probe's result is worth waiting for, if only that keeps `account` from serving."""
        began = [at for scope, at in self.probes.items() if covers(scope, model, endpoint)]
        if self.reserved:
            began += [each.since for each in self._reserved(model, endpoint, now)]
        if not began or not all(0 <= now - at < PROBE_WAIT for at in began):
            return None
        if self._unsuitable(account, model, claude_code, now) or self._cooling(
            model, endpoint, now
        ):
            return None
        return min(began) + PROBE_WAIT

    def load(self, now: float) -> int:
        """Return how many requests it has answered lately, or serves now: so many more can be sent at once."""
        lately = sum(0 <= now - at < LATELY for at in self.answers)
        return max(lately, self.in_flight)

    @staticmethod
    def _unsuitable(
        account: Account, model: str | None, claude_code: bool, now: float
    ) -> Ineligible | None:
        if reason := out_of_use(account, now):
            return Ineligible(reason)
        if account.type == "oauth" and not claude_code:
            return Ineligible(NOT_FOR_CLIENT)
        excluded = account.excluded_models
        if model and excluded and any(fnmatchcase(model, pattern) for pattern in excluded):
            return Ineligible(f"excludes {model}")
        return None

    def recovers_at(self, model: str | None, now: float) -> float | None:
        """Return when the account recovers for messages to `model` (None: to any); None if it may have.

        Before that it may be tried: while it is, nobody knows.
        """
        cooldowns = [each for _, each in (*self._matching(model, MESSAGES), *self._whole(now))]
        probed = self._probed(model, MESSAGES, now)
        last = max((each.recovery(now) for each in cooldowns), default=now)
        return last if last > now else probed.until if probed else None

    @property
    def recovering(self) -> bool:
        """Whether no success has ended its last cooldown of all models yet, be that cooldown over or not."""
        return any(each.whole or scope == WHOLE_ACCOUNT for scope, each in self.cooldowns.items())

    def _cooling(self, model: str | None, endpoint: str, now: float) -> Ineligible | None:
        if not self.cooldowns:
            return None
        matching = self._matching(model, endpoint)
        cooling = [(s, c) for s, c in (*matching, *self._whole(now)) if c.cooling(now)]
        if cooling:
            scope, last = max(cooling, key=lambda each: each[1].recovery(now))
            recovery = last.recovery(now)
            reason = f"cooling{_of(scope, last)} for {_seconds(recovery - now)} s: {last.reason}"
            ends = max(cooldown.until for _, cooldown in cooling)
            return Ineligible(reason, recovery, ends if ends < recovery else None)
        return None

    def _probed(self, model: str | None, endpoint: str, now: float) -> Ineligible | None:
        if not (self.probes or self.reserved):
            return None
        for scope, cooldown in self._matching(model, endpoint):
            probed = abs(now - self.probes.get(scope, -math.inf)) < PROBE_LEASE
            if probed or ((reserved := self.reserved.get(scope)) and reserved.lasts(now)):
                return Ineligible(
                    f"being tried again{_of(scope, cooldown)} after {cooldown.reason}", now + 1
                )
        return None

    def resets_at(self, model: str | None, endpoint: str, now: float) -> float | None:
        """Return the reset of a used-up window that is still to come, though the cooldown has ended; else None."""
        resets = (cooldown.recovery(now) for _, cooldown in self._matching(model, endpoint))
        return max((at for at in resets if at > now), default=None)

    def _busy(self, account: Account, now: float) -> Ineligible | None:
        busy = self.limits.busy(account, self.in_flight, now)
        return Ineligible(*busy) if busy else None

    def changes_at(self, account: Account, now: float) -> float:
        """Return the next time at which time alone may make `account` eligible or ineligible.

        That it is `now` means: ask again the next time.
        """
        moments = [cooldown.until for cooldown in self.cooldowns.values()]
        for at in self.probes.values():
            moments += (at - PROBE_LEASE, at + PROBE_LEASE)
        moments += [reserved.until for reserved in self.reserved.values()]
        if account.expires_at is not None:
            moments.append(account.expires_at)
        if account.paused and account.paused.until is not None:
            moments.append(account.paused.until)
        moments.append(self.limits.changes_at(now))
        return min((moment for moment in moments if moment >= now), default=math.inf)

    def _matching(self, model: str | None, endpoint: str) -> list[tuple[str, Cooldown]]:
        """Return the cooldowns, running or run out, whose scope covers `model` at `endpoint`."""
        return [
            (scope, cooldown)
            for scope, cooldown in tuple(self.cooldowns.items())
            if covers(scope, model, endpoint)
        ]

    def _whole(self, now: float) -> list[tuple[str, Cooldown]]:
        """Return the running cooldowns of the account itself, whichever endpoint they come from."""
        return [(s, c) for s, c in tuple(self.cooldowns.items()) if c.whole and c.cooling(now)]

    def begin(
        self, model: str | None, now: float, endpoint: str = MESSAGES, *, moved: bool = False
    ) -> None:
        """Count an attempt. After a cooldown it is the probe: the account is ineligible until it has a result.

        `moved`: the request comes from another account, or has waited: a ramp begins.
        """
        tries_again = self._matching(model, endpoint)
        takes_over = moved and not tries_again
        if takes_over and not self.ramps.covering(model, endpoint, now):
            self.ramps.begin(scope_at(endpoint, WHOLE_ACCOUNT), now, self.load(now))
        if self.ramps:
            self.ramps.sent(model, endpoint, now)
        self.tally.attempts += 1
        self.tally.last_attempt_at = now
        self.in_flight += 1
        self.limits.began(self.in_flight, now)
        for scope, _ in tries_again:
            self.probes[scope] = now

    def end(self, sent_at: float, *, sent: bool = True) -> None:
        """End the attempt that began at `sent_at`, whatever its result; if it was the probe, there is none now.

        One that was not `sent` counts neither as an attempt nor against the account's rate limit.
        """
        self.in_flight = max(0, self.in_flight - 1)
        self.ramps.ended(sent_at)
        for scope, began_at in list(self.probes.items()):
            if began_at == sent_at:
                del self.probes[scope]
        self.tally.attempts -= not sent
        self.limits.ended(self.in_flight, sent=sent)

    def succeeded(
        self, model: str | None, sent_at: float, now: float, endpoint: str = MESSAGES
    ) -> int:
        """Count a success and clear the cooldowns that match the attempt: their ramps begin. Return how many."""
        self.tally.success += 1
        self.answers.append(now)
        self.ramps.answered(sent_at)
        cleared = [
            scope
            for scope, cooldown in self._matching(model, endpoint)
            if after_success(cooldown, sent_at=sent_at) is not cooldown
        ]
        for scope in cleared:
            self._clear(scope)
            self.ramps.begin(scope, now)
        return len(cleared)

    def cool_down(
        self,
        scope: str,
        kind: CooldownKind,
        *,
        base: float | None,
        sent_at: float,
        now: float,
        reason: str,
        resets_at: float | None = None,
    ) -> Cooldown | None:
        """Begin or prolong the cooldown of `scope` after a failure; None where `kind` is none."""
        if kind is CooldownKind.NONE:
            return None
        self._drop_old(now)
        before = self.cooldowns.get(scope, Cooldown())
        self.cooldowns[scope] = after = after_failure(
            before, kind, base=base, sent_at=sent_at, now=now, reason=reason, resets_at=resets_at
        )
        return after

    def clock_moved(self, by: float) -> None:
        """Keep how long each cooldown still lasts, and the pace of windows, after the clock was set by `by` seconds."""
        self.cooldowns = {scope: shifted(each, by) for scope, each in self.cooldowns.items()}
        for readings in self.readings.values():
            readings.shift(by)

    def take_cooldown(self, scope: str, cooldown: Cooldown | None, now: float) -> None:
        """Take over a cooldown as another replica knows it; None where it was ended by a success there."""
        self.reserved.pop(scope, None)
        if cooldown:
            self.cooldowns[scope] = cooldown
        elif scope in self.cooldowns:
            self._clear(scope)
            self.ramps.begin(scope, now)

    def reserve(self, scope: str, until: float, now: float, *, asked: bool) -> None:
        """Leave the probe of `scope` to another replica."""
        before = self.reserved.get(scope)
        goes_on = before is not None and before.lasts(now) and not before.asked
        since = before.since if before and goes_on else now
        self.reserved = {s: each for s, each in self.reserved.items() if each.lasts(now)}
        self.reserved[scope] = Reserved(since, until, asked)

    def asked_until(self, model: str | None, endpoint: str, now: float) -> float | None:
        """Return when it is known at the latest whose a probe is that was asked for; None: none was, or it is known."""
        asked = [each.until for each in self._reserved(model, endpoint, now) if each.asked]
        return max(asked, default=None)

    def _reserved(self, model: str | None, endpoint: str, now: float) -> list[Reserved]:
        reserved = self.reserved.items()
        return [e for scope, e in reserved if e.lasts(now) and covers(scope, model, endpoint)]

    def tries_again(self, model: str | None, endpoint: str) -> list[str]:
        """Return the scopes that a request sent now would probe."""
        if not self.cooldowns:
            return []
        return [scope for scope, _ in self._matching(model, endpoint)]

    def _clear(self, scope: str) -> None:
        del self.cooldowns[scope]
        self.probes.pop(scope, None)
        self.reserved.pop(scope, None)

    def _drop_old(self, now: float) -> None:
        """Clear old cooldowns of models: clients choose the names, so there is no end of them."""
        for scope, cooldown in list(self.cooldowns.items()):
            if parts(scope)[1] != WHOLE_ACCOUNT and now - cooldown.until > LEVEL_LIFETIME:
                self._clear(scope)

    def update_quota(self, reported: Quota, quota: Quota | None = None) -> dict[str, Reading]:
        """Take over the latest quota. Return the readings that are kept for forecasts, by window.

        `reported` is what a response reported, `quota` that after the one before.
        """
        self.quota = quota = quota or reported.after(self.quota)
        kept = {}
        for name, window in reported.windows.items():
            if window.utilization is not None:
                if (readings := self.readings.get(name)) is None:
                    self.readings[name] = readings = Readings()
                reading = readings.add(window.seen_at or reported.seen_at, window.utilization)
                if reading:
                    kept[name] = reading
        for name in self.readings.keys() - quota.windows.keys():
            del self.readings[name]
        return kept

    def forget_quota(self) -> None:
        self.quota = None
        self.readings.clear()

    def pace(self, window: str, now: float) -> float:
        """Return the share of a window that was used per second of the last hour."""
        readings = self.readings.get(window)
        return readings.pace(now) if readings else 0.0

    def longest_cooldown(self, now: float) -> Cooldown:
        """Return the cooldown of the account or of all messages, else the one of a model that lasts longest."""
        whole = [cooldown for _, cooldown in self._whole(now)]
        all_messages = self.cooldowns.get(WHOLE_ACCOUNT)
        if not whole and all_messages and all_messages.cooling(now):
            return all_messages
        of_messages = [
            c for scope, c in tuple(self.cooldowns.items()) if parts(scope)[0] == MESSAGES
        ]
        return max(whole or of_messages, key=lambda c: c.recovery(now), default=Cooldown())


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait))


def _of(scope: str, cooldown: Cooldown) -> str:
    words = "" if cooldown.whole or scope == WHOLE_ACCOUNT else described(scope)
    return f" for {words}" if words else ""
