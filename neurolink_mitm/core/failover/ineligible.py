"""The reply where no account and no fallback is eligible: why each one is not, and when one will be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import tzinfo

from neurolink_mitm.core.auth.credentials import PROVIDER
from neurolink_mitm.core.cost.budget import NOT_METERED
from neurolink_mitm.core.cost.client_limits import cap_reached
from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.failover.recovery_text import (
    back_text,
    reason_text,
    used_up_window,
    window_text,
)
from neurolink_mitm.core.logs.reset_times import in_local_time
from neurolink_mitm.core.pool.account_state import NOT_FOR_CLIENT, Ineligible
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.destinations import THE_POOL, Route

LISTED = 20
"""Targets whose reasons a reply lists, of any number of them."""


def all_ineligible(
    pool: Pool,
    requirements: Requirements,
    now: float,
    route: Route = THE_POOL,
    errors: Mapping[str, str] | None = None,
    zone: tzinfo | None = None,
) -> Reply | None:
    """Return the reply when no target on `route` is eligible: each one's reason, and when to retry.

    None where one is: then upstream's response counts. `errors` are those of the fallbacks that were tried, by key.
    Times are in `zone`; None: that of this machine.
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
    reasons = {key: in_local_time(each.reason, now, zone) for key, each in targets.items()}
    reasons |= {key: (errors or {}).get(key, "not asked") for key in eligible}
    if (ineligible or not eligible) and any(each.until is not None for each in targets.values()):
        return _until_recovery(pool, targets, reasons, now, zone)
    if eligible:
        return None
    none_yet = route.pool and not accounts
    return _lasting(ineligible, fallbacks, reasons, _remedy(requirements), none_yet=none_yet)


def _until_recovery(
    pool: Pool,
    targets: Mapping[str, Ineligible],
    reasons: Mapping[str, str],
    now: float,
    zone: tzinfo | None,
) -> Reply:
    """Return the reply where time alone helps at least one of the targets."""
    ends = [each.until for each in targets.values() if each.until is not None]
    if all(each.capped for each in targets.values() if each.until is not None):
        return cap_reached(listed(reasons), min(ends), now)
    words = {
        key: reason_text(each, pool.account_state(key).quota, now, zone)
        for key, each in targets.items()
    }
    accounts = any(key.startswith(PROVIDER) for key in targets)
    first = _first_back(pool, targets, now, zone)
    message = f"{ALL_COOLING if accounts else ALL_PROVIDERS_COOLING} {first}. {listed({**reasons, **words})}"
    return Reply(429, "rate_limit_error", message, retry_after=max(1, math.ceil(min(ends) - now)))


def _first_back(
    pool: Pool, targets: Mapping[str, Ineligible], now: float, zone: tzinfo | None
) -> str:
    """Return when the first target is back, and with which window: what users want to know comes first."""
    key, first = min(targets.items(), key=lambda each: each[1].until or math.inf)
    back = back_text(first.until or now, now, zone)
    window = used_up_window(first, pool.account_state(key).quota, now)
    label = key.removeprefix(PROVIDER)
    return f"{back}, when the {window_text(window)} of {label} resets" if window else back


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
        return Reply(400, "invalid_request_error", f"{CANT_BE_CAPPED} {listed(reasons)}")
    if any(each.reason == NOT_FOR_CLIENT for each in accounts.values()):
        others = {key: reason for key, reason in reasons.items() if reason != NOT_FOR_CLIENT}
        subscriptions = SUBSCRIPTIONS if accounts.keys() & others.keys() else ONLY_SUBSCRIPTIONS
        message = f"{subscriptions} {ADD_ACCOUNT} {listed(others)}".rstrip()
        return Reply(400, "invalid_request_error", message)
    if not accounts:
        message = f"No provider serves this model. {listed(reasons)}"
        if none_yet:
            message += f". {NO_ACCOUNT} {remedy}"
        return Reply(400, "invalid_request_error", message)
    message = f"No account serves this request. {listed(reasons)}"
    if any("needs login" in reason for reason in reasons.values()):
        message += f". {remedy}"
    # of an overloaded_error Claude Code hides the message, and says that it will pass
    return Reply(503, "api_error", message, lasting=True)


def listed(reasons: Mapping[str, str]) -> str:
    """Return the reasons in words: of many targets, those of the first and of the last, where the fallbacks are."""
    # a provider's error begins with its entry
    words = [
        f"{key.removeprefix(PROVIDER)}: {reason.removeprefix(f'{key} ')}"
        for key, reason in reasons.items()
    ]
    if (more := len(words) - LISTED) > 0:
        words[LISTED // 2 : -LISTED // 2] = [f"{more} more"]
    return "; ".join(words)


ALL_COOLING = "All accounts are cooling; the first is back"
ALL_PROVIDERS_COOLING = "All providers of this model are cooling; the first is back"
NO_ACCOUNT = "NeuroLink has no account yet."
ONLY_SUBSCRIPTIONS = (
    "NeuroLink's accounts are subscriptions, and these serve Claude Code's own requests only."
)
SUBSCRIPTIONS = "NeuroLink's subscriptions serve Claude Code's own requests only, and no other account serves this one."
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
