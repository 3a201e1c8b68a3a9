"""One request's way through the pool, as a generator: it yields what to do and is sent what came of it.

    plan = way(...)
    step = next(plan)                  # Try(account), or Reply if there is nothing to try
    step = plan.send(failure)          # the next Try, a Pause, or how to end

It decides and never acts: no time passes and nothing is sent here. A success is simply not sent back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from neurolink_mitm.core.cost.budget import UNTOLD
from neurolink_mitm.core.exchange import Deliver, Pause, Plan, Reply, Step, Try
from neurolink_mitm.core.failover.errors import NO_WAY, Action, Failure, FailureStage, classify
from neurolink_mitm.core.pool.account_state import NOT_FOR_CLIENT, Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Choice, Pool, Requirements
from neurolink_mitm.core.providers.destinations import THE_POOL, Route

MAX_PAUSE = 2.0
MAX_REFRESHES = 5
"""Of one request."""
TOTAL_TIMEOUT = "total_timeout"
TRANSLATOR_DOWN = "translator_down"
"""It was waited for already, and in vain."""
RENEWED = "once more, as the translator had ended"
NOTHING_SAID: Mapping[str, str] = {}

AGAIN = {Action.MEND: "without thinking blocks", Action.REFRESH: "with a new token"}
"""What is tried on the same account before it is given up."""

T = TypeVar("T")
Part = Generator[Step, Failure | None, T]
"""Of a plan: to be gone through with `yield from`."""
Choose = Callable[[set[str]], Choice]
Refuse = Callable[[Mapping[str, str]], Reply | None]


def nobody(tried: set[str]) -> Choice:
    return Choice(None, "no fallback", {})


def way(
    choose: Choose,
    refuse: Refuse,
    *,
    jitter: float,
    repeatable: bool,
    otherwise: Choose = nobody,
) -> Plan:
    """Try every account, once more those whose trouble was transient, then other providers; end with the last word.

    `choose` gives the next account that is not among the keys it is handed, `otherwise` the next model of another
    provider. `refuse` makes our own answer where nobody serves at all; it is told what others have said, by key.
    `jitter` is in [0, 1): where between a quarter and all of `MAX_PAUSE` the pause lies.
    """
    way = FailoverPlan(repeatable)
    spent: set[str] = set()  # had their turn, and another would not help
    if (yield from way.round(choose, spent)):
        yield Pause(MAX_PAUSE * (0.25 + 0.75 * jitter))
        yield from way.round(choose, spent)
    said: dict[str, str] = {}
    yield from way.others(otherwise, said)
    if not way.over:
        yield refuse(said) or ending(way.failures)


@dataclass(slots=True)
class FailoverPlan:
    """What the parts of one way have in common. A part that was told of a success, or has said the end, is `over`."""

    repeatable: bool
    failures: list[Failure] = field(default_factory=list)
    mended: bool = False
    over: bool = False

    def round(self, choose: Choose, spent: set[str]) -> Part[bool]:
        """Each account that is not `spent` in its turn. Whether another round may do better."""
        tried = set(spent)
        while not self.over and (choice := choose(tried)).account:
            tried.add(choice.account.key)
            failure = yield from self._turn(choice.account, choice.why)
            if failure is None:
                self.over = True
                break
            rule = classify(failure)
            if rule.then is not Action.NEXT or not self._may_repeat(failure):
                yield from self._end()
            elif not rule.transient:
                spent.add(choice.account.key)
        return not self.over and tried != spent

    def _turn(self, account: Account, why: str) -> Part[Failure | None]:
        """One account, until there is nothing else to be tried on it. How it failed in the end, if it did."""
        failure = yield Try(account, why, self.mended)
        while failure:
            self.failures.append(failure)
            again = classify(failure).then
            if again not in AGAIN or (self.mended and again is Action.MEND):
                break
            self.mended = self.mended or again is Action.MEND
            failure = yield Try(
                account, f"{why}, {AGAIN[again]}", self.mended, refresh=again is Action.REFRESH
            )
        return failure

    def others(self, choose: Choose, said: dict[str, str]) -> Part[None]:
        """Models of other providers in their turn, none twice; fills in what they have `said`, by key."""
        renewed = False
        while not self.over and (choice := choose(set(said))).account:
            failure = yield Try(choice.account, choice.why)
            if failure and lost(failure) and not renewed and self._may_repeat(failure):
                self.failures.append(failure)
                renewed = True
                failure = yield Try(choice.account, f"{choice.why}, {RENEWED}")
            if failure is None:
                self.over = True
                return
            self.failures.append(failure)
            said[choice.account.key] = failure.message
            if failure.error_type == TOTAL_TIMEOUT or not self._may_repeat(failure):
                yield from self._end()

    def _may_repeat(self, failure: Failure) -> bool:
        return self.repeatable or unseen(failure)

    def _end(self) -> Part[None]:
        self.over = True
        yield ending(self.failures)


def lost(failure: Failure) -> bool:
    """Of an attempt through the translator: it has ended. What providers do to it arrives as answers."""
    return failure.where is FailureStage.NETWORK and failure.error_type != TRANSLATOR_DOWN


def unseen(failure: Failure) -> bool:
    """Upstream did not act on it: it refused, or never had it."""
    return failure.where is FailureStage.STATUS or not failure.sent


def ending(failures: list[Failure]) -> Step:
    """The last answer upstream gave, or where it never gave one, what kept it from us."""
    if failures[-1].where is FailureStage.PIN:
        message = f"NeuroLink refused, by cloaking.plugins.tlsFingerprint: {failures[-1].message}"
        return Reply(502, "api_error", message, lasting=True)
    if any(failure.where is FailureStage.STATUS for failure in failures):
        return Deliver()
    failure = failures[-1]
    if failure.where is FailureStage.TIMEOUT:
        return Reply(504, "timeout_error", f"Upstream did not answer in time: {failure.message}")
    if failure.where is FailureStage.NETWORK:
        lasting = True if failure.error_type == NO_WAY else None
        message = f"Upstream could not be reached: {failure.message}"
        return Reply(502, "api_error", message, lasting=lasting)
    error_type = failure.error_type if failure.error_type in _STATUSES else "api_error"
    return Reply(_STATUSES[error_type], error_type, f"Upstream failed: {failure.message}")


_STATUSES = {"overloaded_error": 529, "timeout_error": 504, "api_error": 502}
"""For errors that upstream reported inside a 200."""


def refusal(
    pool: Pool,
    requirements: Requirements,
    now: float,
    route: Route = THE_POOL,
    said: Mapping[str, str] = NOTHING_SAID,
) -> Reply | None:
    """Our own answer when nobody serves this request now: why, one by one, and when to come back.

    None where somebody does; then upstream's word counts. `said` is what other providers have answered, by key.
    """
    accounts = pool.accounts if route.pool else ()
    if not accounts and not route.entries:
        return Reply(401, "authentication_error", f"{NO_ACCOUNT} {_how(requirements)}")
    skipped = pool.ineligible(requirements, now) if route.pool else {}
    if len(skipped) < len(accounts):
        return None
    others = pool.ineligible_fallbacks(route.entries, requirements, now)
    open_to_all = [key for key in route.entries if key not in others]
    ineligible = {**skipped, **others}
    reasons = {key: skip.reason for key, skip in ineligible.items()}
    reasons |= {key: said.get(key, "not asked") for key in open_to_all}
    waits = [skip.until - now for skip in ineligible.values() if skip.until is not None]
    if waits and (skipped or not open_to_all):
        return _come_back(min(waits), reasons)
    if open_to_all:
        return None
    return _nobody(
        skipped, others, reasons, _how(requirements), none_yet=route.pool and not accounts
    )


def _come_back(wait: float, reasons: Mapping[str, str]) -> Reply:
    seconds = max(1, math.ceil(wait))
    message = f"All accounts are cooling; the first is back in {seconds} s. {_listed(reasons)}"
    return Reply(429, "rate_limit_error", message, retry_after=seconds)


def _how(requirements: Requirements) -> str:
    """How an account is added that serves such a client."""
    return LOG_IN if requirements.claude_code else ADD_ACCOUNT


def _nobody(
    skipped: Mapping[str, Ineligible],
    others: Mapping[str, Ineligible],
    reasons: Mapping[str, str],
    how: str,
    *,
    none_yet: bool,
) -> Reply:
    """No matter of time: somebody has to change something."""
    if any(skip.reason == UNTOLD for skip in skipped.values()):
        return Reply(400, "invalid_request_error", f"{CANT_BE_CAPPED} {_listed(reasons)}")
    if any(skip.reason == NOT_FOR_CLIENT for skip in skipped.values()):
        message = f"{ONLY_SUBSCRIPTIONS} {ADD_ACCOUNT}"
        fallback = f" {_listed({key: reasons[key] for key in others})}" if others else ""
        return Reply(400, "invalid_request_error", message + fallback)
    if not skipped:
        message = f"No provider serves this model. {_listed(reasons)}"
        if none_yet:
            message += f". {NO_ACCOUNT} {how}"
        return Reply(400, "invalid_request_error", message)
    message = f"No account serves this request. {_listed(reasons)}"
    if any("needs login" in reason for reason in reasons.values()):
        message += f". {how}"
    # of an overloaded_error Claude Code keeps the text to itself, and says that it will pass
    return Reply(503, "api_error", message, lasting=True)


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {reason}" for key, reason in reasons.items())


NO_ACCOUNT = "NeuroLink has no account yet."
ONLY_SUBSCRIPTIONS = (
    "NeuroLink's accounts are subscriptions, and these serve Claude Code's own requests only."
)
CANT_BE_CAPPED = (
    "NeuroLink refused: what is asked of this path costs money that its answer does not tell, so routing.daily-cap-usd"
    " could not bound it. Use POST /v1/messages, which is counted, or take daily-cap-usd out of proxy-config.yaml"
    " (a running proxy notices) for as long as this is needed."
)
ADD_ACCOUNT = (
    "Add an API key: run `neurolink auth login anthropic --add --method api-key`, or list the key under"
    " accounts.anthropic in proxy-config.yaml."
)
LOG_IN = "Log in with your Claude subscription: run `neurolink auth login anthropic` in a terminal."
"""For who uses Claude Code, which is all that a subscription serves."""
