"""The feed of what each replica has counted, with a real Redis."""

from __future__ import annotations

import pytest

from neurolink_mitm.cluster.pool.tallies import CountedByAll
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.redis_server import RedisServer
from tests.fakes import make_account

pytestmark = pytest.mark.real("redis")
A = make_account("a")


class One:
    """A replica that has counted some attempts; it is there as if it had ticked."""

    def __init__(self, server: RedisServer, name: str, attempts: int) -> None:
        self.link = Link(Secret(server.url), "nl")
        self.replica = Replica(self.link, name, lambda _: Member(name))
        self.pool = Pool([A])
        self.pool.account_state(A.key).tally.attempts = attempts
        self.feed = CountedByAll(self.replica, self.pool)

    async def read(self) -> int:
        self.feed._next = 0.0
        await self.link.redis.zadd(self.link.names.key("alive"), {self.replica.id: 1})
        await self.feed.read(self.link)
        [row] = self.feed.rows()
        attempts = row["attempts"]
        assert isinstance(attempts, int)
        return attempts


async def test_counts_of_replicas_that_are_there_are_summed(redis_server: RedisServer) -> None:
    one, other = One(redis_server, "one", 3), One(redis_server, "other", 4)
    tallies = one.link.names.key("tallies")
    try:
        await one.link.redis.set(tallies, "of another type")
        assert await one.read() == 3
        assert await other.read() == 7
        one.pool.account_state(A.key).tally.attempts = 10
        assert await one.read() == 14
        await one.link.redis.hset(tallies, "gone", '{"anthropic:a": [100, 0, 0, 0]}')
        await one.link.redis.hset(tallies, "other", b"\xff" * 200_000)
        assert await one.read() == 10
        assert not await one.link.redis.hexists(tallies, "gone")
        for n in range(20):
            await one.link.redis.hset(tallies, f"many-{n}", b"9" * 49_000)
            await one.link.redis.zadd(one.link.names.key("alive"), {f"many-{n}": 2})
        assert await one.read() == 10  # more than is read
        await one.link.redis.delete(one.link.names.key("alive"))
        other.feed.lost()
        await other.read()
        assert await one.read() == 14
    finally:
        await one.link.close()
        await other.link.close()
