"""`neurolink auth refresh`: new access tokens now, rather than when they are about to end."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli import auth_context as context
from neurolink_mitm.cli.exits import FAILED, fail
from neurolink_mitm.cli.options import format_option
from neurolink_mitm.core.config_values import Config
from neurolink_mitm.core.redaction import redact

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.network import Network
    from neurolink_mitm.core.accounts import Account
    from neurolink_mitm.core.refresh import Refreshed

Row = dict[str, Any]


@click.command()
@context.provider_argument()
@context.label_argument(required=False)
@context.config_option
@format_option
def refresh(provider: str, label: str | None, config: Path | None, form: str) -> None:
    """Refresh the login LABEL, or all of them; exit code 1 where one could not be.

    Example: neurolink auth refresh anthropic work
    """
    import asyncio

    from neurolink_mitm.cli.render import as_json

    # what it logs is said below, once
    logging.getLogger("neurolink.refresh").addHandler(logging.NullHandler())
    settings = context.configuration(config)
    logins = _logins(settings, label)
    with context.progress("refreshing …"):
        results = asyncio.run(_refreshed(settings, logins, context.network(settings, config)))
    found = [_row(account, result) for account, result in zip(logins, results, strict=True)]
    click.echo(as_json({"accounts": found}) if form == "json" else _text(found), nl=False)
    if any(row["trouble"] or not row["written"] for row in found):
        raise SystemExit(FAILED)


def _logins(settings: Config, label: str | None) -> list[Account]:
    from neurolink_mitm.core.accounts import build_pool

    credentials = context.store().read()
    pool = build_pool(settings, credentials.stored, credentials.legacy, None)
    named = [account for account in pool if label in (None, account.label)]
    if label is not None and not named:
        labels = ", ".join(account.label for account in pool) or "none yet"
        fail(f"no account {label!r}; there are: {labels}", FAILED)
    found = [account for account in named if account.refreshable]
    if label is not None and not found:
        fail(f"{label!r} has nothing to refresh: it is an API key or a long-lived token", FAILED)
    return found or fail(
        "there is no login that could be refreshed; log in with: neurolink auth login anthropic",
        FAILED,
    )


async def _refreshed(settings: Config, logins: list[Account], network: Network) -> list[Refreshed]:
    import asyncio

    from neurolink_mitm.adapters.refresher import Refresher, oauth_client
    from neurolink_mitm.adapters.system import SystemClock

    refresher = Refresher(
        context.store(), lambda: oauth_client(settings.oauth, network), SystemClock()
    )
    try:
        return await asyncio.gather(*(refresher.fresh(account, force=True) for account in logins))
    finally:
        await refresher.close()


def _row(account: Account, result: Refreshed) -> Row:
    from neurolink_mitm.core.record import iso

    return {
        "label": account.label,
        "expiresAt": None if result.expires_at is None else iso(result.expires_at),
        "trouble": result.trouble.value if result.trouble else None,
        "message": redact(result.message),
        "written": result.written,
    }


def _text(found: list[Row]) -> str:
    return "".join(f"{row['label']}: {_said(row)}\n" for row in found)


def _said(row: Row) -> str:
    from neurolink_mitm.cli.auth_render import expiry

    if row["trouble"]:
        hint = ""
        if row["trouble"] == "invalid grant" or row["message"].startswith("needs login"):
            hint = "; log in again with: neurolink auth login anthropic"
        return f"not refreshed: {row['message'] or row['trouble']}{hint}"
    if not row["written"]:
        return "refreshed, but the new tokens could not be stored and are lost; log in again"
    return f"refreshed, expires {expiry(row['expiresAt'], time.time())}"
