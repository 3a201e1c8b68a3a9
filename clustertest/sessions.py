"""Many sessions at once, written to Redis as a replica writes them: a request for each would take minutes."""

import time
from collections.abc import Mapping

from clustertest.stage import Stage
from clustertest.wording import MODEL
from neurolink_mitm.adapters.cluster_key import read_cluster_key
from neurolink_mitm.cluster.home.seal import Sealer
from neurolink_mitm.cluster.pool.sessions import Sessions
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cluster.sessions import SharedAffinity
from neurolink_mitm.core.pool.affinity import group_of
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from tests.fakes import make_account

_NAMESPACE = "nl"


async def place_sessions(running: Stage, places: Mapping[str, str]) -> Mapping[str, str]:
    """Place each session at the account of this label, as a further replica would. Return `places`."""
    secret = read_cluster_key(running.replicas[0].neurolink_home / "cluster.key")
    key = Sealer(secret, _NAMESPACE).digest(Secret("sessions")).encode()
    accounts = {label: make_account(label) for label in dict.fromkeys(places.values())}
    pool, link = (
        Pool([*accounts.values()], "round-robin"),
        Link(Secret(running.redis.url), _NAMESPACE),
    )
    feed = Sessions(Replica(link, "", lambda _: Member("")), pool, key)
    affinity, family, now = pool.affinity, group_of(MODEL), time.time()
    assert isinstance(affinity, SharedAffinity)
    for session, label in places.items():
        affinity.served((session, family), accounts[label].key, now)
    while not affinity.is_written:
        await feed.push(link)
    feed.close()
    await link.close()
    return places
