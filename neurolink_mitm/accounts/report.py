"""The accounts as plain values, in the order they are used, then duplicate entries of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.auth.credentials import NEEDS_LOGIN, PROVIDER, StoredAccount
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.cooldown import Cooldown, in_bounds
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.persisted import PersistedState, fingerprint
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.readings import Readings
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.status.windows import windows_report

PLANS: Mapping[str, str] = {"oauth": "subscription", "api_key": "pay-per-use"}
UNTRIED = "not tried yet"
USABLE = ("ready", "expired", "cooling")
"""States from which an account serves again without the user."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AccountInputs:
    """Quotas and cooldowns by account key, the label of the primary account, and what forecasts need."""

    quotas: Mapping[str, Quota] = field(default_factory=dict)
    cooldowns: Mapping[str, PersistedState] = field(default_factory=dict)
    primary: str | None = None
    readings: Mapping[str, Mapping[str, Readings]] = field(default_factory=dict)
    """What was used of each window lately, by account key."""


def rows(
    pool: Sequence[Account], stored: Sequence[StoredAccount], inputs: AccountInputs, now: float
) -> list[Row]:
    by_label = {each.label: each for each in stored}
    used = [_row(account, by_label.get(account.label), inputs, now) for account in pool]
    labels = {account.label for account in pool}
    return used + [_duplicate(each) for each in stored if each.label not in labels]


def identity(account: StoredAccount) -> Row:
    """Return whose account it is and when it expires; nothing of the credential itself."""
    return {
        "label": account.label,
        "key": f"{PROVIDER}{account.label}",
        "type": account.type,
        "plan": account.plan or PLANS[account.type],
        "email": account.email,
        "accountUuid": account.account_uuid,
        "organization": account.organization_name,
        "organizationUuid": account.organization_uuid,
        "expiresAt": _when(account.expires_at),
        "refreshable": account.type == "oauth" and account.refresh_token is not None,
    }


def refresh_row(refreshed: Refreshed) -> Row:
    """Return the result of one refresh."""
    trouble, expires_at = refreshed.trouble, refreshed.expires_at
    return {
        "label": refreshed.account.label,
        "expiresAt": _when(expires_at),
        "trouble": trouble.value if trouble else None,
        "message": redact(refreshed.message),
        "written": refreshed.written,
    }


def needs_login(account: Account | StoredAccount, now: float) -> bool:
    """Whether the account serves again only after a login."""
    refreshable = (
        account.refreshable if isinstance(account, Account) else account.refresh_token is not None
    )
    expired = account.expires_at is not None and account.expires_at <= now
    refused = account.disabled is not None and account.disabled.startswith(NEEDS_LOGIN)
    return account.type == "oauth" and (refused or (expired and not refreshable))


def summary(rows: Sequence[Row]) -> Row:
    """Return how many accounts there are, how many can serve, and the labels in each state."""
    by_state = {
        state: [row["label"] for row in rows if row["state"] == state]
        for state in dict.fromkeys(row["state"] for row in rows)
    }
    return {
        "accounts": len(rows),
        "usable": sum(row["state"] in USABLE for row in rows),
        "states": by_state,
    }


def _row(account: Account, stored: StoredAccount | None, inputs: AccountInputs, now: float) -> Row:
    persisted = inputs.cooldowns.get(account.key)
    state, reason = _state(account, persisted, now, tried=account.key in inputs.quotas)
    cooldown = _cooling(account, persisted, now)
    login = stored if stored and account.source == "store" else None
    return {
        "label": account.label,
        "key": account.key,
        "type": account.type,
        "plan": (login and login.plan) or PLANS[account.type],
        "email": account.email,
        "accountUuid": account.account_uuid,
        "organization": login and login.organization_name,
        "organizationUuid": account.organization_uuid,
        "expiresAt": _when(account.expires_at),
        "refreshable": account.refreshable,
        "source": account.source,
        "primary": account.label == inputs.primary,
        "state": state,
        "reason": reason,
        "pausedUntil": _when(account.paused.until)
        if state == "paused" and account.paused
        else None,
        "recoversAt": iso(cooldown.recovery(now)) if cooldown else None,
        "quota": _quota(account.key, inputs, now),
    }


def _duplicate(account: StoredAccount) -> Row:
    reason = "another entry has this account; remove it with: neurolink auth cleanup"
    return {
        **identity(account),
        "source": "store",
        "primary": False,
        "state": "duplicate",
        "reason": reason,
        "pausedUntil": None,
        "recoversAt": None,
        "quota": None,
    }


def _state(
    account: Account, persisted: PersistedState | None, now: float, *, tried: bool
) -> tuple[str, str | None]:
    """Return state and reason; `tried`: a request on the account was answered once."""
    if needs_login(account, now):
        refused = (account.disabled or "").removeprefix(NEEDS_LOGIN).lstrip(": ")
        return NEEDS_LOGIN, refused or "its token has expired and can't be refreshed"
    if account.disabled:
        return "disabled", account.disabled
    if not account.enabled:
        return "not enabled", "enabled: false in the configuration"
    if account.paused and not account.paused.over(now):
        return "paused", account.paused.text.removeprefix("paused").lstrip(": ") or None
    if cooling := _cooling(account, persisted, now):
        return "cooling", f"until {iso(cooling.recovery(now))}: {cooling.reason}"
    if account.expires_at is not None and account.expires_at <= now:
        return "expired", "refreshed with the next request"
    # a token of `claude setup-token` is stored as it was pasted: nobody has asked with it yet
    pasted = account.source == "store" and account.type == "oauth" and not account.refreshable
    return "ready", UNTRIED if pasted and not tried else None


def _cooling(account: Account, persisted: PersistedState | None, now: float) -> Cooldown | None:
    """Return the cooldown of the account as a whole; one of a single model or endpoint leaves it usable."""
    if persisted is None or persisted.credential != fingerprint(account.secret):
        return None
    whole = (c for scope, c in persisted.scopes.items() if c.whole or scope == WHOLE_ACCOUNT)
    bounded = (in_bounds(cooldown, now) for cooldown in whole)
    return next((cooldown for cooldown in bounded if cooldown.cooling(now)), None)


def _quota(key: str, inputs: AccountInputs, now: float) -> Row | None:
    quota, readings = inputs.quotas.get(key), inputs.readings.get(key, {})
    if quota is None:
        return None

    def pace(name: str, now: float) -> float:
        return readings[name].pace(now) if name in readings else 0.0

    return {**windows_report(quota, now, pace), "seenAt": iso(quota.seen_at)}


def _when(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)
