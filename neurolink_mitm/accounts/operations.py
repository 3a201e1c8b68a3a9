"""Operations on the accounts of a home: list, store a login, clean up, refresh."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from neurolink_mitm.accounts.placement import Placement, useless
from neurolink_mitm.accounts.report import AccountInputs, Row, rows
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.pause_file import read_pauses
from neurolink_mitm.adapters.persisted_state import read_cooldowns, read_quotas
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.adapters.token_store import Credentials, TokenStore
from neurolink_mitm.adapters.window_history import read_history
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.refresh import Refreshed
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


def save_login(store: TokenStore, login: StoredAccount, place: Placement) -> StoredAccount:
    """Store `login` where `place` says, and return it with its label there."""
    login = replace(login, label=place.label)
    store.save(login)
    if place.gone is not None:
        store.remove(place.gone)
    return login


def remove_useless(store: TokenStore, labels: Collection[str], now: float) -> list[tuple[str, str]]:
    """Remove the entries of `labels` that are useless, and return label and reason of each.

    They are checked again: while the user was asked, somebody may have logged in.
    """
    return [
        (account.label, reason)
        for account, reason in list(useless(store.read().stored, now))
        if account.label in labels and store.remove(account.label)
    ]


async def refresh_logins(
    store: TokenStore, config: Config, network: Network, logins: Sequence[Account]
) -> list[Refreshed]:
    """Refresh all of `logins` at once, whether they are due or not."""
    refresher = Refresher(store, lambda: oauth_client(config.oauth, network), SystemClock())
    try:
        return await asyncio.gather(*(refresher.fresh(login, force=True) for login in logins))
    finally:
        await refresher.close()
