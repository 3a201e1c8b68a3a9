"""`neurolink config`: check, edit, path, schema, show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurolink_mitm.cli.auth.context import AuthGroup, home, say
from neurolink_mitm.cli.ui.exits import USAGE, fail
from neurolink_mitm.cli.ui.groups import format_option

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.config.sources import Inputs

SCHEMA = "proxy-config.schema.json"

file_argument = click.argument("file", required=False, type=click.Path(path_type=Path))
env_file_option = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File of keys (default: NEUROLINK_ENV_FILE, else .env in NEUROLINK_HOME).",
)


@click.group(name="config", cls=AuthGroup)
def command() -> None:
    """Look at the configuration, check and edit it."""


@command.command()
@file_argument
@env_file_option
@format_option
def check(file: Path | None, env_file: Path | None, form: str) -> None:
    """Say all that is wrong with the configuration (exit code 2), or the pool that comes of it.

    Example: neurolink config check
    """
    from neurolink_mitm.cli.config import report as config_report
    from neurolink_mitm.cli.ui.render import as_json

    path = file or home().config
    inputs, faults = read_inputs(file, env_file)
    if form == "json":
        click.echo(as_json(config_report.check_report(path, inputs, faults)), nl=False)
    elif inputs is not None:
        click.echo(config_report.check_text(path, inputs), nl=False)
    else:
        say("\n  ".join((f"neurolink: {path} can't be used:", *faults)))
    if faults:
        raise SystemExit(USAGE)


@command.command()
@file_argument
@env_file_option
@format_option
def show(file: Path | None, env_file: Path | None, form: str) -> None:
    """Show the configuration that is in force, with defaults, and where each value comes from.

    Example: neurolink config show --format json
    """
    from neurolink_mitm.cli.config import report as config_report
    from neurolink_mitm.cli.ui.render import as_json
    from neurolink_mitm.config.file import read_document

    inputs, faults = read_inputs(file, env_file)
    if inputs is None:
        fail("\n  ".join(("the configuration can't be used:", *faults)), USAGE)
    path = Path(inputs.config_path) if inputs.config_path else None
    document = read_document(path) if path else None
    if form == "json":
        click.echo(as_json(config_report.show_report(path, inputs.config, document)), nl=False)
    else:
        click.echo(config_report.show_text(path, inputs.config, document), nl=False)


@command.command()
@file_argument
@env_file_option
def edit(file: Path | None, env_file: Path | None) -> None:
    """Change the configuration in $EDITOR; nothing is written that can't be used.

    Example: neurolink config edit
    """
    from neurolink_mitm.cli.config.edit import edit_file

    edit_file(file or home().config, environment(env_file))


@command.command()
@click.option("--schema", is_flag=True, help="The JSON Schema that was installed, for editors.")
def path(schema: bool) -> None:
    """Say where the configuration is, or would be.

    Example: neurolink config path
    """
    click.echo(files("neurolink_mitm.config") / SCHEMA if schema else home().config)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the configuration.

    Example: neurolink config schema
    """
    text = (files("neurolink_mitm.config") / SCHEMA).read_text("utf-8")
    click.echo(text, nl=False)


def environment(env_file: Path | None) -> Mapping[str, str]:
    """The process's environment and what the env file adds to it, or exit code 2."""
    from neurolink_mitm.config.env_file import EnvFileError, read_environment

    try:
        return read_environment(os.environ, home(), env_file).values
    except EnvFileError as e:
        fail(str(e), USAGE)


def read_inputs(file: Path | None, env_file: Path | None) -> tuple[Inputs | None, tuple[str, ...]]:
    """What the files say, or all that is wrong with them."""
    from neurolink_mitm.adapters.client_file import ClientFileError
    from neurolink_mitm.adapters.token_store import TokenStoreError, open_store
    from neurolink_mitm.config.env_file import EnvFileError
    from neurolink_mitm.config.sources import SourceOptions, Sources
    from neurolink_mitm.core.settings.errors import ConfigError

    place = home()
    try:
        store = open_store(place, os.environ)
        return Sources(SourceOptions(os.environ, env_file, file), place, store).read(), ()
    except ConfigError as e:
        return None, e.faults
    except (ClientFileError, EnvFileError, TokenStoreError) as e:
        return None, (str(e),)
