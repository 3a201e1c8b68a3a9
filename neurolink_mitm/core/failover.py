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
from neurolink_mitm.core.pool import Choice, Demand, Pool
from neurolink_mitm.core.standing import NOT_FOR_CLIENT

MAX_PAUSE = 2.0
MAX_REFRESHES = 5
"""Of one request."""

AGAIN = {Then.MEND: "without thinking blocks", Then.REFRESH: "with a new token"}
"""What is tried on the same account before it is given up."""

Choose = Callable[[set[str]], Choice]


def way(
    choose: Choose, refuse: Callable[[], Reply | None], *, jitter: float, repeatable: bool
) -> Plan:
    """Try every account, then once more those whose trouble was transient; end with upstream's last word.

    `choose` gives the next account that is not among the keys it is handed; `refuse` makes our own answer where no
    account serves at all. `jitter` is in [0, 1): where between a quarter and all of `MAX_PAUSE` the pause lies.
    """
    failures: list[Failure] = []
    spent: set[str] = set()  # had their turn, and another would not help
    mended = False
    for last_round in (False, True):
        tried = set(spent)
        while (choice := choose(tried)).account:
            account = choice.account
            tried.add(account.key)
            failure = yield Try(account, choice.why, mended)
            while (
                failure
                and (again := classify(failure).then) in AGAIN
                and not (mended and again is Then.MEND)
            ):
                failures.append(failure)
                mended = mended or again is Then.MEND
                failure = yield Try(
                    account, f"{choice.why}, {AGAIN[again]}", mended, refresh=again is Then.REFRESH
                )
            if failure is None:
                return
            failures.append(failure)
            rule = classify(failure)
            if rule.then is not Then.NEXT or not (repeatable or unseen(failure)):
                yield ending(failures)
                return
            if not rule.transient:
                spent.add(account.key)
        if last_round or tried == spent:
            break
        yield Pause(MAX_PAUSE * (0.25 + 0.75 * jitter))
    yield refuse() or ending(failures)


def unseen(failure: Failure) -> bool:
    """Upstream did not act on it: it refused, or never had it."""
    return failure.where is Where.STATUS or not failure.sent


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


def refusal(pool: Pool, demand: Demand, now: float) -> Reply | None:
    """Our own answer when no account serves this request now: why, by account, and when to come back.

    None where some account does; then upstream's word counts.
    """
    if not pool.accounts:
        return Reply(401, "authentication_error", f"NeuroLink has no account yet. {ADD_ACCOUNT}")
    skipped = pool.skips(demand, now)
    if len(skipped) < len(pool.accounts):
        return None
    reasons = "; ".join(f"{key}: {skip.reason}" for key, skip in skipped.items())
    waits = [skip.until - now for skip in skipped.values() if skip.until is not None]
    if waits:
        seconds = max(1, math.ceil(min(waits)))
        message = f"All accounts are cooling; the first is back in {seconds} s. {reasons}"
        return Reply(429, "rate_limit_error", message, retry_after=seconds)
    if any(skip.reason == NOT_FOR_CLIENT for skip in skipped.values()):
        return Reply(400, "invalid_request_error", f"{ONLY_SUBSCRIPTIONS} {ADD_ACCOUNT}")
    return Reply(503, "overloaded_error", f"No account serves this request. {reasons}")


ONLY_SUBSCRIPTIONS = (
    "NeuroLink's accounts are subscriptions, and these serve Claude Code's own requests only."
)
ADD_ACCOUNT = (
    "Add an API key: run `neurolink auth login anthropic --add --method api-key`, or list the key under"
    " accounts.anthropic in proxy-config.yaml."
)
