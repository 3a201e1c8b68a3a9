"""The forecast of the pool in `/status`: when its subscriptions run dry, for any model and for families of models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.account_state import AccountState, out_of_use
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.families import models_of
from neurolink_mitm.core.pool.forecast import WORK, Dry, Supply, fills_of, runs_dry
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import DEFAULT_FALLBACK, Quota

MAX_FAMILIES = 8
"""Families of models with a forecast of their own."""

Row = dict[str, object]
Used = tuple[Account, AccountState]


def forecast_report(pool: Pool, now: float) -> Row | None:
    """Return from when to when the pool is dry at the pace of the last hour; None without a subscription in use."""
    dry = dry_times(pool, now)
    if not dry:
        return None
    return {**_row(dry.pop("*")), "models": {name: _row(each) for name, each in dry.items()}}


def dry_times(pool: Pool, now: float) -> dict[str, Dry | None]:
    """Return when the subscriptions run dry, by wildcard: `*`, and families with windows of their own.

    Empty without a subscription in use. Any thread may ask.
    """
    used = pool.states_of(
        account
        for account in pool.accounts
        if account.type == "oauth" and out_of_use(account, now) is None
    )
    if not used:
        return {}
    families = {
        wildcard
        for _, state in used
        for name in (state.quota.current(now) if state.quota else ())
        for wildcard in models_of(name, state.quota.learned if state.quota else {})
    }
    families.discard("*")
    wildcards = ("*", *sorted(families)[:MAX_FAMILIES])
    work = WORK / len(wildcards)
    return {each: _dry(pool, used, each.strip("*"), now, work) for each in wildcards}


def _dry(pool: Pool, used: Sequence[Used], family: str, now: float, work: float) -> Dry | None:
    model = f"claude-{family}" if family else None
    quotas = [state.quota or Quota(now) for _, state in used]
    counting = [quota.counting(model, now) for quota in quotas]
    paces = defaultdict[str, float](float)
    for (_, state), windows in zip(used, counting, strict=True):
        for name in windows:
            paces[name] += state.pace(name, now)
    supplies = [
        Supply(
            fills_of(windows, paces, now),
            state.recovers_at(model, now) or now,
            account.weight,
            account.priority,
            pool.is_primary(account),
            DEFAULT_FALLBACK if quota.fallback is None else quota.fallback,
        )
        for (account, state), windows, quota in zip(used, counting, quotas, strict=True)
    ]
    return runs_dry(supplies, paces, pool.strategy, now, work)


def _row(dry: Dry | None) -> Row:
    return {
        "dryFrom": iso(dry.start) if dry else None,
        "dryTo": iso(dry.end) if dry and dry.end is not None else None,
    }
