"""`neurolink auth set-primary`, `get-primary`, `clear-primary`: which account goes first."""

from __future__ import annotations

from pathlib import Path

import click

from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.home import audit, configuration, home, store
from neurolink_mitm.cli.ui.options import config_option, format_option, label_argument
from neurolink_mitm.cli.ui.terminal import print_report


@click.command("set-primary")
@label_argument()
@config_option()
def set_primary_account(label: str, config: Path | None) -> None:
    """Let the account LABEL go first, by routing.primary-account of the configuration.

    Example: neurolink auth set-primary work
    """
    from neurolink_mitm.accounts.order import UnknownAccountError, check_primary

    try:
        check_primary(label, store().read().stored, configuration(config))
    except UnknownAccountError as e:
        fail(str(e), FAILED)
    _write(config, label)
    click.echo(f"primary account: {label}")


@click.command("get-primary")
@config_option()
@format_option
def get_primary(config: Path | None, form: str) -> None:
    """Say which account goes first.

    Example: neurolink auth get-primary
    """
    primary = configuration(config).routing.primary_account
    none = "no primary account: set one with neurolink auth set-primary LABEL"
    print_report(form, {"primary": primary}, lambda: f"{primary or none}\n")


@click.command("clear-primary")
@config_option()
def clear_primary(config: Path | None) -> None:
    """Let no account go first by name.

    Example: neurolink auth clear-primary
    """
    if configuration(config).routing.primary_account is None:
        click.echo("no primary account was set")
        return
    _write(config, None)
    click.echo("no account goes first by name now")


def _write(config: Path | None, label: str | None) -> None:
    from neurolink_mitm.adapters.mark_file import set_again
    from neurolink_mitm.config.edit import NotEditableError, set_primary

    if config is None:
        home().create()
    try:
        set_primary(config or home().config, label, audit())
        set_again(home().cluster_marks, "primary", label)
    except NotEditableError as e:
        fail(f"{config or home().config}: {e}", FAILED)
