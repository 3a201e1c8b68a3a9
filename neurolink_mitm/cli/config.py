"""`neurolink config`: check, edit, path, schema, show, undo."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.home import audit, environment, home
from neurolink_mitm.cli.ui.home import inputs as read_inputs
from neurolink_mitm.cli.ui.options import env_file_option, format_option
from neurolink_mitm.cli.ui.terminal import as_json, counted, print_report, say

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.config.sources import Inputs
    from neurolink_mitm.core.pool.accounts import Account
    from neurolink_mitm.core.settings.values import Config

SCHEMA = files("neurolink_mitm.config") / "proxy-config.schema.json"
SOURCES = {
    "store": "stored login",
    "config": "configuration",
    "legacy": "anthropic-credentials.json",
    "environment": "ANTHROPIC_API_KEY",
}
"""What a person calls the source of an account."""

file_argument = click.argument("file", required=False, type=click.Path(path_type=Path))


@click.group(name="config", cls=Group)
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
    from neurolink_mitm.config import check as files
    from neurolink_mitm.notices.desktop import NONE, has_desktop

    path = file or home().config
    inputs, faults = files.check(os.environ, home(), file, env_file)
    if inputs and inputs.config.notify.desktop and not has_desktop(inputs.environ):
        inputs = replace(inputs, warnings=(*inputs.warnings, f"notify.desktop: {NONE}"))
    if form == "json":
        click.echo(as_json(files.check_report(path, inputs, faults)), nl=False)
    elif inputs is not None:
        click.echo(_check_text(path, inputs))
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
    from neurolink_mitm.config.file import read_document
    from neurolink_mitm.config.show import show_report

    inputs = read_inputs(file, env_file)
    path, config = inputs.config_path, inputs.config
    document = read_document(Path(path)) if path else None
    report = show_report(path, config, document)
    print_report(form, report, lambda: _show_text(path, config, document))


@command.command()
@file_argument
@env_file_option
def edit(file: Path | None, env_file: Path | None) -> None:
    """Change the configuration in $EDITOR; nothing is written that can't be used.

    Example: neurolink config edit
    """
    from neurolink_mitm.adapters.files import ChangedError
    from neurolink_mitm.config.edit import copy_for_editing, swap_in
    from neurolink_mitm.config.history import History

    path, environ = file or home().config, environment(env_file)
    before = path.read_bytes() if path.exists() else None
    copy, left_over = copy_for_editing(path)
    if left_over:
        say(f"neurolink: going on with {copy}, from an edit before; remove it to begin anew")
    _edit(copy)
    while copy.read_bytes() != before:
        if not (faults := _faults(copy, environ) or _new_faults(file, env_file, copy, before)):
            try:
                swap_in(path, before, copy, audit(), environ, History(home().config_history, path))
            except ChangedError:
                fail(f"{path} was changed meanwhile and is left so; your text is in {copy}", FAILED)
            click.echo(f"{path} is written; a running proxy takes it over by itself")
            return
        say("\n  ".join(("neurolink: this can't be used:", *faults)))
        if not sys.stdin.isatty() or not click.confirm("Edit it again?", default=True, err=True):
            fail(f"{path} is as it was; your text is kept in {copy}", USAGE)
        _edit(copy)
    copy.unlink()
    click.echo("nothing was changed")


@command.command()
@file_argument
@env_file_option
@click.option("--force", is_flag=True, help="Also where the file was changed since that edit.")
def undo(file: Path | None, env_file: Path | None, force: bool) -> None:
    """Put the configuration before the last edit back: one of `config edit`, or of the dashboard.

    Example: neurolink config undo
    """
    from neurolink_mitm.adapters.files import ChangedError
    from neurolink_mitm.config.history import History
    from neurolink_mitm.config.proposal import NothingToUndoError
    from neurolink_mitm.config.proposal import undo as undo_edit
    from neurolink_mitm.core.settings.errors import ConfigError

    path, environ = (file or home().config).absolute(), environment(env_file)
    history = History(home().config_history, path)
    try:
        undo_edit(path, history, audit(), environ, force=force)
    except NothingToUndoError:
        fail(f"no earlier version of {path} is kept", FAILED)
    except ChangedError:
        fail(f"{path} was changed since the last edit: --force undoes that, too", FAILED)
    except ConfigError as e:
        fail("\n  ".join(("the version before can't be used:", *e.faults)), USAGE)
    click.echo(f"{path} is as it was before the last edit; a running proxy takes it over by itself")


@command.command()
@click.option("--schema", is_flag=True, help="The JSON Schema that was installed, for editors.")
def path(schema: bool) -> None:
    """Say where the configuration is, or would be.

    Example: neurolink config path
    """
    click.echo(SCHEMA if schema else home().config)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the configuration.

    Example: neurolink config schema
    """
    click.echo(SCHEMA.read_text("utf-8"), nl=False)


