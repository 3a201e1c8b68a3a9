"""The conditions that hold now and that the user may want to know of: logins, windows, the pool, the budget."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.auth.credentials import GAVE_UP, NEEDS_LOGIN
from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.pool.account_state import out_of_use
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.windows import REJECTED, Window
from neurolink_mitm.core.settings.notify import NoticeKind

PAID: Final = "paid-fallback"
FULL = 0.8
"""Share of a window from which it is told."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds now; one `cause` is told once. Times are seconds since the epoch."""

    kind: NoticeKind
    cause: str
    account: str | None = None
    """The label."""
    window: str | None = None
    used: float | None = None
    reset: float | None = None
    """When it ends by itself."""
    period_ends_at: float | None = None
    """It is told once until then, even if it doesn't hold meanwhile; None: until it doesn't hold any more."""
    reason: str | None = None
    """Upstream's words, or another's."""
    client: str | None = None
    spent_usd: float | None = None
    cap_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All conditions of a moment, and the label of an account that serves beyond doubt, if there is one."""

    conditions: tuple[Condition, ...]
    serving: str | None = None


def situation(
    pool: Pool, now: float, paid: str | None = None, clients: Sequence[ClientKey] = ()
) -> Situation:
    """Return what holds now; `paid` is who serves Claude Code in place of the subscriptions, for money."""
    cooling = _all_cooling(pool, now)
    found = (
        *([cooling] if cooling else []),
        *([Condition(PAID, PAID, paid)] if paid is not None else []),
        *_caps(pool.budget, clients, now),
        *_logins(pool, now),
        *_windows(pool, now),
    )
    return Situation(found, _serving(pool, now))


def _logins(pool: Pool, now: float) -> Iterator[Condition]:
    for account in pool.accounts:
        if needs_login(account, now):
            reason = (account.disabled or "its token has expired").removeprefix(NEEDS_LOGIN)
            yield Condition(
                "needs-login",
                f"needs-login {account.key}",
                account.label,
                reason=reason.lstrip(": ") or None,
            )


def needs_login(account: Account, now: float) -> bool:
    """Return whether only a login lets the account serve again; one that its owner has disabled needs none."""
    if account.type != "oauth" or not account.enabled:
        return False
    if account.disabled:
        return account.disabled.startswith(NEEDS_LOGIN) or GAVE_UP in account.disabled
    return account.has_ended(now) and not account.refreshable


def _windows(pool: Pool, now: float) -> Iterator[Condition]:
    for account in pool.accounts:
        quota = pool.account_state(account.key).quota
        if quota is None or out_of_use(account, now):
            continue
        for name, window in quota.current(now).items():
            if _is_full(window) and _NAME.fullmatch(name):
                yield Condition(
                    "window-80", f"window-80 {account.key} {name}", account.label, name,
                    window.utilization, window.reset, window.reset,
                )  # fmt: skip


def _is_full(window: Window) -> bool:
    used = window.utilization
    return window.status == REJECTED or (used is not None and FULL <= used < math.inf)


def _all_cooling(pool: Pool, now: float) -> Condition | None:
    """Return the condition that no account may serve Claude Code, and that time alone ends it."""
    recoveries = []
    for account in _affordable(pool, now):
        if (until := pool.account_state(account.key).recovers_at(None, now)) is None:
            return None
        recoveries.append((until, account.label))
    if not recoveries:
        return None
    until, label = min(recoveries)
    return Condition("all-cooling", "all-cooling", label, reset=until)


def _affordable(pool: Pool, now: float) -> Iterator[Account]:
    """Yield the accounts that may serve Claude Code, were it not for cooldowns."""
    subscription = any(account.type == "oauth" for account in pool.accounts)
    for account in pool.accounts:
        over = pool.budget.ineligible(account, now, beside_subscription=subscription)
        if not over and not out_of_use(account, now):
            yield account


def _serving(pool: Pool, now: float) -> str | None:
    """Return an account that may serve, and whose last cooldown a success has ended."""
    for account in _affordable(pool, now):
        if not pool.account_state(account.key).recovering:
            return account.label
    return None


def subscriptions_out(pool: Pool, model: str | None, now: float) -> bool:
    """Return whether there are subscriptions for `model`, and none may serve Claude Code now."""
    usable = [a for a in pool.accounts if a.type == "oauth" and _is_in_use(a, model, now)]
    return bool(usable) and all(
        out_of_use(a, now) or pool.account_state(a.key).recovers_at(model, now) for a in usable
    )


def _is_in_use(account: Account, model: str | None, now: float) -> bool:
    """Return whether its owner means it to serve `model`."""
    disabled = account.disabled
    by_owner = disabled and not disabled.startswith(NEEDS_LOGIN) and GAVE_UP not in disabled
    excluded = model and any(fnmatchcase(model, pattern) for pattern in account.excluded_models)
    paused = account.paused and not account.paused.over(now)
    return account.enabled and not by_owner and not paused and not excluded


def _caps(budget: Budget, clients: Sequence[ClientKey], now: float) -> Iterator[Condition]:
    day_ends_at = budget.resets_at(now)
    of_all: tuple[str | None, float | None, float] = (None, budget.cap, budget.spent_today(now))
    caps = [of_all] + [(c.name, c.daily_cap_usd, budget.used_today(c.name, now)) for c in clients]
    for client, cap, spent in caps:
        if cap is not None and spent >= cap > 0:
            yield Condition(
                "cap", f"cap {client}" if client else "cap", reset=day_ends_at,
                period_ends_at=day_ends_at, client=client, spent_usd=spent, cap_usd=cap,
            )  # fmt: skip
