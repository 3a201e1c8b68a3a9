"""The quotas of accounts are the same in all replicas, through a real Redis."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from redis import Redis

from neurolink_mitm.cluster.redis.link import script_text
from neurolink_mitm.core.pool.quota import Quota
from tests.cluster.pools import ASKED, WORK, PoolReplica, pool_replicas, until
from tests.cluster.redis_server import RedisServer
from tests.fakes import make_account

pytestmark = pytest.mark.real("redis")


def write(redis: Redis, *triples: Any, key: str = "newest") -> Any:
    return redis.eval(script_text("newest")[0], 2, key, "news", "quotas", "a", *triples)


def value(redis: Redis, key: str = "newest") -> Any:
    return msgspec.msgpack.decode(redis.hget(key, "f"))


def test_the_newest_value_stays(redis: Redis) -> None:
    redis.delete("newest")
    now = time.time()
    assert [write(redis, "f", now + n, f"v{n}") for n in (-3, -5, -3, -1)] == [1, 0, 0, 1]
    assert value(redis) == [pytest.approx(now - 1), "v-1"]


@pytest.mark.parametrize("at", ["nan", "inf", "-inf", "1e308", "-1", "x", ""])
def test_a_value_without_a_time_is_not_written(redis: Redis, at: str) -> None:
    redis.delete("newest")
    assert write(redis, "f", at, "v") == 0
    assert write(redis, "f", time.time() + 60, "v") == 0
    assert not redis.exists("newest")


@pytest.mark.parametrize(
    "strange",
    [
        b"",
        b"\xc1",
        b"x" * 9000,
        msgspec.msgpack.encode([1e300, "v"]),
        msgspec.msgpack.encode(["x"]),
    ],
    ids=["none", "no msgpack", "large", "of the future", "no time"],
)
def test_what_is_no_value_is_replaced(redis: Redis, strange: bytes) -> None:
    redis.delete("newest")
    redis.hset("newest", "f", strange)
    assert write(redis, "f", time.time(), "v") == 1
    assert value(redis)[1] == "v"
    redis.delete("newest")
    redis.set("newest", strange)
    assert write(redis, "f", time.time(), "v") == 1


def see(replica: PoolReplica, used: float, key: str = WORK) -> Quota:
    """A response reports how much of the 5-hour window is used."""
    fields = (
        (b"anthropic-ratelimit-unified-5h-utilization", str(used).encode()),
        (b"anthropic-ratelimit-unified-5h-status", b"allowed"),
        (b"anthropic-ratelimit-unified-5h-reset", str(int(time.time()) + 3600).encode()),
    )
    replica.pool.update_quota(key, fields, replica.now(), asked=ASKED, status=200)
    replica.hand_on()
    return replica.pool.quotas()[key]


def used(replica: PoolReplica, key: str = WORK) -> float | None:
    quota = replica.pool.quotas().get(key)
    return quota.used("5h") if quota else None


async def test_what_one_replica_sees_is_known_to_all(server: RedisServer, namespace: str) -> None:
    async with pool_replicas(server, namespace, 3) as (a, b, c):
        for n in range(20):
            see(a, n / 100)
        await until(lambda: used(b) == used(c) == 0.19)
        see(b, 0.5)
        await until(lambda: used(a) == used(c) == 0.5)
        assert [len(each.pool.unsaved_readings()) for each in (a, b, c)] == [1, 0, 0]
        assert b.pool.account_state(WORK).readings["5h"]


async def test_other_accounts_of_the_same_name_are_not_mixed(
    server: RedisServer, namespace: str
) -> None:
    mine = make_account("work", "sk-ant-oat01-x", account_uuid="u1", organization_uuid="o")
    same = make_account("work", "sk-ant-oat01-y", account_uuid="u1", organization_uuid="o")
    other = make_account("work", "sk-ant-oat01-z", account_uuid="u2", organization_uuid="o")
    replicas = [
        PoolReplica(server, name, namespace, [account])
        for name, account in (("a", mine), ("b", same), ("c", other))
    ]
    for each in replicas:
        await each.replica.start()
    try:
        a, b, c = replicas
        see(a, 0.3)
        await until(lambda: used(b) == 0.3)
        assert used(c) is None
    finally:
        for each in replicas:
            await each.replica.stop()


async def test_quotas_are_written_again_when_redis_is_back_empty(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 1) as (a,):
        see(a, 0.3)
        with Redis.from_url(server.url) as redis:
            key = a.replica.link.names.key("quotas")
            await until(lambda: redis.exists(key))
            server.kill()
            server.start()
            await until(lambda: a.replica.link.breaker.state.value == "closed")
        async with pool_replicas(server, namespace, 1) as (late,):
            await until(lambda: used(late) == 0.3)
