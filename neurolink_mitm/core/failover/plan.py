"""The failover plan of one request, as a generator: it yields steps, and is sent the failure of each attempt.

    plan = failover_plan(...)
    step = next(plan)                  # Try(account), or Reply if no account may serve
    step = plan.send(failure)          # the next Try, a Pause, or the final step
    step = plan.send(Reconsider())     # the same, where the Try could not begin

It decides and never acts: no time passes and nothing is sent here. After a success it is not resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from neurolink_mitm.core.exchange import Deliver, Hold, Pause, Plan, Reconsider, Reply, Step, Try
from neurolink_mitm.core.failover.errors import (
    PERMANENT,
    Action,
    Failure,
    FailureStage,
    classify,
    is_mendable,
)
from neurolink_mitm.core.failover.ineligible import listed
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Choice
from neurolink_mitm.core.request.target import Target

MAX_PAUSE = 2.0
"""Seconds of the pause before the second round, at most."""
MAX_REFRESHES = 5
"""Token refreshes that refused tokens of one request may cause."""
TOTAL_TIMEOUT = "total_timeout"
NOT_NOW = "Nobody can answer at the moment; ask again."
TRANSLATOR_DOWN = "translator_down"
"""Error type of an attempt that has waited for the translator in vain."""

SAME_ACCOUNT = {
    Action.WITHOUT_THINKING: "without thinking blocks",
    Action.REFRESH: "with a new token",
}
"""Actions that try the same account again."""

T = TypeVar("T")
SubPlan = Generator[Step, Failure | Reconsider | None, T]
"""A part of a plan, for `yield from`."""
Choose = Callable[[set[str]], Choice]
Way = tuple[str, str, int, str | None]
"""Scheme, host and port of upstream, and the account's own HTTP proxy."""
FallbackErrors = dict[str, str]
"""The message of each fallback's error, by key."""


def no_choice(tried: set[str]) -> Choice:
    return Choice(None, "no fallback", {})


def failover_plan(
    choose: Choose,
    refuse: Callable[[FallbackErrors], Reply | None],
    *,
    jitter: float,
    repeatable: bool,
    choose_fallback: Choose = no_choice,
    hold: Callable[[], Hold | None] = lambda: None,
) -> Plan:
    """Try every account, then every fallback, each group once more where its trouble may pass; end with a final step.

    `choose` and `choose_fallback` return the next target whose key is not in the given set. `refuse` makes the reply
    where all targets are ineligible; if that is a 429, `hold` may have the request wait, and all are tried anew.
    `jitter`, in [0, 1), places the pause between a quarter and all of `MAX_PAUSE`.
    """
    progress = _Progress(repeatable)
    pause = Pause(MAX_PAUSE * (0.25 + 0.75 * jitter))
    groups = (progress.try_accounts, choose), (progress.try_fallbacks, choose_fallback)
    while True:
        for try_targets, choose_target in groups:
            excluded: set[str] = set()  # tried, and not worth a second try
            if (yield from try_targets(choose_target, excluded)):
                yield pause
                yield from try_targets(choose_target, excluded)
        if progress.over:
            return
        reply = progress.last_word() or refuse(progress.errors)
        held = hold() if reply and reply.status == 429 else None
        yield held or reply or final_step(progress.failures)
        if held is None:
            return
        progress.begin_anew()


