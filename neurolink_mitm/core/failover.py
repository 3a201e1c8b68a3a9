"""One request's way through the pool, as a generator: it yields what to do and is sent what came of it.

    plan = way(...)
    step = next(plan)                  # Try(account), or Reply if there is nothing to try
    step = plan.send(failure)          # the next Try, a Pause, or how to end

It decides and never acts: no time passes and nothing is sent here. A success is simply not sent back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from neurolink_mitm.core.errors import Failure, Then, Where, classify
from neurolink_mitm.core.exchange import Deliver, Pause, Plan, Reply, Step, Try
from neurolink_mitm.core.pool import NOT_FOR_CLIENT, Choice, Pool

MAX_PAUSE = 2.0

Choose = Callable[[set[str]], Choice]


def way(
    choose: Choose, refuse: Callable[[Choice], Reply], *, jitter: float, repeatable: bool
) -> Plan:
    """Try every account, then once more those whose trouble was transient; end with upstream's last word.

    `choose` gives the next account that is not among the keys it is handed; `refuse` makes our own answer where
    no account serves. `jitter` is in [0, 1): where between a quarter and all of `MAX_PAUSE` the pause lies.
    """
    failures: list[Failure] = []
    spent: set[str] = set()  # had their turn, and another would not help
    for last_round in (False, True):
        tried = set(spent)
        while (choice := choose(tried)).account:
            tried.add(choice.account.key)
            failure = yield Try(choice.account, choice.why)
            if failure is None:
                return
            failures.append(failure)
            rule = classify(failure)
            if rule.then is Then.RETURN or not (repeatable or unseen(failure)):
                yield ending(failures)
                return
            if not rule.transient:
                spent.add(choice.account.key)
        if last_round or tried == spent:
            break
        yield Pause(MAX_PAUSE * (0.25 + 0.75 * jitter))
    yield last_word(failures, lambda: refuse(choose(set())))


def unseen(failure: Failure) -> bool:
    """Upstream did not act on it: it refused, or never had it."""
    return failure.where is Where.STATUS or not failure.sent


def last_word(failures: list[Failure], refuse: Callable[[], Reply]) -> Step:
    """All accounts have been tried: upstream's own error if trouble was transient, else our summary."""
    if failures and classify(failures[-1]).transient:
        return ending(failures)
    return refuse()


def ending(failures: list[Failure]) -> Step:
    """The last answer upstream gave, or where it never gave one, what kept it from us."""
    if any(failure.where is Where.STATUS for failure in failures):
        return Deliver()
    failure = failures[-1]
    if failure.where is Where.TIMEOUT:
        return Reply(504, "timeout_error", f"Upstream did not answer in time: {failure.message}")
    if failure.where is Where.NETWORK:
        return Reply(502, "api_error", f"Upstream could not be reached: {failure.message}")
    error_type = failure.error_type if failure.error_type in _STATUSES else "api_error"
    return Reply(_STATUSES[error_type], error_type, f"Upstream failed: {failure.message}")


_STATUSES = {"overloaded_error": 529, "timeout_error": 504, "api_error": 502}
"""For errors that upstream reported inside a 200."""


def refusal(pool: Pool, choice: Choice, now: float) -> Reply:
    """Our own answer when no account serves this request: why, by account, and when to come back."""
    if not pool.accounts:
        return Reply(401, "authentication_error", f"NeuroLink has no account yet. {ADD_ACCOUNT}")
    reasons = "; ".join(f"{key}: {skip.reason}" for key, skip in choice.skipped.items())
    if choice.recovery is not None:
        seconds = max(1, math.ceil(choice.recovery - now))
        message = f"All accounts are cooling; the first is back in {seconds} s. {reasons}"
        return Reply(429, "rate_limit_error", message, retry_after=seconds)
    if any(skip.reason == NOT_FOR_CLIENT for skip in choice.skipped.values()):
        return Reply(400, "invalid_request_error", f"{ONLY_SUBSCRIPTIONS} {ADD_ACCOUNT}")
    return Reply(503, "overloaded_error", f"No account serves this request. {reasons}")


ONLY_SUBSCRIPTIONS = "NeuroLink's accounts are subscriptions, and a subscription serves Claude Code's own requests only."
ADD_ACCOUNT = (
    "Add an API key: set ANTHROPIC_API_KEY for the proxy, or list the key under accounts.anthropic in"
    " proxy-config.yaml."
)