def _check_text(path: Path, inputs: Inputs) -> str:
    from neurolink_mitm.config.check import who_serves_other_tools

    verdict = "is good" if path.exists() else "is not there: the defaults are in force"
    warnings = [f"warning: {line}" for line in inputs.warnings]
    pool = f"{counted(len(inputs.accounts), 'account')}, {inputs.strategy}"
    accounts = [f"  {n}. {_described(a)}" for n, a in enumerate(inputs.accounts, 1)]
    cluster = inputs.config.cluster
    replica = [f"a replica of the cluster {cluster.namespace}"] if cluster else []
    tools = who_serves_other_tools(inputs)
    return "\n".join(
        (f"{path} {verdict}", *warnings, *replica, pool + ":" * bool(accounts), *accounts, tools)
    )


def _described(account: Account) -> str:
    notes = ["subscription" if account.type == "oauth" else "API key", SOURCES[account.source]]
    notes += [f"priority {account.priority}"] if account.priority else []
    notes += ["not enabled"] if not account.enabled else []
    notes += [f"disabled: {account.disabled}"] if account.disabled else []
    return f"{account.label} ({', '.join(notes)})"


def _show_text(path: str | None, config: Config, document: object) -> str:
    """Return a line a value where it is piped; on a terminal, long values go on below."""
    from rich.text import Text

    from neurolink_mitm.cli.ui.tables import Column, FittedTable, printed
    from neurolink_mitm.config.show import DEFAULT, effective

    rows = list(effective(config, document))
    origins = ("" if row.origin == DEFAULT else f"   # {row.origin}" for row in rows)
    values = [Text(r.value).append(o, style="dim") for r, o in zip(rows, origins, strict=True)]
    columns = (Column("", [Text(row.path) for row in rows]), Column("", values, min_width=24))
    head = f"# {path or 'no configuration file: all of it is default'}"
    return f"{head}\n{printed(FittedTable(columns, titles=False))}"


def _edit(copy: Path) -> None:
    try:
        click.edit(filename=str(copy))
    except click.ClickException as e:
        fail(f"{e.format_message()}; your text is in {copy}", FAILED)


def _new_faults(
    file: Path | None, env_file: Path | None, copy: Path, before: bytes | None
) -> tuple[str, ...]:
    """Return what a start would refuse of the copy, and not of the file before: a key file that is missing, say."""
    from neurolink_mitm.config.check import checked
    from neurolink_mitm.config.sources import SourceOptions

    options = SourceOptions(os.environ, env_file, file, content=copy.read_bytes())
    _, faults = checked(options, home())
    if not faults or before is None:
        return faults
    _, had = checked(replace(options, content=before), home())
    return tuple(each for each in faults if each not in had)


def _faults(copy: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    from neurolink_mitm.config.file import load
    from neurolink_mitm.core.settings.errors import ConfigError

    try:
        warnings = load(copy, environ).warnings
    except ConfigError as e:
        return e.faults
    for warning in warnings:
        say(f"neurolink: warning: {warning}")
    return ()
