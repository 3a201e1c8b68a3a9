"""Looks who is in a cluster, for commands, which are no replica."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from neurolink_mitm.cluster.redis.connection import MakeContext
from neurolink_mitm.cluster.redis.link import AwayError, Link, RefusedError
from neurolink_mitm.cluster.replica import GONE, members_of
from neurolink_mitm.cluster.view import redis_state
from neurolink_mitm.core.cluster.members import LONGEST, MOST, Member
from neurolink_mitm.core.cluster.offset import as_time
from neurolink_mitm.core.cluster.report import cluster_report
from neurolink_mitm.core.settings.cluster import Cluster


async def look(settings: Cluster, context: MakeContext) -> Mapping[str, object]:
    """Return the report of `/status` on the cluster, asking Redis once."""
    link = Link(settings.url, settings.namespace, context)
    members: dict[str, Member] = {}
    lag, read_at = None, None
    try:
        before, began = time.time(), time.monotonic()
        server, members = await link.script(
            "members", ["members", "alive"], [GONE, MOST, LONGEST], read=_read
        )
        lag, read_at = time.monotonic() - began, time.time()
        link.offset.measured(server, before, read_at)
    except (AwayError, RefusedError):
        pass
    finally:
        await link.close()
    state = redis_state(link, lag, read_at)
    return cluster_report(link.names.namespace, None, state, members, link.offset.to_ours)


def _read(answer: Any) -> tuple[float, dict[str, Member]]:
    match answer:
        case [bytes() as server_time, list() as members]:
            return as_time(server_time), members_of(members)
    raise ValueError("not what the script returns")
