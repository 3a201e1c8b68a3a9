"""`neurolink auth logout`, `enable`, `disable`: one account of the store."""

from __future__ import annotations

import time
from typing import NoReturn

import click

from neurolink_mitm.adapters.token_store import Credentials
from neurolink_mitm.cli import auth_context as context
from neurolink_mitm.cli.exits import FAILED, USAGE, fail
from neurolink_mitm.core.stored import StoredAccount

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
