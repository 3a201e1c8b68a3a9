"""Replicas and a real Redis, which hangs, dies, comes back empty, or holds what others have written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from neurolink_mitm.cluster import replica as module
from neurolink_mitm.cluster.redis.link import AwayError, Link, RefusedError
from neurolink_mitm.cluster.replica import Replica, read_tick
from neurolink_mitm.core.cluster.breaker import State
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.feeds import FakeFeed, until
from tests.cluster.redis_server import RedisServer

pytestmark = pytest.mark.real("redis")
STOP = 0.5
"""Seconds that a stop may take."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have replicas read ten times a second."""
    monkeypatch.setattr(module, "EVERY", 0.1)
    monkeypatch.setattr(module, "AGAIN", 0.1)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """For tests that leave it as it is: each has a namespace of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def replica(url: str, name: str = "a", namespace: str = "nl") -> Replica:
    return Replica(Link(Secret(url), namespace), name, lambda _: Member(name=name))


@asynccontextmanager
async def running(
    server: RedisServer, *feeds: FakeFeed, name: str = "a", namespace: str = "nl"
) -> AsyncIterator[Replica]:
    made = replica(server.url, name, namespace)
    made.share(feeds)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url) as redis:
        yield redis


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "neurolink.cluster"]


async def test_replicas_of_a_namespace_see_each_other(shared_server: RedisServer) -> None:
    async with (
        running(shared_server, name="a", namespace="one") as a,
        running(shared_server, name="b", namespace="one") as b,
        running(shared_server, name="c", namespace="another") as other,
    ):
        await until(lambda: set(a.members) == set(b.members) == {"a", "b"}, "members")
        assert (set(other.members), a.count) == ({"c"}, 2)


async def test_one_that_stops_is_gone_at_once(shared_server: RedisServer) -> None:
    async with running(shared_server, name="a", namespace="stop") as a:
        async with running(shared_server, FakeFeed(), name="b", namespace="stop"):
            await until(lambda: set(a.members) == {"a", "b"}, "members")
        async with client(shared_server) as redis:
            assert await redis.zrange("{stop}:alive", 0, -1) == [b"a"]
            assert await redis.hkeys("{stop}:members") == [b"a"]


async def test_a_feed_is_pushed_when_woken_and_read_each_second(shared_server: RedisServer) -> None:
    feed = FakeFeed()
    async with running(shared_server, feed, namespace="feed") as made:
        assert (feed.readings, feed.losses) == (1, 1)
        before = feed.pushes
        made.wake("things")
        made.wake("unheard-of")
        await until(lambda: feed.pushes == before + 1, "push")
        await until(lambda: feed.readings == 2, "reading")
        assert (feed.left, feed.closed) == (0, 0)
    assert (feed.left, feed.closed) == (1, 1)


@pytest.mark.parametrize("fault", [RefusedError("WRONGTYPE"), KeyError("x"), TypeError()], ids=str)
async def test_a_feed_that_fails_is_told_once_and_stops_no_other(
    shared_server: RedisServer, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = FakeFeed("bad", fault), FakeFeed("good")
    async with running(shared_server, bad, good, namespace="bad") as made:
        await until(lambda: good.readings >= 2 and bad.readings >= 2, "readings")
        assert list(made.failing) == ["bad"]
        assert made.link.breaker.state is State.CLOSED
        bad.fault = None
        await until(lambda: not made.failing, "a good push")
    assert len([line for line in lines(caplog) if line.startswith("bad: not shared")]) == 1


async def test_a_feed_that_hangs_stops_no_other(
    shared_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEED_LIMIT", 0.1)
    bad, good = FakeFeed("bad", hang=True), FakeFeed("good")
    async with running(shared_server, bad, good, namespace="hang") as made:
        await until(lambda: good.readings >= 2, "readings")
        assert list(made.failing) == ["bad"]


@pytest.mark.parametrize("key", ["members", "alive", "epoch"])
async def test_a_key_that_someone_else_has_written_is_replaced(
    shared_server: RedisServer, key: str
) -> None:
    async with client(shared_server) as redis, running(shared_server, namespace=key) as made:
        await redis.delete(f"{{{key}}}:{key}")
        await redis.xadd(f"{{{key}}}:{key}", {"a": "b"})
        before = made.read_at
        await until(lambda: made.read_at != before, "a reading")
        assert set(made.members) == {"a"}


BAD_NEWS: dict[str, bytes] = {
    "empty": b"",
    "no msgpack": b"\xc1\xff",
    "no list": msgspec.msgpack.encode({"a": 1}),
    "no kind": msgspec.msgpack.encode([]),
    "no sender": msgspec.msgpack.encode(["things"]),
    "kind of another type": msgspec.msgpack.encode([["things"], {"a": 1}, 3]),
    "unheard-of kind": msgspec.msgpack.encode(["other", "b", 1]),
    "deep": b"\x91" * 100_000,
    "long": msgspec.msgpack.encode(["things", "b", "x" * 1_000_000]),
    "cut off": msgspec.msgpack.encode(["things", "b", 1])[:-1],
    "no text": b"\x93\xa6things\xa2\xff\xfe\x01",
    "beat of nothing": msgspec.msgpack.encode(["beat"]),
    "many": msgspec.msgpack.encode(["things", "b", *range(200_000)]),
}


async def test_news_are_heard_and_bad_ones_ignored(
    shared_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    feed = FakeFeed(fault=ValueError("no"))
    async with client(shared_server) as redis, running(shared_server, feed, namespace="n") as made:
        await until(lambda: made.news.hearing, "the subscription")
        caplog.clear()
        for data in (*BAD_NEWS.values(), *BAD_NEWS.values()):
            await redis.publish("{n}:news", data)
        await redis.publish("{n}:news", msgspec.msgpack.encode(["things", "a", "own news"]))
        await redis.publish("{n}:news", msgspec.msgpack.encode(["things", "b", 1, 2.5, "é"]))
        await until(lambda: ["b", 1, 2.5, "é"] in feed.news, "good news")
        assert ["a", "own news"] not in feed.news
        assert max(map(len, feed.news)) < 100
        assert made.news.hearing
    assert len([line for line in lines(caplog) if "can't be read" in line]) == 2  # a kind


async def test_the_beat_of_each_tick_is_heard(shared_server: RedisServer) -> None:
    async with running(shared_server, namespace="beat") as made:
        await until(lambda: made.heard_after is not None, "the beat")
        assert made.heard_after is not None
        assert 0 < made.heard_after < 1


async def test_a_subscription_that_ends_is_made_again(shared_server: RedisServer) -> None:
    feed = FakeFeed()
    async with client(shared_server) as redis, running(shared_server, feed, namespace="k") as made:
        await until(lambda: made.news.hearing, "the subscription")
        await redis.client_kill_filter(_type="pubsub")
        await until(lambda: not made.news.hearing, "the end")
        await until(lambda: made.news.hearing, "the subscription")
        await redis.publish("{k}:news", msgspec.msgpack.encode(["things", "b", 1]))
        await until(lambda: feed.news == [["b", 1]], "news")


async def test_redis_emptied_between_two_ticks_is_noticed(shared_server: RedisServer) -> None:
    feed = FakeFeed()
    async with client(shared_server) as redis, running(shared_server, feed, namespace="e") as made:
        keys = [key async for key in redis.scan_iter("{e}:*")]
        assert len(keys) == 3
        await redis.delete(*keys)
        await until(lambda: feed.losses == 2, "the loss")
        await until(lambda: feed.readings >= 3, "a reading")
        assert (feed.losses, set(made.members)) == (2, {"a"})


async def test_redis_that_hangs(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Two log lines, members as before; when it goes on, so do readings, and nothing counts as lost."""
    feed = FakeFeed()
    async with running(redis_server, feed) as made:
        caplog.clear()
        redis_server.hang()
        await until(lambda: made.link.breaker.is_open, "the breaker")
        readings = feed.readings
        assert (set(made.members), made.count) == ({"a"}, 1)
        redis_server.go_on()
        await until(lambda: feed.readings > readings and made.news.hearing, "a reading")
        assert feed.losses == 1
    assert [line.split(" (")[0] for line in lines(caplog)] == ["Redis is away", "Redis is back"]


