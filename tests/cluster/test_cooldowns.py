"""Cooldowns are the same in all replicas, through a real Redis."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import msgspec
import pytest
from redis import Redis

from neurolink_mitm.cluster.pool.cooldowns import Cooldowns, Id
from neurolink_mitm.cluster.redis.link import script_text
from neurolink_mitm.core.cluster.cooldowns import NOTHING, State, Window, merged
from neurolink_mitm.core.pool.cooldown import Cooldown
from tests.cluster.pools import WORK, PoolReplica, pool_replicas, until
from tests.cluster.redis_server import RedisServer

pytestmark = pytest.mark.real("redis")


# --- The scripts


def pack(state: object) -> bytes:
    return msgspec.msgpack.encode(state)


def merge(redis: Redis, *states: object, key: str = "cooldowns") -> State:
    """Return what Redis makes of states that come one by one."""
    redis.delete(key)
    answer: Any = [b"", pack(NOTHING)]
    for state in states:
        text = state if isinstance(state, bytes) else pack(state)
        answer = redis.eval(
            script_text("cooldowns")[0], 2, key, "news", "cooldowns", "a", "f", text
        )
    return msgspec.msgpack.decode(answer[1], type=State)


NOW = 0.0
"""Times of tables are relative to now."""
A = Window(-5, 1, 1, reason="a")
TABLE = {
    "one": [State(0, (A,))],
    "the same twice": [State(0, (A,)), State(0, (A,))],
    "reported twice": [State(0, (A,)), State(0, (Window(-4.9, 1, 1.1, reason="b"),))],
    "a later end": [State(0, (A,)), State(0, (Window(-6, 1, 30),))],
    "the next": [State(0, (A,)), State(0, (Window(-1, 2, 3),))],
    "heal": [State(0, (A,)), State(-5, ())],
    "heal, converted": [State(0, (A,)), State(-5.0005, ())],
    "heal before": [State(-5, ()), State(0, (A, Window(-1, 2, 3)))],
    "refusal": [State(0, (Window(-4, 0, 296, True),)), State(0, (Window(-1, 1, 300),))],
    "reset known": [State(0, (A,)), State(0, (Window(-5, 1, 1, False, 900.0, "a"),))],
    "words": [State(0, (A,)), State(0, (Window(-5, 1, 1, reason="b", by="x"),))],
    "many": [State(0, tuple(Window(-n, n, 20 + n) for n in range(1, 9)))],
    "absurd": [State(0, (A, Window(-1, 1, 9999), Window(500, 1, 501), Window(-1, -1, 5)))],
    "long ago": [State(0, (Window(-4000, 1, -3999),))],
}


def at(now: float, state: State) -> State:
    windows = tuple(
        msgspec.structs.replace(
            w,
            began=now + w.began,
            until=now + w.until,
            resets_at=w.resets_at and now + w.resets_at,
        )
        for w in state.windows
    )
    return State(state.healed and now + state.healed, windows)


@pytest.mark.parametrize("states", TABLE.values(), ids=TABLE.keys())
def test_redis_merges_as_the_core_does(redis: Redis, states: list[State]) -> None:
    now, expected = time.time(), NOTHING
    states = [at(now, each) for each in states]
    for each in states:
        expected = merged(expected, each, now)
    assert merge(redis, *states) == expected
    assert merge(redis, *reversed(states)) == expected


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308, 1e-308, -1.0])
@pytest.mark.parametrize("place", range(5))
def test_absurd_numbers_change_nothing(redis: Redis, number: float, place: int) -> None:
    now = time.time()
    good: list[Any] = [now - 5, 1, now + 1, False, 0, "", ""]
    bad = [*good]
    bad[place] = number
    expected = State(0.0, (Window(*good),))
    states = [[0, [bad]], [0, [good]]] if place != 4 or number < 0 or number > 1 else []
    assert merge(redis, *states, [0, [good]]) == expected
    assert merge(redis, [number, []], [0, [good]]) == expected


GARBAGE = [
    b"",
    b"\xc1",
    b"nonsense",
    pack(1),
    pack([]),
    pack([1]),
    pack({"healed": 1}),
    pack([0, [1, "x", None, [], {}, [1, 2, 3]]]),
    pack([0, 5]),
    pack(["x", [["a"] * 7]]),
    b"\x91" * 5000,
    b"x" * 100_000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=[each[:8].hex() or "none" for each in GARBAGE])
def test_what_is_no_state_counts_as_nothing(redis: Redis, garbage: bytes) -> None:
    now = time.time()
    good = State(0.0, (Window(now - 5, 1, now + 1),))
    assert merge(redis, garbage, good).windows == good.windows
    redis.hset("cooldowns", "f", garbage)
    merge_again = redis.eval(
        script_text("cooldowns")[0], 2, "cooldowns", "news", "cooldowns", "a", "f", pack(good)
    )
    assert msgspec.msgpack.decode(merge_again[1], type=State).windows == good.windows


def test_a_key_of_another_type_is_replaced(redis: Redis) -> None:
    good = State(0.0, (Window(time.time() - 5, 1, time.time() + 1),))
    redis.set("strange", "x")
    assert redis.eval(script_text("hash_read")[0], 1, "strange") == []
    redis.eval(script_text("cooldowns")[0], 2, "strange", "news", "cooldowns", "a", "f", pack(good))
    assert redis.hlen("strange") == 1


def test_what_is_too_large_is_not_read(redis: Redis) -> None:
    redis.hset("large", mapping={"a": "x" * 10_000, "b" * 2000: "x", "c": "ok"})
    assert redis.eval(script_text("hash_read")[0], 1, "large") == [b"c", b"ok"]
    redis.hset("large", mapping={str(n): "" for n in range(10_001)})
    assert redis.eval(script_text("hash_read")[0], 1, "large") == []
    assert not redis.exists("large")
    redis.hset("large", mapping={str(n): "x" * 8000 for n in range(1000)})
    assert redis.eval(script_text("hash_read")[0], 1, "large") == [], "too long for an answer"


def test_only_what_is_new_is_published(redis: Redis) -> None:
    state = State(0.0, (Window(time.time() - 5, 1, time.time() + 1),))
    with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("news")
        pubsub.get_message(timeout=1)
        merge(redis, state, state)
        assert pubsub.get_message(timeout=1)
        assert pubsub.get_message(timeout=0.05) is None


# --- Replicas


async def test_a_limit_that_one_replica_meets_is_known_to_all(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 3) as (a, b, c):
        began = time.monotonic()
        a.limited(wait=30)
        await until(lambda: b.cools() and c.cools())
        assert time.monotonic() - began < 0.05
        ours, theirs = a.cooldown(), b.cooldown()
        assert (theirs.level, theirs.reason) == (1, "rate limit (429), seen by a")
        assert theirs.until == pytest.approx(ours.until, abs=0.02)
        assert b.file.kept_cooldowns[WORK].scopes["*"] == theirs


async def test_a_thread_may_notice_that_the_clock_was_set(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace) as (a, b):
        now = a.now()
        a.pool.take_cooldowns(WORK, {"*": Cooldown(1, now, now + 30, "a limit")}, now)
        await asyncio.to_thread(a.runtime.state_store.cooldowns, a.pool.cooldowns())
        began = time.monotonic()
        await until(b.cools)
        assert time.monotonic() - began < 0.5


async def test_reasons_are_masked_and_short(
    server: RedisServer, namespace: str, redis: Redis
) -> None:
    """Another provider's reason is its own words."""
    secret = "sk-ant-api03-" + "x" * 40
    async with pool_replicas(server, namespace) as (a, b):
        reason = f"bad key {secret} " + "\U0001f600" * 500
        now = a.now()
        a.pool.take_cooldowns(WORK, {"*": Cooldown(1, now, now + 30, reason)}, now)
        a.hand_on()
        await until(b.cools)
        stored = redis.hgetall(a.replica.link.names.key("cooldowns"))
        assert secret.encode() not in b"".join(stored.values())
        assert b.cooldown().reason.startswith("bad key ")
        assert len(b.cooldown().reason) < 250