@dataclass(slots=True)
class _Progress:
    """What the parts of one plan share. `over` is set by a success, and once a final step was yielded."""

    repeatable: bool
    failures: list[Failure] = field(default_factory=list)
    without_thinking: bool = False
    over: bool = False
    restarted: bool = False
    """An attempt was repeated because the translator had ended."""
    troubled: dict[str, Failure] = field(default_factory=dict)
    """The last failure of each account, by key."""
    fallen: dict[str, Failure] = field(default_factory=dict)
    """The last failure of each fallback, by key."""
    no_ways: set[Way] = field(default_factory=set)
    """Ways to upstream that no retry makes passable: another account would meet the same there."""

    def begin_anew(self) -> None:
        """Forget what targets were like before the request waited."""
        self.troubled.clear()
        self.fallen.clear()
        self.no_ways.clear()

    def try_accounts(self, choose: Choose, excluded: set[str]) -> SubPlan[bool]:
        """Try each account not in `excluded`, and add those that failed for good. Return whether any are left."""
        tried = set(excluded)
        while not self.over:
            choice = choose(tried)
            if choice.account is None:
                if choice.wait_until is None:
                    break
                yield Hold(choice.wait_until, choice.why, frozenset(tried), awaits=choice.awaits)
                continue
            tried.add(choice.account.key)
            if self.no_ways and way_of(choice.account) in self.no_ways:
                excluded.add(choice.account.key)
                continue
            failure = yield from self._try_account(choice.account, choice.why)
            if isinstance(failure, Reconsider):
                tried.discard(choice.account.key)
                continue
            if failure is None:
                self.over = True
                break
            self.troubled[choice.account.key] = failure
            rule = classify(failure)
            if rule.action is not Action.NEXT or not self._may_repeat(failure):
                yield from self._end()
            elif not rule.transient:
                excluded.add(choice.account.key)
                if failure.error_type == PERMANENT:
                    self.no_ways.add(way_of(choice.account))
        return not self.over and tried != excluded

    def _try_account(self, account: Account, why: str) -> SubPlan[Failure | Reconsider | None]:
        """Try one account as long as the action says so. Return its last failure; None after a success."""
        failure = yield Try(account, why, self.without_thinking)
        while isinstance(failure, Failure):
            self.failures.append(failure)
            action = classify(failure).action
            repeated = self.without_thinking and action is Action.WITHOUT_THINKING
            if action not in SAME_ACCOUNT or repeated:
                break
            self.without_thinking = self.without_thinking or action is Action.WITHOUT_THINKING
            failure = yield Try(
                account,
                f"{why}, {SAME_ACCOUNT[action]}",
                self.without_thinking,
                refresh=action is Action.REFRESH,
            )
        return failure

    def try_fallbacks(self, choose: Choose, excluded: set[str]) -> SubPlan[bool]:
        """Try each fallback not in `excluded`, and add those that failed for good. Return whether any are left."""
        tried = set(excluded)
        while not self.over and (choice := choose(tried)).account:
            tried.add(choice.account.key)
            failure = yield from self._try_fallback(choice.account, choice.why)
            if failure is None:
                self.over = True
                break
            self.fallen[choice.account.key] = failure
            if failure.error_type == TOTAL_TIMEOUT or not self._may_repeat(failure):
                yield from self._end()
            elif not may_pass(failure):
                excluded.add(choice.account.key)
        return not self.over and tried != excluded

    def _try_fallback(self, account: Account, why: str) -> SubPlan[Failure | None]:
        """Try one fallback, and for once in a request again at once if the translator has ended meanwhile."""
        failure = _failure((yield Try(account, why)))
        if failure:
            self.failures.append(failure)
        if (
            failure
            and not self.restarted
            and translator_ended(failure)
            and self._may_repeat(failure)
        ):
            self.restarted = True
            failure = _failure(
                (yield Try(account, f"{why}, once more, as the translator had ended"))
            )
            self.failures += [failure] if failure else []
        return failure

    @property
    def errors(self) -> FallbackErrors:
        """The message of each fallback's last error."""
        return {key: failure.message for key, failure in self.fallen.items()}

    def last_word(self) -> Reply | None:
        """Return the reply after fallbacks that failed, where it is another than that all accounts are cooling.

        1. Trouble that may pass: an error that Claude Code repeats. It gives up at a 429 with more than a minute.
        2. Nobody takes the request as it is: what the client can mend, so that it shortens the conversation.
        """
        if not self.fallen:
            return None
        if any(map(may_pass, (*self.fallen.values(), *self.troubled.values()))):
            return Reply(529, "overloaded_error", f"{NOT_NOW} {listed(self.errors)}")
        mendable = [failure for failure in self.fallen.values() if is_mendable(failure)]
        return _handed_on(mendable[-1]) if mendable else None

    def _may_repeat(self, failure: Failure) -> bool:
        return self.repeatable or not_processed(failure)

    def _end(self) -> SubPlan[None]:
        self.over = True
        yield final_step(self.failures)


def _failure(sent: Failure | Reconsider | None) -> Failure | None:
    """Return what a plan was sent about a fallback, which nobody waits for."""
    return sent if isinstance(sent, Failure) else None


def way_of(account: Account) -> Way:
    """Return what accounts have in common that reach upstream alike."""
    target = Target.parse(account.base_url)
    return target.scheme, target.host, target.port, account.proxy_url


def _handed_on(failure: Failure) -> Reply:
    return Reply(failure.status or 400, failure.error_type, failure.message)


def may_pass(failure: Failure) -> bool:
    """Return whether a target's trouble is likely to pass by itself; not where the translator can't be started."""
    return classify(failure).transient and failure.error_type != TRANSLATOR_DOWN


def translator_ended(failure: Failure) -> bool:
    """Return whether the translator ended during the attempt; errors of providers arrive as responses."""
    return failure.stage is FailureStage.NETWORK and failure.error_type != TRANSLATOR_DOWN


def not_processed(failure: Failure) -> bool:
    """Return whether upstream did not act on the request: it refused, or never received it."""
    return failure.stage is FailureStage.STATUS or not failure.sent


def final_step(failures: list[Failure]) -> Step:
    """Return the step that ends the plan: deliver upstream's last response, or reply why there is none."""
    failure = failures[-1]
    if failure.stage is FailureStage.PIN:
        message = f"NeuroLink refused, by cloaking.plugins.tlsFingerprint: {failure.message}"
        return Reply(502, "api_error", message, lasting=True)
    if any(each.stage is FailureStage.STATUS for each in failures):
        return Deliver()
    if failure.stage is FailureStage.TIMEOUT:
        return Reply(504, "timeout_error", f"Upstream did not answer in time: {failure.message}")
    if failure.stage is FailureStage.NETWORK:
        lasting = True if failure.error_type == PERMANENT else None
        message = f"Upstream could not be reached: {failure.message}"
        return Reply(502, "api_error", message, lasting=lasting)
    error_type = failure.error_type if failure.error_type in _STATUSES else "api_error"
    return Reply(_STATUSES[error_type], error_type, f"Upstream failed: {failure.message}")


_STATUSES = {"overloaded_error": 529, "timeout_error": 504, "api_error": 502}
"""The status of an error that upstream reported inside a 200."""
