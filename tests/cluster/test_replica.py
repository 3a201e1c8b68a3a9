"""Replicas see each other, through a real Redis."""

from __future__ import annotations

import asyncio

import pytest

from neurolink_mitm.cluster.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.redis_server import RedisServer

pytestmark = pytest.mark.real("redis")


def replica(server: RedisServer, name: str, namespace: str = "nl") -> Replica:
    return Replica(Link(Secret(server.url), namespace), name, lambda _: Member(name=name))


async def test_replicas_of_a_namespace_see_each_other(redis_server: RedisServer) -> None:
    a, b, other = (
        replica(redis_server, "a"),
        replica(redis_server, "b"),
        replica(redis_server, "c", "another"),
    )
    try:
        for each in (a, b, other):
            await each.start()
        async with asyncio.timeout(5):
            while set(a.members) != {"a", "b"}:  # noqa: ASYNC110 - members come by a reading
                await asyncio.sleep(0.01)
        assert set(other.members) == {"c"}
    finally:
        for each in (a, b, other):
            await each.stop()
