"""`neurolink auth cleanup`: entries that are of no use any more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click

from neurolink_mitm.cli import auth_context as context
from neurolink_mitm.cli.auth_labels import is_same
from neurolink_mitm.cli.exits import FAILED, fail
from neurolink_mitm.cli.options import format_option
from neurolink_mitm.core.stored import StoredAccount


@click.command()
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@format_option
def cleanup(force: bool, form: str) -> None:
    """Remove logins that have ended and can't be refreshed, second entries of one account, and disabled accounts.

    It says which, and asks first.

    Example: neurolink auth cleanup --force
    """
    from neurolink_mitm.cli.render import as_json

    store = context.store()
    found = list(useless(store.read().stored, time.time()))
    for account, reason in found:
        context.say(f"  {account.label}: {reason}")
    count = f"{len(found)} entr{'y' if len(found) == 1 else 'ies'}"
    hint = "pass --force to remove them unasked"
    if found and not force and not context.confirm(f"Remove {count}?", otherwise=hint):
        fail("nothing was removed", FAILED)
    asked = {account.label for account, _ in found}
    removed = [  # looked at again: an answer takes its time, and a login may have come meanwhile
        (account.label, reason)
        for account, reason in list(useless(store.read().stored, time.time()))
        if account.label in asked and store.remove(account.label)
    ]
    if form == "json":
        report = {"removed": [{"label": label, "reason": reason} for label, reason in removed]}
        click.echo(as_json(report), nl=False)
    else:
        labels = ", ".join(label for label, _ in removed)
        click.echo(f"removed: {labels}" if removed else "nothing to remove")


def useless(stored: Sequence[StoredAccount], now: float) -> Iterator[tuple[StoredAccount, str]]:
    """Each entry that may go, and why. Of entries of one account the last to expire stays."""
    from neurolink_mitm.cli.auth_report import needs_login

    for account in stored:
        same = [each for each in stored if is_same(account, each)]
        best = max(same, key=lambda each: _worth(each, now))
        if best is not account:
            yield account, f"the same account as {best.label!r}"
        elif needs_login(account, now):
            yield account, account.disabled or "it has expired and can't be refreshed"
        elif account.disabled:
            yield account, f"disabled: {account.disabled}"


def _worth(account: StoredAccount, now: float) -> tuple[bool, bool, float]:
    from neurolink_mitm.cli.auth_report import needs_login

    return not needs_login(account, now), account.disabled is None, account.expires_at or 0.0
