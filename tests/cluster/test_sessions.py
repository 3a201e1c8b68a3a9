"""The feed of session affinity, with a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.cluster.pool import sessions as feed
from neurolink_mitm.cluster.pool.sessions import Sessions
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cluster.sessions import SharedAffinity
from neurolink_mitm.core.pool.affinity import LIFETIME, Session
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.redis_server import RedisServer
from tests.fakes import make_account

pytestmark = pytest.mark.real("redis")
LIMIT = 5
S: Session = ("s", "opus")
A, B, C = (make_account(label) for label in "abc")
NAMESPACES = count()


class One:
    """A replica with a pool of three accounts that take turns."""

    def __init__(self, url: str, namespace: str, **changes: Any) -> None:
        self.pool = Pool([A, B, C], "round-robin", **changes)
        self.link = Link(Secret(url), namespace)
        self.replica = Replica(self.link, f"id-{next(NAMESPACES)}", lambda _: Member("r"))
        self.feed = Sessions(self.replica, self.pool, b"nl")
        self.replica.share([self.feed])

    def served(self, key: str, session: Session = S, now: float | None = None) -> None:
        self.shared.served(session, key, now or time.time())

    def accounts(self, session: Session = S) -> tuple[str, ...]:
        return self.shared.accounts(session, time.time())

    @property
    def shared(self) -> SharedAffinity:
        assert isinstance(self.pool.affinity, SharedAffinity)
        return self.pool.affinity

    def chosen(self, session: str) -> str:
        asked = Requirements(claude_code=True, model="claude-opus-4-6", session=session)
        chosen = self.pool.choose(asked, time.time()).account
        assert chosen
        return chosen.key


@asynccontextmanager
async def replicas(
    server: RedisServer, namespace: str, number: int = 2
) -> AsyncIterator[list[One]]:
    made = [One(server.url, namespace) for _ in range(number)]
    try:
        for each in made:
            await each.replica.start()
        yield made
    finally:
        for each in made:
            await each.replica.stop()


async def eventually(true: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110 - what another process answers
            await asyncio.sleep(0.01)


async def test_a_session_keeps_its_account_in_another_replica(
    server: RedisServer, namespace: str
) -> None:
    async with replicas(server, namespace) as (one, other):
        one.served(A.key)
        one.served(B.key)
        began = time.monotonic()
        await eventually(other.accounts)
        assert other.accounts() == (A.key, B.key)
        assert time.monotonic() - began < 0.9  # by news: it needs no reading


async def test_one_that_starts_later_knows_all_of_them(server: RedisServer, namespace: str) -> None:
    sessions = [(f"s{n}", "opus") for n in range(2 * feed.BATCH + 7)]
    async with replicas(server, namespace, 1) as (one,):
        for session in sessions:
            one.served(B.key, session)
        await eventually(lambda: one.shared.is_written)
        async with replicas(server, namespace, 1) as (late,):
            await eventually(lambda: all(late.accounts(each) == (B.key,) for each in sessions))


async def test_no_name_of_a_session_is_in_redis(server: RedisServer, namespace: str) -> None:
    async with replicas(server, namespace, 1) as (one,):
        one.served(A.key, ("my-own-session", "opus"))
        await eventually(lambda: one.shared.is_written)
        kept = await one.link.redis.hgetall(one.link.names.key("sessions"))
    assert len(kept) == 1
    assert b"my-own-session" not in b"".join([*kept, *kept.values()])


async def test_a_redis_that_comes_back_empty_is_filled_again(
    server: RedisServer, namespace: str
) -> None:
    async with replicas(server, namespace, 1) as (one,):
        one.served(A.key)
        await eventually(lambda: one.shared.is_written)
        keys = [
            one.link.names.key(*name)
            for name in (("sessions",), ("sessions", "written"), ("epoch",))
        ]
        await one.link.redis.delete(*keys)
        async with replicas(server, namespace, 1) as (late,):
            await eventually(lambda: late.accounts() == (A.key,))


async def test_without_affinity_nothing_is_shared(server: RedisServer, namespace: str) -> None:
    async with replicas(server, namespace) as (one, off):
        off.pool.configure("round-robin", affinity=False, primary=None)
        one.served(A.key)
        await eventually(lambda: one.shared.is_written)
        await off.feed.read(off.link)
        assert off.pool.affinity is None
        off.pool.configure("round-robin", affinity=True, primary=None)
        await eventually(lambda: off.accounts() == (A.key,))


async def test_without_redis_all_choose_alike(tmp_path: Path, namespace: str) -> None:
    """An unknown session goes to the account that every replica finds for it by itself."""
    with RedisServer(tmp_path) as server:
        async with replicas(server, namespace) as (one, other):
            assert len({one.chosen("s") for _ in range(3)}) == 3  # in turns
            server.kill()
            await eventually(lambda: one.link.breaker.reason and other.link.breaker.reason)
            sessions = [f"session-{n}" for n in range(60)]
            chosen = [one.chosen(each) for each in sessions]
            assert chosen == [other.chosen(each) for each in reversed(sessions)][::-1]
            assert set(chosen) == {A.key, B.key, C.key}
            one.pool.disable(A.key, "tried")
            moved = [one.chosen(each) for each in sessions]
            assert all(now == was for now, was in zip(moved, chosen, strict=True) if was != A.key)


HOSTILE = ["type", "names", "values", "scores", "many"]


async def spoil(one: One, how: str) -> None:
    redis, hashed, sorted_ = (
        one.link.redis, one.link.names.key("sessions"), one.link.names.key("sessions", "written")
    )  # fmt: skip
    now = time.time()
    if how == "type":
        await redis.set(hashed, "x")
        await redis.set(sorted_, "x")
    elif how == "names":
        names = [b"\xff\x00" * 8, b"x" * 10_000, b"", "♥".encode() * 5]
        await redis.hset(hashed, mapping=dict.fromkeys(names, f"{int(now * 1000)}\n{A.key}"))
        await redis.zadd(sorted_, dict.fromkeys(names, now))
    elif how == "values":
        values = [
            b"",
            b"\xff" * 100,
            b"9" * 10**6,
            b"1e308\nx",
            b"-1\n" + A.key.encode(),
            b"\n\n\n",
        ]
        await redis.hset(hashed, mapping={f"v{n:015d}": each for n, each in enumerate(values)})
        await redis.zadd(sorted_, {f"v{n:015d}": now for n in range(len(values))})
    elif how == "scores":
        await redis.zadd(sorted_, {"a": float("inf"), "b": 1e308, "c": now + 1e6, "d": -1.0})
    else:
        names = [f"n{n:015d}" for n in range(3000)]
        await redis.zadd(sorted_, dict.fromkeys(names, now))


@pytest.mark.parametrize("how", HOSTILE)
async def test_whatever_redis_holds(server: RedisServer, namespace: str, how: str) -> None:
    """What is written afterwards arrives."""
    async with replicas(server, namespace) as (one, other):
        await spoil(one, how)
        one.served(A.key)
        await eventually(lambda: other.accounts() == (A.key,))
        other.feed._cursor = feed.FROM_START
        await other.feed.read(other.link)
        one.served(B.key)
        await eventually(lambda: other.accounts() == (A.key, B.key))


@pytest.mark.parametrize(
    "news",
    [[], ["a"], ["id", "a"], ["id", 7, None], ["id", "a" * 16, "x"], ["id", {}, []], ["id", "\0", "\0"]],
    ids=["none", "alone", "odd", "numbers", "value", "types", "zeros"],
)  # fmt: skip
async def test_whatever_is_published(server: RedisServer, news: list[Any]) -> None:
    one = One(server.url, "news")
    one.feed.heard(news)
    assert one.shared.size == 0
    await one.link.close()


async def test_old_sessions_leave_redis(server: RedisServer, namespace: str) -> None:
    async with replicas(server, namespace, 1) as (one,):
        redis, old = one.link.redis, time.time() - LIFETIME - 1
        names = one.link.names
        for n in range(3):
            await redis.hset(names.key("sessions"), f"{n:016d}", f"{int(old * 1000)}\n{A.key}")
            await redis.zadd(names.key("sessions", "written"), {f"{n:016d}": old})
        await one.feed.read(one.link)
        assert await redis.zcard(names.key("sessions", "written")) == 0
        assert await redis.hlen(names.key("sessions")) == 0


async def test_of_two_places_the_newest_is_kept(server: RedisServer, namespace: str) -> None:
    """In whatever order they are written."""
    one, other = One(server.url, namespace), One(server.url, namespace)
    now = time.time()
    one.served(A.key, now=now)
    other.served(B.key, now=now - 30)
    for each in (one, other, one):
        each.shared.write_all()
        await each.feed.push(each.link)
    late = One(server.url, namespace)
    await late.feed.read(late.link)
    assert late.accounts() == (A.key,)
    for each in (one, other, late):
        await each.link.close()
