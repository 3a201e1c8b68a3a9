"""Gets a home in step once, without a proxy: for commands, and before a proxy begins to serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neurolink_mitm.adapters.cluster_key import key_path, read_cluster_key
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.mark_file import Marks
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.cluster.connection import MakeContext
from neurolink_mitm.cluster.door import Door, own_door
from neurolink_mitm.cluster.kinds import kinds_of
from neurolink_mitm.cluster.ledger import Ledger
from neurolink_mitm.cluster.link import AwayError, Link
from neurolink_mitm.cluster.seal import Sealer
from neurolink_mitm.cluster.shared_store import SharedStore
from neurolink_mitm.cluster.sync import Sync
from neurolink_mitm.core.settings.cluster import Cluster


def sync_of(
    settings: Cluster,
    config: Path,
    home: Home,
    store: TokenStore,
    configured: Callable[[], Marks | None],
    door: Door,
    replica: str,
) -> Sync:
    """Return what brings `home` in step; `config` is its configuration file. Raises `ClusterKeyError`."""
    key = read_cluster_key(key_path(settings, config, home))
    kinds = kinds_of(home, store, configured)
    ledger = Ledger(home.cluster_synced, settings.namespace)
    return Sync(door, Sealer(key, settings.namespace), kinds, ledger, replica)


class Step:
    """A home that a command works on."""

    def __init__(self, sync: Sync, store: SharedStore) -> None:
        self._sync = sync
        self.store = store
        """For refreshes."""

    def take(self) -> tuple[tuple[str, ...], bool]:
        """Get in step. Return what could not be, and why, and whether Redis is away."""
        try:
            self._sync.run()
        except AwayError as e:
            return (f"Redis is away ({e})",), True
        return self._sync.problems, False


@contextmanager
def step_of(
    settings: Cluster,
    config: Path,
    home: Home,
    store: Callable[[], TokenStore],
    configured: Callable[[], Marks | None],
    context: MakeContext | None,
) -> Iterator[Step]:
    """Open a connection of its own for a while. Raises `ClusterKeyError`."""
    link = Link(settings.url, settings.namespace, context)
    with own_door(link) as door:
        sync = sync_of(settings, config, home, store(), configured, door, "")
        yield Step(sync, SharedStore(store(), sync, door))
