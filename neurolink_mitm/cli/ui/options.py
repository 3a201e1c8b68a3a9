"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Command], Command]

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
env_file_option = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File of keys (default: NEUROLINK_ENV_FILE, else .env in NEUROLINK_HOME).",
)


def config_option(default: str = "proxy-config.yaml in NEUROLINK_HOME") -> Option[Any]:
    """Add `--config`; `default` says which file is used without it."""
    text = f"Configuration file (default: {default})."
    return click.option("-c", "--config", type=click.Path(path_type=Path), help=text)


def port_option(text: str) -> Option[Any]:
    """Add `--port`, the port of one of several proxies."""
    return click.option("-p", "--port", type=click.IntRange(1, 65535), help=text)


def listen_options(lowest: int, port_help: str, host_help: str) -> Option[Any]:
    """Add `--port` and `--host` to listen on; `lowest` is 0 where the port may be any free one."""
    port = click.option(
        "-p", "--port", type=click.IntRange(lowest, 65535), default=55669, show_default=True,
        help=port_help,
    )  # fmt: skip
    host = click.option("-H", "--host", default="127.0.0.1", show_default=True, help=host_help)
    return lambda command: port(host(command))


def label_argument(*, required: bool = True) -> Option[Any]:
    """Add LABEL, which may be written as the key of the account (`anthropic:work`) or as its e-mail address."""
    return click.argument(
        "label", required=required, shell_complete=_stored_labels, callback=_resolved
    )


def provider_argument(*, default: str | None = None, required: bool = True) -> Option[Any]:
    """Add PROVIDER: there is one, and the argument leaves room for others."""
    needed = required and default is None
    return click.argument(
        "provider", type=click.Choice(["anthropic"]), required=needed, default=default
    )


def bare_label(text: str) -> str:
    """Return the label in `anthropic:work`, which is how files and `/status` name the account."""
    return text.removeprefix("anthropic:")


def _stored_labels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the labels that complete `incomplete`; none where the store can't be read."""
    from neurolink_mitm.adapters.token_store import TokenStoreError
    from neurolink_mitm.cli.ui.home import store

    try:
        accounts = store().read().stored
    except (OSError, ValueError, TokenStoreError, SystemExit):
        return []
    return [account.label for account in accounts if account.label.startswith(incomplete)]


def _resolved(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from neurolink_mitm.cli.ui.home import store

    if value is None or ctx.resilient_parsing:
        return value
    label = bare_label(value)
    accounts = store().read().stored
    if any(account.label == label for account in accounts):
        return label
    owned = [account.label for account in accounts if account.email == label]
    if len(owned) > 1:
        raise click.BadParameter(f"{label} owns several: {', '.join(owned)}")
    return owned[0] if owned else label