async def test_redis_that_dies_and_comes_back_empty(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Feeds have much to write then, so they begin one after the other, and requests between them."""
    feed, other = FakeFeed(), FakeFeed("other")
    monkeypatch.setattr(module, "APART", 0.2)
    async with running(redis_server, feed, other) as made:
        caplog.clear()
        redis_server.kill()
        await until(lambda: made.link.breaker.is_open, "the breaker")
        before, readings = feed.readings, other.readings
        redis_server.start()
        await until(lambda: feed.readings > before, "a reading")
        assert other.readings == readings
        await until(lambda: other.readings > readings, "a reading of the other")
        await until(lambda: feed.losses == 2 and made.news.hearing, "the loss")
        await until(lambda: set(made.members) == {"a"}, "members")
    assert [line.split(" (")[0] for line in lines(caplog)] == ["Redis is away", "Redis is back"]


async def test_redis_that_comes_back_with_its_old_epoch_may_have_lost_the_last_seconds(
    redis_server: RedisServer,
) -> None:
    feed = FakeFeed()
    async with running(redis_server, feed):
        async with client(redis_server) as redis:
            epoch = await redis.get("{nl}:epoch")
        redis_server.kill()
        redis_server.start()
        async with client(redis_server) as redis:
            await redis.set("{nl}:epoch", epoch)
        await until(lambda: feed.losses == 2, "the loss")


async def test_redis_that_wants_a_password_is_away(redis_server: RedisServer) -> None:
    async with client(redis_server) as redis, running(redis_server, FakeFeed()) as made:
        await redis.config_set("requirepass", "a-password")
        await redis.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: made.link.breaker.is_open, "the breaker")
        assert made.link.breaker.reason.startswith("NOAUTH")
        await redis.config_set("requirepass", "")
        await until(lambda: not made.link.breaker.is_open, "an answer")


@pytest.mark.parametrize("state", ["hung", "dead", "open breaker"])
async def test_a_stop_does_not_wait_for_redis(redis_server: RedisServer, state: str) -> None:
    made, feed = replica(redis_server.url), FakeFeed()
    made.share([feed])
    await made.start()
    redis_server.hang() if state == "hung" else redis_server.kill()
    if state == "open breaker":
        await until(lambda: made.link.breaker.is_open, "the breaker")
    began = time.monotonic()
    await made.stop()
    assert time.monotonic() - began < STOP
    assert feed.closed == 1


async def test_a_start_without_redis_waits_a_second_at_most(redis_server: RedisServer) -> None:
    redis_server.hang()
    made, feed = replica(redis_server.url), FakeFeed()
    made.share([feed])
    began = time.monotonic()
    await made.start()
    assert 0.9 < time.monotonic() - began < 1.2
    redis_server.go_on()
    await until(lambda: feed.readings, "a reading")
    await made.stop()


async def test_connections_are_few_and_end_with_the_replica(redis_server: RedisServer) -> None:
    async with client(redis_server) as redis:
        feeds = [FakeFeed(str(n)) for n in range(20)]
        async with running(redis_server, *feeds) as made:
            await until(lambda: made.news.hearing, "the subscription")
            calls = [made.link.ask(lambda redis: redis.ping()) for _ in range(100)]
            assert set(await asyncio.gather(*calls)) == {True}
            assert len(await redis.client_list()) <= 10
        await asyncio.sleep(0.05)
        assert len(await redis.client_list()) == 1


@pytest.mark.parametrize(
    "answer",
    [None, b"OK", [], [b"x", b"", []], [b"nan", b"", []], [b"1", b"", [b"a"]], [1, 2, 3]],
    ids=str,
)
def test_an_answer_of_another_form_is_none(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"form|returns|time|unpack|convert|shorter"):
        read_tick(answer)


@pytest.mark.parametrize("fault", [None, AwayError("refused at once")], ids=["done", "away"])
async def test_a_feed_that_wakes_itself_with_each_push_leaves_the_loop_to_others(
    shared_server: RedisServer, fault: Exception | None
) -> None:
    made = replica(shared_server.url, namespace=f"spin {fault}")

    class WakesItself(FakeFeed):
        async def push(self, link: Link) -> None:
            self.pushes += 1
            if self.pushes < 10_000:  # without an end, the test would hang instead of failing
                made.wake(self.kind)
            if self.fault:
                raise self.fault

    feed = WakesItself(fault=fault)
    made.share([feed])
    await made.start()
    try:
        await until(lambda: feed.pushes > 3, "pushes")
        await asyncio.sleep(0.1)
        assert feed.pushes < 60
    finally:
        await made.stop()
