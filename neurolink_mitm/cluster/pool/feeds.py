"""What replicas share of their pools."""

from __future__ import annotations

from neurolink_mitm.cluster.feed import Feed
from neurolink_mitm.cluster.pool.cooldowns import Cooldowns
from neurolink_mitm.cluster.pool.probes import Probes
from neurolink_mitm.cluster.pool.quotas import Quotas
from neurolink_mitm.cluster.pool.state_store import SharedStateStore
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.ports import Runtime


def pool_feeds(replica: Replica, runtime: Runtime) -> list[Feed]:
    """Return the feeds of the pool, attached to the runtime until they are closed."""
    store = SharedStateStore(runtime)
    cooldowns = Cooldowns(replica, runtime, store)
    return [
        cooldowns,
        Probes(replica, runtime, cooldowns, store),
        Quotas(replica, runtime, cooldowns, store),
    ]
