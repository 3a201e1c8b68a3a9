"""What the commands of `auth` share: the home they work on, its store and configuration, and how they ask.

Results go to stdout; questions, hints and progress go to stderr, so that `--format json` is JSON and nothing else.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError, open_store
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, by_ctrl_c, fail, interruptible
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.config.env_file import EnvFileError, read_environment
from neurolink_mitm.core.auth.credentials import PROVIDER
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.settings.values import Config

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.network import Network

F = TypeVar("F", bound=Callable[..., Any])


class AuthGroup(Group):
    """Its commands end as `in_one_line` says."""

    def invoke(self, ctx: click.Context) -> Any:
        with in_one_line():
            return super().invoke(ctx)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Ctrl-C ends a command quietly; what the store or the disk refuses is one line."""
    try:
        with interruptible():
            yield
    except TokenStoreError as e:
        fail(redact(str(e)), FAILED)
    except OSError as e:
        if e.errno == errno.EPIPE:  # of `… | head`: click ends that quietly
            raise
        fail(redact(f"{e.filename}: {e.strerror}" if e.filename else str(e)), FAILED)


def home() -> Home:
    """The home directory, or exit code 2."""
    try:
        return Home.from_environment(os.environ)
    except ValueError as e:
        fail(str(e), USAGE)


def environment() -> Mapping[str, str]:
    """The process's environment and what the env file adds to it, or exit code 2."""
    try:
        return read_environment(os.environ, home()).values
    except EnvFileError as e:
        fail(str(e), USAGE)


def store() -> TokenStore:
    return open_store(home(), os.environ)


def configuration(path: Path | None) -> Config:
    """The configuration, or exit code 2 with all that is wrong with it."""
    from neurolink_mitm.config.file import load
    from neurolink_mitm.core.settings.errors import ConfigError

    try:
        return load(path or home().config, environment(), required=path is not None).config
    except ConfigError as e:
        fail("\n  ".join(("the configuration can't be used:", *e.faults)), USAGE)


def configuration_if_good(path: Path | None) -> Config:
    """For commands that can do without: a broken one is reported, and counts as empty."""
    from neurolink_mitm.config.file import load
    from neurolink_mitm.core.settings.errors import ConfigError
    from neurolink_mitm.core.settings.values import Config

    try:
        return load(path or home().config, environment(), required=path is not None).config
    except ConfigError as e:
        say("\n  ".join(("neurolink: left out, the configuration can't be used:", *e.faults)))
        return Config()


def network(config: Config, path: Path | None) -> Network:
    """How the login server is reached, or exit code 2."""
    from neurolink_mitm.adapters.network import bundle_of, read_network
    from neurolink_mitm.core.settings.errors import ConfigError

    try:
        return read_network(environment(), bundle_of(config, (path or home().config).parent))
    except ConfigError as e:
        fail("\n  ".join(("the configuration can't be used:", *e.faults)), USAGE)


def say(text: str) -> None:
    """To the person, not into the result."""
    click.echo(text, err=True)


def ask_hidden(question: str) -> str:
    """A line that is not shown while it is typed or pasted; from a pipe, the next line of it."""
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, err=True)).strip()
    line = sys.stdin.readline()
    if not line:
        fail(f"nothing was given for: {question}", USAGE)
    return line.strip()


def confirm(question: str, *, default: bool = False, otherwise: str) -> bool:
    """Ask yes or no. Where nobody is there to answer, exit code 2 with what to do `otherwise`."""
    try:
        return click.confirm(question, default=default, err=True)
    except click.Abort as e:
        if sys.stdin.isatty() or by_ctrl_c(e):
            raise
        fail(f"nobody answers here; {otherwise}", USAGE)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Something moves while this takes its time; nothing where it would end up in a file."""
    if not sys.stderr.isatty() or "NO_COLOR" in os.environ:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def stored_labels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """For completion: whatever goes wrong there, the shell hears nothing of it."""
    try:
        known = open_store(Home.from_environment(os.environ), os.environ).read().stored
    except (OSError, ValueError, TokenStoreError):
        return []
    return [account.label for account in known if account.label.startswith(incomplete)]


def config_option(command: F) -> F:
    text = "Configuration file (default: proxy-config.yaml in NEUROLINK_HOME)."
    return click.option("-c", "--config", type=click.Path(path_type=Path), help=text)(command)


def label_argument(*, required: bool = True) -> Callable[[F], F]:
    """A label, which may be written as the key of the account (`anthropic:work`) or as its e-mail address."""
    return click.argument(
        "label", required=required, shell_complete=stored_labels, callback=_resolved
    )


def _resolved(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
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


def bare_label(text: str) -> str:
    """The label in `anthropic:work`, which is how files and `/status` name the account."""
    return text.removeprefix(PROVIDER)


def provider_argument(*, default: str | None = None, required: bool = True) -> Callable[[F], F]:
    """The one there is: it leaves room for others."""
    kind = click.Choice(["anthropic"])
    needed = required and default is None
    return click.argument("provider", type=kind, required=needed, default=default)
