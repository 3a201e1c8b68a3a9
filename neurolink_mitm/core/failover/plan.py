"""The failover plan of one request, as a generator: it yields steps, and is sent the failure of each attempt.

    plan = failover_plan(...)
    step = next(plan)                  # Try(account), or Reply if no account may serve
    step = plan.send(failure)          # the next Try, a Pause, or the final step

It decides and never acts: no time passes and nothing is sent here. After a success it is not resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from neurolink_mitm.core.cost.budget import NOT_METERED
from neurolink_mitm.core.exchange import Deliver, Pause, Plan, Reply, Step, Try
from neurolink_mitm.core.failover.errors import (
    PERMANENT,
    Action,
    Failure,
    FailureStage,
    classify,
    is_mendable,
)
from neurolink_mitm.core.pool.account_state import NOT_FOR_CLIENT, Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.destinations import THE_POOL, Route
from neurolink_mitm.core.request.target import Target

MAX_PAUSE = 2.0
"""Seconds of the pause before the second round, at most."""
LISTED = 20
"""Targets whose reasons a reply lists, of any number of them."""
MAX_REFRESHES = 5
"""Token refreshes that refused tokens of one request may cause."""
TOTAL_TIMEOUT = "total_timeout"
TRANSLATOR_DOWN = "translator_down"
"""Error type of an attempt that has waited for the translator in vain."""

SAME_ACCOUNT = {
    Action.WITHOUT_THINKING: "without thinking blocks",
    Action.REFRESH: "with a new token",
}
"""Actions that try the same account again."""

T = TypeVar("T")
SubPlan = Generator[Step, Failure | None, T]
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
) -> Plan:
    """Try every account, then every fallback, each group once more where its trouble may pass; end with a final step.

    `choose` and `choose_fallback` return the next target whose key is not in the given set. `refuse` makes the reply
    where all targets are ineligible. `jitter`, in [0, 1), places the pause between a quarter and all of `MAX_PAUSE`.
    """
    progress = _Progress(repeatable)
    pause = Pause(MAX_PAUSE * (0.25 + 0.75 * jitter))
    groups = (progress.try_accounts, choose), (progress.try_fallbacks, choose_fallback)
    for try_targets, choose_target in groups:
        excluded: set[str] = set()  # tried, and not worth a second try
        if (yield from try_targets(choose_target, excluded)):
            yield pause
            yield from try_targets(choose_target, excluded)
    if not progress.over:
        yield progress.last_word() or refuse(progress.errors) or final_step(progress.failures)


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

    def try_accounts(self, choose: Choose, excluded: set[str]) -> SubPlan[bool]:
        """Try each account not in `excluded`, and add those that failed for good. Return whether any are left."""
        tried = set(excluded)
        while not self.over and (choice := choose(tried)).account:
            tried.add(choice.account.key)
            if self.no_ways and way_of(choice.account) in self.no_ways:
                excluded.add(choice.account.key)
                continue
            failure = yield from self._try_account(choice.account, choice.why)
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

    def _try_account(self, account: Account, why: str) -> SubPlan[Failure | None]:
        """Try one account as long as the action says so. Return its last failure; None after a success."""
        failure = yield Try(account, why, self.without_thinking)
        while failure:
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
        failure = yield Try(account, why)
        if failure:
            self.failures.append(failure)
        if (
            failure
            and not self.restarted
            and translator_ended(failure)
            and self._may_repeat(failure)
        ):
            self.restarted = True
            failure = yield Try(account, f"{why}, once more, as the translator had ended")
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
            return Reply(529, "overloaded_error", f"{NOT_NOW} {_listed(self.errors)}")
        mendable = [failure for failure in self.fallen.values() if is_mendable(failure)]
        return _handed_on(mendable[-1]) if mendable else None

    def _may_repeat(self, failure: Failure) -> bool:
        return self.repeatable or not_processed(failure)

    def _end(self) -> SubPlan[None]:
        self.over = True
        yield final_step(self.failures)


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


def all_ineligible(
    pool: Pool,
    requirements: Requirements,
    now: float,
    route: Route = THE_POOL,
    errors: Mapping[str, str] | None = None,
) -> Reply | None:
    """Return the reply when no target on `route` is eligible: each one's reason, and when to retry.

    None where one is: then upstream's response counts. `errors` are those of the fallbacks that were tried, by key.
    """
    accounts = pool.accounts if route.pool else ()
    if not accounts and not route.entries:
        return Reply(401, "authentication_error", f"{NO_ACCOUNT} {_remedy(requirements)}")
    ineligible = pool.ineligible(requirements, now) if route.pool else {}
    if len(ineligible) < len(accounts):
        return None
    fallbacks = pool.ineligible_fallbacks(route.entries, requirements, now)
    eligible = [key for key in route.entries if key not in fallbacks]
    targets = {**ineligible, **fallbacks}
    reasons = {key: each.reason for key, each in targets.items()}
    reasons |= {key: (errors or {}).get(key, "not asked") for key in eligible}
    waits = [each.until - now for each in targets.values() if each.until is not None]
    if waits and (ineligible or not eligible):
        return _retry_later(min(waits), reasons)
    if eligible:
        return None
    none_yet = route.pool and not accounts
    return _lasting(ineligible, fallbacks, reasons, _remedy(requirements), none_yet=none_yet)


def _retry_later(wait: float, reasons: Mapping[str, str]) -> Reply:
    seconds = max(1, math.ceil(wait))
    message = f"All accounts are cooling; the first is back in {seconds} s. {_listed(reasons)}"
    return Reply(429, "rate_limit_error", message, retry_after=seconds)


def _remedy(requirements: Requirements) -> str:
    """Return how to add an account that serves such a client."""
    return LOG_IN if requirements.claude_code else ADD_ACCOUNT


def _lasting(
    accounts: Mapping[str, Ineligible],
    fallbacks: Mapping[str, Ineligible],
    reasons: Mapping[str, str],
    remedy: str,
    *,
    none_yet: bool,
) -> Reply:
    """Return the reply where time alone does not help."""
    if any(each.reason == NOT_METERED for each in accounts.values()):
        return Reply(400, "invalid_request_error", f"{CANT_BE_CAPPED} {_listed(reasons)}")
    if any(each.reason == NOT_FOR_CLIENT for each in accounts.values()):
        message = f"{ONLY_SUBSCRIPTIONS} {ADD_ACCOUNT}"
        listed = f" {_listed({key: reasons[key] for key in fallbacks})}" if fallbacks else ""
        return Reply(400, "invalid_request_error", message + listed)
    if not accounts:
        message = f"No provider serves this model. {_listed(reasons)}"
        if none_yet:
            message += f". {NO_ACCOUNT} {remedy}"
        return Reply(400, "invalid_request_error", message)
    message = f"No account serves this request. {_listed(reasons)}"
    if any("needs login" in reason for reason in reasons.values()):
        message += f". {remedy}"
    # of an overloaded_error Claude Code hides the message, and says that it will pass
    return Reply(503, "api_error", message, lasting=True)


def _listed(reasons: Mapping[str, str]) -> str:
    """Return the reasons in words: of many targets, those of the first and of the last, where the fallbacks are."""
    # a provider's error begins with its entry
    listed = [f"{key}: {reason.removeprefix(f'{key} ')}" for key, reason in reasons.items()]
    if (more := len(listed) - LISTED) > 0:
        listed[LISTED // 2 : -LISTED // 2] = [f"{more} more"]
    return "; ".join(listed)


NOT_NOW = "Nobody can answer at the moment; ask again."
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
"""For users of Claude Code, the only client that a subscription serves."""
