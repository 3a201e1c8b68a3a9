"""`neurolink auth pause`, `resume` and `order`: which accounts serve for now, and which goes before which."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.cli.ui import home
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import bare_label, config_option, format_option, label_argument
from neurolink_mitm.cli.ui.terminal import print_report, say
from neurolink_mitm.core.auth.credentials import PROVIDER

Row = dict[str, Any]


@click.command()
@label_argument()
@click.option("--for", "duration", help="How long: 30m, 2h, 1h30m or 7d.")
@click.option(
    "--until", "moment", help="Until when: 18:00 (tomorrow, if that has passed), or a date."
)
@click.option("--reason", default="", help="What the views say of it.")
@config_option()
def pause(
    label: str, duration: str | None, moment: str | None, reason: str, config: Path | None
) -> None:
    """Give the account LABEL no requests for a while, or until it is resumed.

    A running proxy follows at once, also after a restart; answers in flight are not cut.

    Example: neurolink auth pause work --until 18:00 --reason "meeting"
    """
    from neurolink_mitm.accounts import pauses
    from neurolink_mitm.core.logs.reset_times import reset_time

    now = time.time()
    until = _end(duration, moment, now)
    _check_labels([label], _rows(config))
    pauses.pause(home.home(), home.audit(), PROVIDER + label, until, now, reason)
    end = "" if until is None else f" until {reset_time(until, now)}"
    click.echo(f"paused {label!r}{end}; neurolink auth resume takes that back")
    if not any(row["state"] in ("ready", "expired", "cooling") for row in _rows(config)):
        say("note: no other account can serve now")


@click.command()
@label_argument()
@config_option()
def resume(label: str, config: Path | None) -> None:
    """Let the account LABEL take requests again.

    Example: neurolink auth resume work
    """
    from neurolink_mitm.accounts import pauses

    if pauses.resume(home.home(), home.audit(), PROVIDER + label, time.time()):
        click.echo(f"resumed {label!r}")
        return
    _check_labels([label], _rows(config))
    click.echo(f"{label!r} was not paused")


@click.command()
@click.argument("labels", nargs=-1, metavar="LABEL...")
@click.option(
    "--clear", is_flag=True, help="Take the order away: accounts come as they are listed."
)
@config_option()
@format_option
def order(labels: Sequence[str], clear: bool, config: Path | None, form: str) -> None:
    """Say which account is used before which, by routing.account-order; without LABEL, show the order.

    It counts among accounts of one priority and of one kind: the primary account goes first, then higher priorities,
    and subscriptions before API keys. Accounts that are not named follow.

    Example: neurolink auth order work home
    """
    labels = [bare_label(each) for each in labels]
    if clear and labels:
        fail("--clear takes no LABEL", USAGE)
    from neurolink_mitm.accounts.order import order_notes

    configured = home.configuration(config).routing.account_order
    if twice := next((each for each in labels if labels.count(each) > 1), None):
        fail(f"{twice!r} is named twice", USAGE)
    if labels or clear:
        _check_labels(labels, _rows(config))
        _write(config, labels)
        configured = tuple(labels)
    rows = _rows(config)
    used = [row["label"] for row in rows if row["state"] != "duplicate"]
    for note in order_notes(labels, rows):
        say(f"note: {note}")
    text = f"order of use: {', '.join(used)}\n" if used else "no accounts yet\n"
    print_report(form, {"order": used, "configured": list(configured)}, lambda: text)


def _end(duration: str | None, moment: str | None, now: float) -> float | None:
    from neurolink_mitm.core.logs.end_times import end_after, end_at

    if duration is not None and moment is not None:
        fail("give --for or --until, not both", USAGE)
    try:
        if duration is not None:
            return end_after(duration, now)
        return None if moment is None else end_at(moment, now)
    except ValueError as e:
        fail(f"{'--until' if duration is None else '--for'}: {e}", USAGE)


def _rows(config: Path | None) -> list[Row]:
    """Return the accounts in the order they are used; an account can be paused whatever the configuration is like."""
    from neurolink_mitm.accounts.operations import account_rows

    settings, credentials = home.configuration_or_default(config), home.store().read()
    return account_rows(home.home(), credentials, settings, home.environment(), time.time())


def _check_labels(labels: Sequence[str], rows: Sequence[Row]) -> None:
    from neurolink_mitm.accounts.order import UnknownAccountError, check_labels

    try:
        check_labels(labels, rows)
    except UnknownAccountError as e:
        fail(str(e), FAILED)


def _write(config: Path | None, labels: Sequence[str]) -> None:
    from neurolink_mitm.adapters.mark_file import set_again
    from neurolink_mitm.config.edit import NotEditableError, set_order

    if config is None:
        home.home().create()
    try:
        set_order(config or home.home().config, labels, home.audit())
        set_again(home.home().cluster_marks, "order", list(labels))
    except NotEditableError as e:
        fail(f"{config or home.home().config}: {e}", FAILED)
