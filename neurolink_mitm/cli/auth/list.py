"""`neurolink auth list` and `auth status`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.cli.ui import home
from neurolink_mitm.cli.ui.exits import FAILED
from neurolink_mitm.cli.ui.options import config_option, format_option, provider_argument
from neurolink_mitm.cli.ui.terminal import print_report, say

debug_option = click.option(
    "--debug", is_flag=True, help="Say on stderr what was read from where; secrets are left out."
)


@click.command("list")
@config_option()
@format_option
@debug_option
def list_accounts(form: str, config: Path | None, debug: bool) -> None:
    """List the accounts in the order they are used, with their limits as last heard of.

    Example: neurolink auth list --format json
    """
    rows = _rows(config, debug=debug)

    def text() -> str:
        from neurolink_mitm.cli.auth.render import list_text

        return list_text(rows, time.time())

    print_report(form, {"accounts": rows}, text)


@click.command()
@provider_argument(required=False)
@config_option()
@format_option
@debug_option
def status(provider: str | None, form: str, config: Path | None, debug: bool) -> None:
    """Say how many accounts can serve and which need a login; exit code 1 where none can.

    Example: neurolink auth status anthropic
    """
    from neurolink_mitm.accounts.report import summary
    from neurolink_mitm.cli.auth.render import status_text

    report = summary(_rows(config, debug=debug))
    print_report(form, report, lambda: status_text(report))
    if not report["usable"]:
        raise SystemExit(FAILED)


def _rows(config: Path | None, *, debug: bool) -> list[dict[str, Any]]:
    from neurolink_mitm.accounts.operations import account_rows

    credentials = home.store().read()
    for warning in credentials.warnings:
        say(f"neurolink: {warning}")
    settings = home.configuration_or_default(config)
    rows = account_rows(home.home(), credentials, settings, home.environment(), time.time())
    if debug:
        _say_sources(rows, config)
    return rows


def _say_sources(rows: list[dict[str, Any]], config: Path | None) -> None:
    """Say where each part of the list comes from."""
    place, environ = home.home(), home.environment()
    keyring = environ.get("NEUROLINK_TOKEN_STORE") == "keyring"
    say(f"debug: store: {'the keyring' if keyring else 'tokens.json'} in {place.root}")
    for name, path in (
        ("configuration", config or place.config),
        ("legacy", place.legacy_credentials),
        ("quotas", place.quotas),
        ("cooldowns", place.cooldowns),
    ):
        say(f"debug: {name}: {path}{'' if path.exists() else ' (not there)'}")
    key = "set" if environ.get("ANTHROPIC_API_KEY") else "not set"
    say(f"debug: ANTHROPIC_API_KEY is {key}; it counts where there is nothing else")
    names = ("source", "type", "refreshable", "expiresAt", "accountUuid", "organizationUuid")
    for number, row in enumerate(rows, 1):
        words = " ".join(f"{name}={row[name]}" for name in names if row[name] is not None)
        say(f"debug: {number}. {row['key']} {words}: {row['state']}")
