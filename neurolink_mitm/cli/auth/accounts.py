"""`neurolink auth logout`, `enable`, `disable`, `cleanup`, `refresh`: what is stored."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from neurolink_mitm.adapters.token_store import Credentials
from neurolink_mitm.cli.auth import context
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import format_option
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.settings.values import Config

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.core.pool.accounts import Account

Row = dict[str, Any]

BY_HAND = "by hand"


@click.command()
@context.label_argument(required=False)
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
def logout(label: str | None, force: bool) -> None:
    """Forget the account LABEL; without LABEL the only one there is.

    Example: neurolink auth logout work
    """
    store = context.store()
    account = _chosen(store.read(), label)
    whose = f" ({account.email})" if account.email else ""
    question = f"Forget the account {account.label!r}{whose}?"
    if not force and not context.confirm(question, otherwise="pass --force to log out unasked"):
        fail("nothing was changed", FAILED)
    if not store.remove(account.label):
        fail(f"{account.label!r} is gone already", FAILED)
    if account.type == "oauth":
        place = "https://claude.ai/settings"
        context.say(f"note: its tokens are forgotten here; end the session itself at {place}")
    if context.configuration_if_good(None).routing.primary_account == account.label:
        context.say("note: routing.primary-account still names it: neurolink auth clear-primary")
    click.echo(f"logged out of {account.label!r}; a running proxy stops using it")


@click.command()
@context.label_argument()
def enable(label: str) -> None:
    """Let the account LABEL take requests again, and forget its failed refreshes.

    Example: neurolink auth enable work
    """
    store = context.store()
    if not store.enable(label):
        _unknown(label, store.read())
    click.echo(f"enabled {label!r}")


@click.command()
@context.label_argument()
@click.option("--reason", default=BY_HAND, help="What `auth list` says of it.")
def disable(label: str, reason: str) -> None:
    """Give the account LABEL no requests until it is enabled or logged in again.

    Example: neurolink auth disable work --reason "on holiday"
    """
    store = context.store()
    if not store.disable(label, reason, time.time()):
        _unknown(label, store.read())
    click.echo(f"disabled {label!r}; neurolink auth enable takes that back")


@click.command()
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@format_option
def cleanup(force: bool, form: str) -> None:
    """Remove logins that have ended and can't be refreshed, second entries of one account, and disabled accounts.

    It says which, and asks first.

    Example: neurolink auth cleanup --force
    """
    from neurolink_mitm.accounts.operations import remove_useless
    from neurolink_mitm.accounts.placement import useless
    from neurolink_mitm.cli.ui.render import as_json

    store = context.store()
    found = list(useless(store.read().stored, time.time()))
    for account, reason in found:
        context.say(f"  {account.label}: {reason}")
    count = f"{len(found)} entr{'y' if len(found) == 1 else 'ies'}"
    hint = "pass --force to remove them unasked"
    if found and not force and not context.confirm(f"Remove {count}?", otherwise=hint):
        fail("nothing was removed", FAILED)
    asked = {account.label for account, _ in found}
    removed = remove_useless(store, asked, time.time())
    if form == "json":
        report = {"removed": [{"label": label, "reason": reason} for label, reason in removed]}
        click.echo(as_json(report), nl=False)
    else:
        labels = ", ".join(label for label, _ in removed)
        click.echo(f"removed: {labels}" if removed else "nothing to remove")


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

    from neurolink_mitm.accounts.operations import refresh_logins
    from neurolink_mitm.accounts.report import refresh_row
    from neurolink_mitm.cli.ui.render import as_json

    # what it logs is said below, once
    logging.getLogger("neurolink.refresh").addHandler(logging.NullHandler())
    settings = context.configuration(config)
    logins = _logins(settings, label)
    with context.progress("refreshing …"):
        network = context.network(settings, config)
        results = asyncio.run(refresh_logins(context.store(), settings, network, logins))
    found = [refresh_row(result) for result in results]
    click.echo(as_json({"accounts": found}) if form == "json" else _text(found), nl=False)
    if any(row["trouble"] or not row["written"] for row in found):
        raise SystemExit(FAILED)


def _logins(settings: Config, label: str | None) -> list[Account]:
    from neurolink_mitm.core.pool.accounts import build_pool

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


def _text(found: list[Row]) -> str:
    return "".join(f"{row['label']}: {_said(row)}\n" for row in found)


def _said(row: Row) -> str:
    from neurolink_mitm.cli.auth.render import expiry

    if row["trouble"]:
        hint = ""
        if row["trouble"] == "invalid grant" or row["message"].startswith("needs login"):
            hint = "; log in again with: neurolink auth login anthropic"
        return f"not refreshed: {row['message'] or row['trouble']}{hint}"
    if not row["written"]:
        return "refreshed, but the new tokens could not be stored and are lost; log in again"
    return f"refreshed, expires {expiry(row['expiresAt'], time.time())}"


def _chosen(known: Credentials, label: str | None) -> StoredAccount:
    accounts = known.stored + ((known.legacy,) if known.legacy else ())
    if label is None and len(accounts) == 1:
        return accounts[0]
    if label is None and accounts:
        labels = ", ".join(account.label for account in accounts)
        fail(f"which one? neurolink auth logout LABEL, with one of: {labels}", USAGE)
    if label is None:
        fail("no account is stored; log in with: neurolink auth login anthropic", FAILED)
    found = next((account for account in accounts if account.label == label), None)
    return found or _unknown(label, known)


def _unknown(label: str, known: Credentials) -> NoReturn:
    labels = ", ".join(account.label for account in known.stored)
    have = (
        f"there are: {labels}" if labels else "none is; log in with: neurolink auth login anthropic"
    )
    fail(f"no account {label!r} is stored; {have}", FAILED)
