"""Switches a replica on and off, as the configuration has it; without `cluster.url` nothing of Redis is imported."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import TYPE_CHECKING

from neurolink_mitm.config.apply import follow
from neurolink_mitm.core.cluster.members import clean
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.ports import Runtime

if TYPE_CHECKING:
    from neurolink_mitm.cluster.feed import Feed
    from neurolink_mitm.cluster.replica import Replica

NAME = "NEUROLINK_REPLICA"
"""The variable that names this replica; without it, it is called by host name and port."""


class ClusterSwitch:
    """The component that runs the replica of the configuration, if it has one."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._wanted: Cluster | None = None
        self._replica: Replica | None = None
        self._settings: Cluster | None = None
        self._started = False
        self._busy = asyncio.Lock()
        self._switching: asyncio.Task[None] | None = None

    def configure(self, config: Config) -> None:
        """Take over the configuration; a running replica is ended, and begun anew by other settings."""
        self._wanted = config.cluster
        if self._started:
            self._switching = asyncio.create_task(self._switch())

    async def start(self) -> None:
        self._started = True
        await self._switch()

    async def stop(self) -> None:
        self._started, self._wanted = False, None
        await self._switch()

    async def _switch(self) -> None:
        async with self._busy:
            if self._wanted == self._settings:
                return
            if self._replica:
                await self._replica.stop()
                self._replica = self._runtime.cluster = None
            self._settings = self._wanted
            if self._wanted:
                self._replica = self._make(self._wanted)
                await self._replica.start()

    def _make(self, settings: Cluster) -> Replica:
        from neurolink_mitm.cluster.link import Link
        from neurolink_mitm.cluster.replica import Replica
        from neurolink_mitm.cluster.view import Described, View

        runtime = self._runtime
        link, name = Link(settings.url, settings.namespace), clean(runtime.environ.get(NAME, ""))
        described = Described(runtime, name, socket.gethostname(), settings.namespace)
        replica = Replica(link, secrets.token_hex(8), described.describe)
        replica.share(feeds_of(replica, runtime, settings))
        runtime.cluster = View(described, replica)
        return replica


def feeds_of(replica: Replica, runtime: Runtime, settings: Cluster) -> list[Feed]:
    """Return the feeds of a replica, in the order in which they are pushed and read: a line each.

    Modules of `cluster` are imported here, where a cluster is wanted.
    """
    return []


def set_cluster(runtime: Runtime) -> ClusterSwitch:
    """Return the component of the cluster, which follows the configuration."""
    switch = ClusterSwitch(runtime)
    follow(runtime, switch.configure)
    return switch
