"""Commands on a home that is one of a cluster: they take over what others have, and hand over what they change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.ui import home
from neurolink_mitm.cli.ui.exits import USAGE, fail
from neurolink_mitm.cli.ui.terminal import say

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.refresh import Store
    from neurolink_mitm.cluster.home.command_sync import CommandSync
    from neurolink_mitm.core.settings.values import Config

LARGEST = 1_000_000
"""Bytes of a configuration at most."""
MEANWHILE = (
    "; this is what this machine knows, and the other replicas hear of changes when Redis is back"
)

_sync: CommandSync | None = None


def in_step(command: click.Command) -> click.Command:
    """Have a command work on what all replicas have."""
    callback = command.callback
    assert callback is not None

    @wraps(callback)
    def run(**options: Any) -> Any:
        with _opened(options.get("config")):
            return callback(**options)

    command.callback = run
    return command


def store() -> Store:
    """Return the store for refreshes: the other replicas are asked first, where there are any."""
    return _sync.store if _sync else home.store()


@contextmanager
def _opened(path: Path | None) -> Iterator[None]:
    global _sync
    config = home.own_configuration(path) if _names_cluster(path) else None
    if config is None or config.cluster is None:
        yield
        return
    from neurolink_mitm.adapters.cluster_key import ClusterKeyError

    # what the link logs is said below
    logging.getLogger("neurolink.cluster").addHandler(logging.NullHandler())
    try:
        with _connected(config, path) as sync:
            _take(sync)
            _sync = sync
            try:
                yield
            finally:
                _sync = None
                _take(sync, again=True)
    except ClusterKeyError as e:
        fail(f"cluster.key-file: {e}", USAGE)


def _names_cluster(path: Path | None) -> bool:
    """Whether the configuration may have the section: most have none, and to read them takes a tenth of a second."""
    try:
        with (path or home.home().config).open("rb") as file:
            return b"cluster" in file.read(LARGEST)
    except OSError:
        return False


def _connected(config: Config, path: Path | None) -> Any:
    from neurolink_mitm.adapters.mark_file import Marks, configured_marks
    from neurolink_mitm.cluster.home.command_sync import open_sync

    def marks() -> Marks | None:
        now = home.own_configuration(path)
        return configured_marks(now.routing) if now else None

    assert config.cluster
    place = (path or home.home().config).absolute()
    context: Callable[[], Any] = lambda: home.network(config, path).context  # noqa: E731
    return open_sync(config.cluster, place, home.home(), home.store, marks, context)


def _take(sync: CommandSync, *, again: bool = False) -> None:
    """Get in sync; what could not be is said, but not `again`."""
    problems, away = sync.run()
    for problem in () if again else problems:
        say(f"neurolink: {problem}{MEANWHILE if away else ''}")