async def test_the_level_rises_once_though_replicas_meet_the_limit_together(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace, 3) as replicas:
        sent = [(each, each.begin()) for each in replicas for _ in range(5)]
        for each, sent_at in sent:
            each.limited(sent_at)
        await asyncio.sleep(0.1)
        for each in replicas:  # one that was in flight all the while
            each.limited(sent[0][1])
        await asyncio.sleep(0.1)
        assert [each.cooldown().level for each in replicas] == [1, 1, 1]


async def test_a_success_ends_it_everywhere(server: RedisServer, namespace: str) -> None:
    async with pool_replicas(server, namespace) as (a, b):
        a.limited(wait=30)
        await until(lambda: b.cools() and b.now() > b.cooldown().began)
        b.served()
        await until(lambda: not a.has_cooldown())
        assert a.pool.account_state(WORK).ramps
        a.limited(wait=30)
        await until(b.cools)
        assert b.cooldown().level == 1


async def test_a_reset_ends_it_everywhere_and_may_be_undone(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace) as (a, b):
        a.limited(wait=30)
        await until(b.cools)
        before = b.pool.cooldowns()[WORK]
        b.pool.reset_named("work")
        await until(lambda: not a.has_cooldown())  # no addon has handed it on: by the next reading
        b.pool.cool_again(WORK, before, b.now())
        b.hand_on()
        await until(a.cools)
        assert b.cools()


