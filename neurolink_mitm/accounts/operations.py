"""Operations on the accounts of a home: list, store a login, clean up, refresh."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from neurolink_mitm.accounts.order import UnknownAccountError
from neurolink_mitm.accounts.placement import Placement, useless
from neurolink_mitm.accounts.report import AccountInputs, Row, rows
from neurolink_mitm.accounts.stored import stored_row
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.pause_file import read_pauses
from neurolink_mitm.adapters.persisted_state import read_cooldowns, read_quotas
from neurolink_mitm.adapters.refresh import Refresher, Store, oauth_client
from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.adapters.token_store import Credentials, TokenStore
from neurolink_mitm.adapters.window_history import read_history
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.accounts import Account, build_pool, with_pauses
from neurolink_mitm.core.pool.readings import restored
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config


def account_rows(
    home: Home, credentials: Credentials, config: Config, environ: Mapping[str, str], now: float
) -> list[Row]:
    """Return a row an account, in the order they are used."""
    key = environ.get("ANTHROPIC_API_KEY")
    pool = build_pool(config, credentials.stored, credentials.legacy, Secret(key) if key else None)
    pool = with_pauses(pool, read_pauses(home.pauses))
    inputs = AccountInputs(
        read_quotas(home.quotas),
        read_cooldowns(home.cooldowns),
        config.routing.primary_account,
        restored(read_history(home.windows), now),
    )
    return rows(pool, credentials.stored, inputs, now)


def save_login(
    store: TokenStore, audit: Audit, login: StoredAccount, place: Placement
) -> StoredAccount:
    """Store `login` where `place` says, and return it with its label there."""
    login = replace(login, label=place.label)
    replaced = (place.gone or place.label, place.label)
    before = next((each for each in store.read().stored if each.label in replaced), None)
    store.save(login)
    if place.gone is not None:
        store.remove(place.gone)
    was = before and {"label": before.label, **stored_row(before)}
    audit.record("login", place.label, was, stored_row(login))
    return login


def remove_useless(
    store: TokenStore, audit: Audit, labels: Collection[str], now: float
) -> list[tuple[str, str]]:
    """Remove the entries of `labels` that are useless, and return label and reason of each.

    They are checked again: while the user was asked, somebody may have logged in.
    """
    removed = []
    for account, reason in list(useless(store.read().stored, now)):
        if account.label in labels and store.remove(account.label):
            audit.record("cleanup", account.label, stored_row(account))
            removed.append((account.label, reason))
    return removed


async def refresh_logins(
    store: Store, audit: Audit, config: Config, network: Network, logins: Sequence[Account]
) -> list[Refreshed]:
    """Refresh all of `logins` at once, whether they are due or not."""
    refresher = Refresher(store, lambda: oauth_client(config.oauth, network), SystemClock())
    try:
        results = await asyncio.gather(*(refresher.fresh(login, force=True) for login in logins))
    finally:
        await refresher.close()
    for result in results:
        if result.trouble is None:
            ends = (result.account.expires_at, result.expires_at)
            before, after = ({"expiresAt": None if end is None else iso(end)} for end in ends)
            audit.record("refresh", result.account.label, before, after)
    return results


def to_refresh(pool: Sequence[Account], label: str | None) -> list[Account]:
    """Return the account `label`, or all, that can be refreshed. Raises `ValueError` with why there is none."""
    named = [account for account in pool if label in (None, account.label)]
    if label is not None and not named:
        labels = ", ".join(account.label for account in pool) or "none yet"
        raise UnknownAccountError(f"no account {label!r}; there are: {labels}")
    logins = [account for account in named if account.refreshable]
    if label is not None and not logins:
        raise ValueError(
            f"{label!r} has nothing to refresh: it is an API key or a long-lived token"
        )
    if not logins:
        raise ValueError(
            "there is no login that could be refreshed; log in with: neurolink auth login anthropic"
        )
    return logins
