"""The folder a command works on: its configuration, its environment, its stored accounts.

What can't be used ends the command with exit code 2 and all that is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.ui.exits import USAGE, fail, fail_by_configuration
from neurolink_mitm.cli.ui.terminal import say

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.audit import Audit
    from neurolink_mitm.adapters.network import Network
    from neurolink_mitm.adapters.token_store import TokenStore
    from neurolink_mitm.config.sources import Inputs
    from neurolink_mitm.core.pool.accounts import Account
    from neurolink_mitm.core.settings.values import Config


def home() -> Home:
    """Return the folder that `NEUROLINK_HOME` names, or `~/.neurolink`."""
    try:
        return Home.from_environment(os.environ)
    except ValueError as e:
        fail(str(e), USAGE)


def audit() -> Audit:
    """Return the audit log of the home, for what commands do."""
    from neurolink_mitm.adapters.audit import Audit
    from neurolink_mitm.core.logs.audit import Actor

    return Audit(home().logs, Actor.COMMAND_LINE)


def environment(env_file: Path | None = None) -> Mapping[str, str]:
    """Return the process's environment and what the env file adds to it."""
    from neurolink_mitm.config.env_file import EnvFileError, read_environment

    try:
        return read_environment(os.environ, home(), env_file).values
    except EnvFileError as e:
        fail(str(e), USAGE)


def store() -> TokenStore:
    from neurolink_mitm.adapters.token_store import open_store

    return open_store(home(), os.environ)


def configuration(path: Path | None, env_file: Path | None = None) -> Config:
    """Return the configuration in `path`, or in the home where no path is given."""
    with _faults_end_it():
        return _load(path, env_file)


def configuration_or_default(path: Path | None) -> Config:
    """Return the configuration, for commands that can do without: a broken one is reported and counts as empty."""
    from neurolink_mitm.core.settings.errors import ConfigError
    from neurolink_mitm.core.settings.values import Config

    try:
        return _load(path)
    except ConfigError as e:
        say("\n  ".join(("neurolink: left out, the configuration can't be used:", *e.faults)))
        return Config()


def own_configuration(path: Path | None) -> Config | None:
    """Return what the configuration file itself says; None if it can't be used, as `configuration` will say."""
    from neurolink_mitm.config.file import load
    from neurolink_mitm.core.settings.errors import ConfigError

    try:
        return load(path or home().config, environment(), required=path is not None).config
    except ConfigError:
        return None


def network(config: Config, path: Path | None) -> Network:
    """Return how the login server is reached."""
    from neurolink_mitm.adapters.network import bundle_of, read_network

    with _faults_end_it():
        return read_network(environment(), bundle_of(config, (path or home().config).parent))


def accounts(config: Config) -> tuple[Account, ...]:
    """Return the pool that the configuration and the stored accounts make; `ANTHROPIC_API_KEY` is left out."""
    from neurolink_mitm.core.pool.accounts import build_pool

    credentials = store().read()
    return build_pool(config, credentials.stored, credentials.legacy, None)


def inputs(path: Path | None = None, env_file: Path | None = None) -> Inputs:
    """Return all that a proxy would be started with."""
    from neurolink_mitm.config.check import check

    read, faults = check(os.environ, home(), path, env_file)
    return read or fail_by_configuration(faults)


def _load(path: Path | None, env_file: Path | None = None) -> Config:
    from neurolink_mitm.adapters.mark_file import MarkFileError, with_marks
    from neurolink_mitm.config.file import load

    config = load(path or home().config, environment(env_file), required=path is not None).config
    try:
        return with_marks(config, home().cluster_marks)
    except MarkFileError as e:
        say(f"neurolink: {e}")
        return config


@contextmanager
def _faults_end_it() -> Iterator[None]:
    from neurolink_mitm.core.settings.errors import ConfigError

    try:
        yield
    except ConfigError as e:
        fail_by_configuration(e.faults)
