"""Gets a home in step once, without a proxy: for commands, and before a proxy begins to serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neurolink_mitm.adapters.cluster_key import key_path, read_cluster_key
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.mark_file import Marks
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.cluster.home.entry_kinds import kinds_of
from neurolink_mitm.cluster.home.seal import Sealer
from neurolink_mitm.cluster.home.shared_store import SharedStore
from neurolink_mitm.cluster.home.sync import Sync
from neurolink_mitm.cluster.home.synced_file import SyncedFile
from neurolink_mitm.cluster.redis.blocking_link import BlockingLink, link_in_thread
from neurolink_mitm.cluster.redis.connection import MakeContext
from neurolink_mitm.cluster.redis.link import AwayError, Link
from neurolink_mitm.core.settings.cluster import Cluster


def sync_of(
    settings: Cluster,
    config: Path,
    home: Home,
    store: TokenStore,
    configured: Callable[[], Marks | None],
    link: BlockingLink,
    replica: str,
) -> Sync:
    """Return what brings `home` in step; `config` is its configuration file. Raises `ClusterKeyError`."""
    key = read_cluster_key(key_path(settings, config, home))
    kinds = kinds_of(home, store, configured)
    synced_file = SyncedFile(home.cluster_synced, settings.namespace)
    return Sync(link, Sealer(key, settings.namespace), kinds, synced_file, replica)


class CommandSync:
    """A home that a command works on."""

    def __init__(self, sync: Sync, store: SharedStore) -> None:
        self._sync = sync
        self.store = store
        """For refreshes."""

    def run(self) -> tuple[tuple[str, ...], bool]:
        """Get in step. Return what could not be, and why, and whether Redis is away."""
        try:
            self._sync.run()
        except AwayError as e:
            return (f"Redis is away ({e})",), True
        return self._sync.problems, False


@contextmanager
def open_sync(
    settings: Cluster,
    config: Path,
    home: Home,
    store: Callable[[], TokenStore],
    configured: Callable[[], Marks | None],
    context: MakeContext | None,
) -> Iterator[CommandSync]:
    """Open a connection of its own for a while. Raises `ClusterKeyError`."""
    to_redis = Link(settings.url, settings.namespace, context)
    with link_in_thread(to_redis) as link:
        sync = sync_of(settings, config, home, store(), configured, link, "")
        yield CommandSync(sync, SharedStore(store(), sync, link))
