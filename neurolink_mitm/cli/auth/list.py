"""`neurolink auth list` and `auth status`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from neurolink_mitm.cli.auth import context
from neurolink_mitm.cli.ui.exits import FAILED
from neurolink_mitm.cli.ui.groups import format_option

debug_option = click.option(
    "--debug", is_flag=True, help="Say on stderr what was read from where; secrets are left out."
)


@click.command("list")
@context.config_option
@format_option
@debug_option
def list_accounts(form: str, config: Path | None, debug: bool) -> None:
    """List the accounts in the order they are used, with their limits as last heard of.

    Example: neurolink auth list --format json
    """
    found = _rows(config)
    if debug:
        _say_sources(found, config)
    if form == "json":
        from neurolink_mitm.cli.ui.render import as_json

        click.echo(as_json({"accounts": found}), nl=False)
        return
    from neurolink_mitm.cli.auth.render import list_text

    click.echo(list_text(found, time.time()), nl=False)


@click.command()
@context.provider_argument(required=False)
@context.config_option
@format_option
@debug_option
def status(provider: str | None, form: str, config: Path | None, debug: bool) -> None:
    """Say how many accounts can serve and which need a login; exit code 1 where none can.

    Example: neurolink auth status anthropic
    """
    from neurolink_mitm.accounts.report import summary
    from neurolink_mitm.cli.auth.render import status_text
    from neurolink_mitm.cli.ui.render import as_json

    found = _rows(config)
    if debug:
        _say_sources(found, config)
    report = summary(found)
    click.echo(as_json(report) if form == "json" else status_text(report), nl=False)
    if not report["usable"]:
        raise SystemExit(FAILED)


def _say_sources(found: list[dict[str, object]], config: Path | None) -> None:
    """Where each part of the list comes from."""
    home, environ = context.home(), context.environment()
    named = "tokens.json"
    if environ.get("NEUROLINK_TOKEN_STORE") == "keyring":
        named = "the keyring"
    read = (
        ("store", f"{named} in {home.root}", True),
        ("configuration", config or home.config, (config or home.config).exists()),
        ("legacy", home.legacy_credentials, home.legacy_credentials.exists()),
        ("quotas", home.quotas, home.quotas.exists()),
        ("cooldowns", home.cooldowns, home.cooldowns.exists()),
    )
    for name, where, there in read:
        context.say(f"debug: {name}: {where}{'' if there else ' (not there)'}")
    key = "set" if environ.get("ANTHROPIC_API_KEY") else "not set"
    context.say(f"debug: ANTHROPIC_API_KEY is {key}; it counts where there is nothing else")
    for number, row in enumerate(found, 1):
        known = ("source", "type", "refreshable", "expiresAt", "accountUuid", "organizationUuid")
        words = " ".join(f"{name}={row[name]}" for name in known if row[name] is not None)
        context.say(f"debug: {number}. {row['key']} {words}: {row['state']}")


def _rows(config: Path | None) -> list[dict[str, object]]:
    from neurolink_mitm.accounts.operations import account_rows

    credentials = context.store().read()
    for warning in credentials.warnings:
        context.say(f"neurolink: {warning}")
    settings = context.configuration_if_good(config)
    return account_rows(context.home(), credentials, settings, context.environment(), time.time())
