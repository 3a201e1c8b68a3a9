"""One replica probes an account that has cooled down, through a real Redis."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from redis import Redis

from neurolink_mitm.cluster.pool import probes as module
from neurolink_mitm.cluster.pool.cooldowns import Id
from neurolink_mitm.cluster.pool.probes import LEASE, WAIT, Probes, Right
from neurolink_mitm.cluster.redis.link import script_text
from tests.cluster.pools import ASKED, WORK, PoolReplica, pool_replicas, until
from tests.cluster.redis_server import RedisServer
from tests.fakes import make_account

pytestmark = pytest.mark.real("redis")


# --- The scripts


def ask(redis: Redis, who: str, *fields: str, lease: int = 3000, ahead: int = 0) -> Any:
    keys = ["cooldowns", "news", *(f"probe:{field}" for field in fields)]
    text = script_text("probe")[0]
    return redis.eval(text, len(keys), *keys, "probes", who, lease, ahead, *fields)


def end(redis: Redis, who: str, *fields: str) -> Any:
    keys = ["news", *(f"probe:{field}" for field in fields)]
    return redis.eval(script_text("probe_end")[0], len(keys), *keys, "probes", who, *fields)


def cooling(redis: Redis, field: str, seconds: float) -> None:
    now = time.time()
    state = [0, [[now - 1, 1, now + seconds, False, 0, "", ""]]]
    redis.hset("cooldowns", field, msgspec.msgpack.encode(state))


def test_one_replica_has_the_right(redis: Redis) -> None:
    assert ask(redis, "a", "f") == [b"yours"] == ask(redis, "a", "f")
    answer, left = ask(redis, "b", "f")
    assert (answer, 0 < left <= 3000) == (b"theirs", True)
    assert end(redis, "b", "f") == 0
    assert end(redis, "a", "f") == 1
    assert ask(redis, "b", "f") == [b"yours"]


def test_all_scopes_or_none(redis: Redis) -> None:
    ask(redis, "a", "g")
    assert ask(redis, "b", "f", "g")[0] == b"theirs"
    assert ask(redis, "c", "f") == [b"yours"]


def test_nobody_probes_what_cools_again(redis: Redis) -> None:
    cooling(redis, "f", 5)
    answer, field, state = ask(redis, "a", "f")
    assert (answer, field, state) == (b"cooling", b"f", redis.hget("cooldowns", "f"))
    assert ask(redis, "a", "f", ahead=4900)[0] == b"cooling"
    cooling(redis, "f", -0.5)
    assert ask(redis, "a", "f") == [b"yours"]


def test_the_right_may_be_had_a_little_ahead(redis: Redis) -> None:
    cooling(redis, "f", 0.3)
    assert ask(redis, "a", "f", ahead=400) == [b"yours"]
    assert ask(redis, "b", "f", ahead=400)[0] == b"theirs"


def test_the_right_ends_by_itself(redis: Redis) -> None:
    ask(redis, "a", "f", lease=20)
    time.sleep(0.03)
    assert ask(redis, "b", "f") == [b"yours"]


@pytest.mark.parametrize("strange", [b"", b"\xc1", msgspec.msgpack.encode([0, [[0, 0, 1e300]]])])
def test_strange_contents_keep_nobody_from_probing(redis: Redis, strange: bytes) -> None:
    redis.hset("cooldowns", "f", strange)
    redis.lpush("probe:f", "x")
    assert ask(redis, "a", "f") == [b"yours"]
    redis.set("probe:f", "x" * 100_000)
    assert ask(redis, "a", "f") == [b"yours"]
    redis.delete("cooldowns")
    redis.set("cooldowns", "x")
    assert ask(redis, "a", "f") == [b"yours"]
    redis.lpush("probe:g", "x")
    assert end(redis, "a", "f", "g") == 1


# --- Replicas


class Client:
    """Sends requests to one replica, as `Rotate` does with the pool."""

    def __init__(self, replica: PoolReplica) -> None:
        self.replica = replica
        self.longest = 0.0

    async def choose(self) -> str | None:
        """Return the account of a request, which waits for its right to probe."""
        began = time.monotonic()
        pool, probes = self.replica.pool, self.replica.runtime.probes
        assert probes
        while account := pool.choose(ASKED, self.replica.now(), waits=True).account:
            now = self.replica.now()
            if probes.denied_until(account.key, ASKED, now) is None:
                break
            changed = asyncio.Event()
            pool.on_change = changed.set
            while pool.asked_until(account.key, ASKED, self.replica.now()):
                await changed.wait()
                changed.clear()
        self.longest = max(self.longest, time.monotonic() - began)
        return account.key if account else None


async def requests(
    replicas: list[PoolReplica], seconds: float, answer: float = 0.03
) -> list[tuple[float, str]]:
    """Send 100 requests a second to replicas in turn; `work` is limited. Return when each went where."""
    sent: list[tuple[float, str]] = []
    clients = [Client(each) for each in replicas]

    async def request(client: Client) -> None:
        key = await client.choose()
        assert key
        sent_at = client.replica.begin(key)
        sent.append((time.monotonic(), key))
        await asyncio.sleep(answer)
        if key == WORK:
            client.replica.limited(sent_at)
        else:
            client.replica.served(sent_at, key)

    async with asyncio.TaskGroup() as tasks:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            tasks.create_task(request(clients[len(sent) % len(clients)]))
            await asyncio.sleep(0.01)
    return sent


async def test_one_request_a_cooldown_probes_the_account(
    server: RedisServer, namespace: str
) -> None:
    """At 100 requests a second over three replicas: after 1, 2 and 4 seconds, and the level rises once each."""
    async with pool_replicas(server, namespace, 3) as replicas:
        first = replicas[0].begin()
        await asyncio.sleep(0.01)
        replicas[0].limited(first)
        began = time.monotonic()
        sent = await requests(replicas, 7.3)
        late = [at - began for at, key in sent if key == WORK and at - began > 0.05]
        assert len(late) == 3
        assert late == pytest.approx([1.0, 3.05, 7.1], abs=0.15)
        await asyncio.sleep(0.1)
        assert [each.cooldown().level for each in replicas] == [4, 4, 4]


async def test_a_probe_that_goes_well_lets_all_use_the_account(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 2) as (a, b):
        a.limited()
        await until(b.has_cooled)
        assert await Client(b).choose() == WORK
        sent_at = b.begin()
        await until(lambda: not a.chooses(WORK))
        assert await Client(a).choose() != WORK
        b.served(sent_at)
        await until(lambda: not a.has_cooldown())
        assert await Client(a).choose() == WORK


async def test_a_replica_that_dies_leaves_the_probe_to_another(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 2) as (a, b):
        a.limited()
        await until(lambda: b.has_cooled())
        assert await Client(b).choose() == WORK
        b.begin()
        b.replica._tasks[0].cancel()  # it prolongs nothing any more
        began = time.monotonic()
        while await Client(a).choose() != WORK:  # noqa: ASYNC110 - a right ends by its time
            await asyncio.sleep(0.05)
        assert time.monotonic() - began < LEASE + 1


async def test_a_right_that_no_request_uses_is_given_back(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 2) as (a, b):
        a.limited()
        await until(lambda: b.has_cooled())
        assert await Client(b).choose() == WORK  # and its client has gone
        began = time.monotonic()
        while await Client(a).choose() != WORK:  # noqa: ASYNC110 - a right ends by its time
            await asyncio.sleep(0.05)
        assert time.monotonic() - began < 2.5


async def test_without_redis_each_replica_probes_after_milliseconds(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 2, [make_account("work")]) as replicas:
        replicas[0].limited()
        await until(lambda: all(each.has_cooled() for each in replicas))
        server.hang()
        try:
            for each in replicas:
                client = Client(each)
                assert await client.choose() == WORK
                assert client.longest < WAIT + 0.01
            probes = [each.runtime.probes for each in replicas]
            # until the command ends without an answer: then nobody else is known to probe
            assert all(each and each.is_late(WORK, ASKED) for each in probes[1:])
            await until(lambda: not any(each and each.is_late(WORK, ASKED) for each in probes))
        finally:
            server.go_on()


async def test_rights_that_nobody_uses_cost_one_look_at_a_time(
    server: RedisServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each response has them looked at: a timer for each of them and each response would stop the loop."""
    monkeypatch.setattr(module, "UNUSED", 0.1)
    looks = 0

    def looked(self: Probes) -> None:
        nonlocal looks
        looks += 1
        changed(self)

    async with pool_replicas(server, namespace, 1) as (a,):
        probes = a.runtime.probes
        assert isinstance(probes, Probes)
        changed = Probes._changed
        monkeypatch.setattr(Probes, "_changed", looked)
        now = asyncio.get_running_loop().time()
        probes._rights = {Id(WORK, "x", f"model-{n}"): Right(now) for n in range(100)}
        for _ in range(50):
            probes._changed()
        await until(lambda: not probes._rights)
        assert looks < 60
