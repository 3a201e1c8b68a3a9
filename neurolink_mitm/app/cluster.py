"""Switches a replica on and off, as the configuration has it; without `cluster.url` nothing of Redis is imported."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

from neurolink_mitm.adapters.cluster_key import key_path, read_cluster_key
from neurolink_mitm.adapters.mark_file import MarkFileError, note_marks
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.config.apply import follow
from neurolink_mitm.config.sources import Sources
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

if TYPE_CHECKING:
    from neurolink_mitm.cluster.feed import Feed
    from neurolink_mitm.cluster.home.seal import Sealer
    from neurolink_mitm.cluster.home.sharing import Sharing
    from neurolink_mitm.cluster.home.sync import Sync
    from neurolink_mitm.cluster.redis.blocking_link import BlockingLink
    from neurolink_mitm.cluster.replica import Replica

NAME = "NEUROLINK_REPLICA"
"""The variable that names this replica; without it, it is called by host name and port."""
logger = logging.getLogger("neurolink.cluster")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a replica is made from."""

    settings: Cluster
    network: Network | None
    """Whom to trust, for Redis over TLS."""


class ClusterSwitch:
    """The component that runs the replica of the configuration, if it has one."""

    def __init__(self, runtime: Runtime, sources: Sources) -> None:
        self._runtime = runtime
        self._sources = sources
        self._wanted: Wanted | None = None
        self._running: Wanted | None = None
        self._replica: Replica | None = None
        self._started = False
        self._busy = asyncio.Lock()
        self._switching: set[asyncio.Task[None]] = set()

    def configure(self, config: Config) -> None:
        """Take over the configuration; a running replica is ended, and begun anew by other settings."""
        settings = config.cluster
        tls = settings is not None and settings.url.reveal().startswith("rediss:")
        network = self._sources.network if tls else None
        self._wanted = Wanted(settings, network) if settings else None
        if self._started and self._wanted != self._running:
            self._spawn(self._switch())
        elif self._started and settings is None:
            self._spawn(run_in_thread(partial(_note_marks, self._sources)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._switching.add(task)
        task.add_done_callback(self._switching.discard)

    async def start(self) -> None:
        self._started = True
        await self._switch()
        if self._replica:
            await self._replica.wait_for_reading()

    async def stop(self) -> None:
        self._started, self._wanted = False, None
        await self._switch()

    async def _switch(self) -> None:
        """End the replica that runs and begin the one that is wanted; requests go on meanwhile."""
        async with self._busy:
            if self._wanted == self._running:
                return
            ended, self._replica, self._running = self._replica, None, self._wanted
            if ended:
                await ended.stop()
                self._runtime.cluster = None
            if ended and self._started and not self._running:
                logger.info("this proxy has left the cluster, and goes on by itself")
            if self._running:
                try:
                    self._replica = await self._make(self._running)
                except Exception:
                    logger.exception("this proxy is by itself: its part in the cluster can't begin")
                    return
                self._replica.begin()

    async def _make(self, wanted: Wanted) -> Replica:
        sealer = await run_in_thread(partial(_prepare, wanted, self._sources))
        from neurolink_mitm.cluster.pool.sessions import Sessions
        from neurolink_mitm.cluster.pool.tallies import CountedByAll
        from neurolink_mitm.cluster.redis.blocking_link import BlockingLink
        from neurolink_mitm.cluster.redis.link import Link
        from neurolink_mitm.cluster.replica import Replica
        from neurolink_mitm.cluster.view import Described, View
        from neurolink_mitm.core.cluster.members import clean

        runtime, settings, network = self._runtime, wanted.settings, wanted.network
        context = (lambda: network.context) if network else None
        link = Link(settings.url, settings.namespace, context)
        name = clean(runtime.environ.get(NAME, ""))
        described = Described(runtime, name, socket.gethostname(), settings.namespace)
        replica = Replica(link, secrets.token_hex(8), described.describe)
        blocking = BlockingLink(link, asyncio.get_running_loop())
        sync = await run_in_thread(partial(_sync, settings, self._sources, blocking, replica.id))
        counted = CountedByAll(replica, runtime.pool)
        sessions = Sessions(replica, runtime.pool, sealer.digest(Secret("sessions")).encode())
        feeds = [
            *feeds_of(replica, runtime, sealer),
            _sharing(runtime, sync, blocking, self._sources),
        ]
        replica.share([*feeds, sessions, counted])
        runtime.cluster = View(described, replica, counted)
        return replica


def _note_marks(sources: Sources) -> None:
    """Have what the configuration file says anew count from now on, in a home that has left a cluster."""
    path = sources.home.cluster_marks
    try:
        if path.exists():
            note_marks(path, sources.configured_marks())
    except (MarkFileError, OSError) as e:
        logger.warning("%s", e)


def _prepare(wanted: Wanted, sources: Sources) -> Sealer:
    """Do what takes long, beside requests: import redis-py and cryptography, read scripts, make the context of TLS.

    Return what seals and signs for the other replicas, and digests names: who reads Redis can't guess which sessions
    there are.
    """
    package = import_module("neurolink_mitm.cluster")
    for module in walk_packages(package.__path__, "neurolink_mitm.cluster."):
        import_module(module.name)
    if wanted.network:
        _ = wanted.network.context
    from neurolink_mitm.cluster.home.seal import Sealer
    from neurolink_mitm.cluster.redis.link import load_scripts

    load_scripts()
    settings = wanted.settings
    key = read_cluster_key(key_path(settings, sources.config_file, sources.home))
    return Sealer(key, settings.namespace)


def feeds_of(replica: Replica, runtime: Runtime, sealer: Sealer) -> list[Feed]:
    """Return the feeds of a replica, in the order in which they are pushed and read: a line each.

    Modules of `cluster` are imported here, where a cluster is wanted.
    """
    from neurolink_mitm.cluster.limits.feeds import limit_feeds
    from neurolink_mitm.cluster.pool.feeds import pool_feeds

    return [*pool_feeds(replica, runtime), *limit_feeds(replica, runtime, sealer)]


def _sync(settings: Cluster, sources: Sources, link: BlockingLink, replica: str) -> Sync:
    """Return what brings the home in step. Blocks: it reads files."""
    from neurolink_mitm.cluster.home.command_sync import sync_of

    # a store of its own: a running proxy takes over what it writes, as it does with any change
    return sync_of(
        settings, sources.config_file, sources.home, sources.open_store(),
        sources.configured_marks, link, replica,
    )  # fmt: skip


def _sharing(runtime: Runtime, sync: Sync, link: BlockingLink, sources: Sources) -> Sharing:
    """Return the feed of what the home's files hold; refreshes ask the other replicas from now on."""
    from neurolink_mitm.adapters.refresh import Refresher
    from neurolink_mitm.cluster.home.shared_store import SharedStore
    from neurolink_mitm.cluster.home.sharing import Sharing

    shared = SharedStore(sources.store, sync, link)
    if isinstance(runtime.refresher, Refresher):
        runtime.refresher.share(shared)
    return Sharing(sync, sources.paths, shared.close)


def sync_home(settings: Cluster, network: Network, sources: Sources) -> None:
    """Take over what other replicas have, before this one serves: logins, client keys, pauses. Blocks for a moment.

    Raises `ClusterKeyError`.
    """
    from neurolink_mitm.cluster.home.command_sync import open_sync

    config, home, marks = sources.config_file, sources.home, sources.configured_marks
    context = lambda: network.context  # noqa: E731
    with open_sync(settings, config, home, sources.open_store, marks, context) as sync:
        problems, _ = sync.run()
    for problem in problems:
        logger.warning("%s: this proxy begins by what its home holds", problem)


def set_cluster(runtime: Runtime, sources: Sources) -> ClusterSwitch:
    """Return the component of the cluster, which follows the configuration."""
    switch = ClusterSwitch(runtime, sources)
    follow(runtime, switch.configure)
    return switch
