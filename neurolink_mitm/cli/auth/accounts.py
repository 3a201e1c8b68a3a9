"""`neurolink auth logout`, `enable`, `disable`, `cleanup`, `refresh`: what is stored."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.accounts.order import UnknownAccountError
from neurolink_mitm.cli.ui import home, in_step
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import (
    config_option,
    format_option,
    label_argument,
    provider_argument,
)
from neurolink_mitm.cli.ui.terminal import confirm, print_report, progress, say

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.token_store import Credentials
    from neurolink_mitm.core.auth.credentials import StoredAccount

Row = dict[str, Any]


@click.command()
@label_argument(required=False)
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
def logout(label: str | None, force: bool) -> None:
    """Forget the account LABEL; without LABEL the only one there is.

    Example: neurolink auth logout work
    """
    from neurolink_mitm.accounts.stored import log_out

    store = home.store()
    account = _chosen(store.read(), label)
    whose = f" ({account.email})" if account.email else ""
    question = f"Forget the account {account.label!r}{whose}?"
    if not force and not confirm(question, otherwise="pass --force to log out unasked"):
        fail("nothing was changed", FAILED)
    try:
        notes = log_out(home.home(), store, home.audit(), account, time.time())
    except UnknownAccountError as e:
        fail(str(e), FAILED)
    for note in notes:
        say(f"note: {note}")
    if home.configuration_or_default(None).routing.primary_account == account.label:
        say("note: routing.primary-account still names it: neurolink auth clear-primary")
    click.echo(f"logged out of {account.label!r}; a running proxy stops using it")


@click.command()
@label_argument()
def enable(label: str) -> None:
    """Let the account LABEL take requests again, and forget its failed refreshes.

    Example: neurolink auth enable work
    """
    from neurolink_mitm.accounts import stored

    try:
        stored.enable(home.store(), home.audit(), label)
    except UnknownAccountError as e:
        fail(str(e), FAILED)
    click.echo(f"enabled {label!r}")


@click.command()
@label_argument()
@click.option("--reason", default="by hand", help="What `auth list` says of it.")
def disable(label: str, reason: str) -> None:
    """Give the account LABEL no requests until it is enabled or logged in again.

    Example: neurolink auth disable work --reason "on holiday"
    """
    from neurolink_mitm.accounts import stored

    try:
        stored.disable(home.store(), home.audit(), label, reason, time.time())
    except UnknownAccountError as e:
        fail(str(e), FAILED)
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

    store = home.store()
    entries = list(useless(store.read().stored, time.time()))
    for account, reason in entries:
        say(f"  {account.label}: {reason}")
    count = f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}"
    hint = "pass --force to remove them unasked"
    if entries and not force and not confirm(f"Remove {count}?", otherwise=hint):
        fail("nothing was removed", FAILED)
    labels = {account.label for account, _ in entries}
    removed = remove_useless(store, home.audit(), labels, time.time())
    report = {"removed": [{"label": label, "reason": reason} for label, reason in removed]}
    gone = ", ".join(label for label, _ in removed)
    print_report(form, report, lambda: f"removed: {gone}\n" if gone else "nothing to remove\n")


@click.command()
@provider_argument()
@label_argument(required=False)
@config_option()
@format_option
def refresh(provider: str, label: str | None, config: Path | None, form: str) -> None:
    """Refresh the login LABEL, or all of them; exit code 1 where one could not be.

    Example: neurolink auth refresh anthropic work
    """
    import asyncio

    from neurolink_mitm.accounts.operations import refresh_logins, to_refresh
    from neurolink_mitm.accounts.report import refresh_row

    # what it logs is said below, once
    logging.getLogger("neurolink.refresh").addHandler(logging.NullHandler())
    settings = home.configuration(config)
    try:
        logins = to_refresh(home.accounts(settings), label)
    except ValueError as e:
        fail(str(e), FAILED)
    with progress("refreshing …"):
        network = home.network(settings, config)
        results = asyncio.run(
            refresh_logins(in_step.store(), home.audit(), settings, network, logins)
        )
    rows = [refresh_row(result) for result in results]
    print_report(form, {"accounts": rows}, lambda: _text(rows))
    if any(row["trouble"] or not row["written"] for row in rows):
        raise SystemExit(FAILED)


def _text(rows: list[Row]) -> str:
    return "".join(f"{row['label']}: {_result(row)}\n" for row in rows)


def _result(row: Row) -> str:
    from neurolink_mitm.cli.auth.render import expiry

    if row["trouble"]:
        hint = ""
        if row["trouble"] == "invalid grant" or row["message"].startswith("needs login"):
            hint = "; log in again with: neurolink auth login anthropic"
        return f"not refreshed: {row['message'] or row['trouble']}{hint}"
    if not row["written"]:
        return "refreshed, but the new tokens could not be stored and are lost; log in again"
    return f"refreshed, expires {expiry(row['expiresAt'], time.time())}"


def _chosen(credentials: Credentials, label: str | None) -> StoredAccount:
    from neurolink_mitm.accounts.stored import every_stored, stored_account

    accounts = every_stored(credentials)
    if label is None and len(accounts) == 1:
        return accounts[0]
    if label is None and accounts:
        labels = ", ".join(account.label for account in accounts)
        fail(f"which one? neurolink auth logout LABEL, with one of: {labels}", USAGE)
    if label is None:
        fail("no account is stored; log in with: neurolink auth login anthropic", FAILED)
    try:
        return stored_account(credentials, label)
    except UnknownAccountError as e:
        fail(str(e), FAILED)