async def test_a_new_credential_ends_it_where_it_is(server: RedisServer, namespace: str) -> None:
    async with pool_replicas(server, namespace) as (a, b):
        a.limited(wait=30)
        await until(b.cools)
        a.pool.renew(WORK, a.pool.accounts[1].secret, None)
        a.hand_on()
        await asyncio.sleep(1.2)
        assert (a.cools(), b.cools()) == (False, True)
        a.limited(wait=30)
        b.pool.renew(WORK, b.pool.accounts[1].secret, None)
        b.hand_on()
        assert not b.cools()
        await until(b.cools)


# --- Redis goes


async def test_what_happened_without_redis_is_put_together_when_it_is_back(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace) as (a, b):
        a.limited(wait=30)
        await until(lambda: b.cools() and a.now() > a.cooldown().began)
        server.kill()
        a.served()
        b.limited(key="anthropic:home", wait=30)
        assert (a.cools(), b.cools(), a.cools("anthropic:home")) == (False, True, False)
        server.start()
        await until(lambda: not b.cools() and a.cools("anthropic:home"))
        await asyncio.sleep(1.2)
        assert (a.cools(), b.cools()) == (False, False)


async def test_while_redis_is_away_the_event_loop_goes_on(
    server: RedisServer, namespace: str
) -> None:
    """What can't be written is not tried again and again: the breaker's refusal takes no turn of the loop."""
    async with pool_replicas(server, namespace) as (a, b):
        a.limited(wait=1)
        await until(b.has_cooled)
        server.kill()
        for _ in range(8):  # opens the breaker
            a.limited(key="anthropic:home", wait=1)
            await asyncio.sleep(0.05)
        worst = 0.0
        for _ in range(100):
            began = time.monotonic()
            await asyncio.sleep(0.005)
            worst = max(worst, time.monotonic() - began)
            a.hand_on()
        server.start()
        assert worst < 0.2


async def test_a_replica_that_starts_again_with_an_old_file_brings_nothing_back(
    server: RedisServer, namespace: str
) -> None:
    async with pool_replicas(server, namespace) as (a, _):
        a.limited(wait=30)
        a.limited(key="anthropic:home", wait=30)
        file = a.pool.cooldowns()
        a.served()
    async with pool_replicas(server, namespace, 1) as (b,):
        await until(lambda: b.cools("anthropic:home"))
        again = PoolReplica(server, "again", namespace, list(b.pool.accounts))
        again.pool.restore(file, {}, again.now())
        assert again.cools()
        await again.replica.start()
        try:
            await until(lambda: not again.cools())
            assert again.cools("anthropic:home")
            await asyncio.sleep(1.1)
            assert (b.cools(), again.cools()) == (False, False)
        finally:
            await again.replica.stop()


async def test_cooldowns_that_someone_makes_up_fill_no_memory(
    server: RedisServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurolink_mitm.cluster.pool.cooldowns.MOST", 50)
    monkeypatch.setattr("neurolink_mitm.cluster.pool.cooldowns.MOST_SCOPES", 10)
    async with pool_replicas(server, namespace, 1) as (a,):
        feed = a.replica._shared["cooldowns"].feed
        assert isinstance(feed, Cooldowns)
        now = time.time()
        state = State(0.0, (Window(now - 1, 1, now + 30),))
        feed.take({Id(f"anthropic:{n}", "x", "*"): state for n in range(500)})
        assert len(feed._states) == 50
        credential = feed.credential(WORK) or ""
        feed.take({Id(WORK, credential, f"model {n}"): state for n in range(500)})
        assert len(feed._states) == 100
        assert len(a.pool.account_state(WORK).cooldowns) == 10
