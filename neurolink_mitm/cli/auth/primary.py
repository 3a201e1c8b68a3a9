"""`neurolink auth set-primary`, `get-primary`, `clear-primary`: which account goes first."""

from __future__ import annotations

from pathlib import Path

import click

from neurolink_mitm.cli.auth import context
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.groups import format_option


@click.command("set-primary")
@context.label_argument()
@context.config_option
def set_primary_account(label: str, config: Path | None) -> None:
    """Let the account LABEL go first, by routing.primary-account of the configuration.

    Example: neurolink auth set-primary work
    """
    settings = context.configuration(config)
    known = [account.label for account in context.store().read().stored]
    known += [account.name for account in settings.accounts if account.name not in known]
    if label not in known:
        have = (
            f"there are: {', '.join(known)}"
            if known
            else "there is none yet: neurolink auth login anthropic"
        )
        fail(f"no account {label!r}; {have}", FAILED)
    _write(config, label)
    click.echo(f"primary account: {label}")


@click.command("get-primary")
@context.config_option
@format_option
def get_primary(config: Path | None, form: str) -> None:
    """Say which account goes first.

    Example: neurolink auth get-primary
    """
    from neurolink_mitm.cli.ui.render import as_json

    primary = context.configuration(config).routing.primary_account
    if form == "json":
        click.echo(as_json({"primary": primary}), nl=False)
    else:
        click.echo(primary or "no primary account: set one with neurolink auth set-primary LABEL")


@click.command("clear-primary")
@context.config_option
def clear_primary(config: Path | None) -> None:
    """Let no account go first by name.

    Example: neurolink auth clear-primary
    """
    if context.configuration(config).routing.primary_account is None:
        click.echo("no primary account was set")
        return
    _write(config, None)
    click.echo("no account goes first by name now")


def _write(config: Path | None, label: str | None) -> None:
    from neurolink_mitm.accounts.operations import set_primary
    from neurolink_mitm.accounts.primary_edit import NotEditable

    try:
        set_primary(context.home(), config, label)
    except NotEditable as e:
        fail(f"{config or context.home().config}: {e}", FAILED)
