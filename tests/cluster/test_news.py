"""A subscription among bad servers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest

from neurolink_mitm.cluster.redis import news as module
from neurolink_mitm.cluster.redis.connection import BoundedConnection
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.redis.news import News
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.bad_server import answering, bad_server
from tests.cluster.feeds import until

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$9\r\n{nl}:news\r\n:1\r\n"


class Flood:
    """A connection on which there is always a message, a hundred thousand times."""

    left = 100_000

    async def read_response(self, **_: object) -> list[Any]:
        self.left -= 1
        if not self.left:
            raise EOFError
        return [b"message", b"{nl}:news", b"x"]


async def test_a_flood_of_news_lets_go_of_the_loop() -> None:
    link = Link(Secret("redis://127.0.0.1:1/0"), "nl")
    flood, turns = Flood(), 0
    hearing = asyncio.ensure_future(
        News(link, lambda data: None)._receive(cast(BoundedConnection, flood))
    )
    while not hearing.done():
        turns += 1
        await asyncio.sleep(0)
    assert isinstance(hearing.exception(), EOFError)
    assert turns > 500, "most of the time is for others"


async def test_a_subscription_that_falls_silent_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.05)
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(SUBSCRIBED)(reader, writer)

    async with bad_server(behave) as url:
        news = News(Link(url, "nl"), lambda data: None)
        hearing = asyncio.ensure_future(news.hear())
        await until(lambda: connections >= 3, "connections")
        hearing.cancel()


@pytest.mark.parametrize(
    "answer",
    [b"-NOPERM no\r\n", b"+OK\r\n", b"?\r\n", b"*3\r\n:1\r\n:2\r\n:3\r\n", b"*0\r\n"],
    ids=str,
)
async def test_a_server_without_news_is_told_once(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.01)
    monkeypatch.setattr(module, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(module, "TOLD_AFTER", 0.0)
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(answer)(reader, writer)

    async with bad_server(behave) as url:
        news = News(Link(url, "nl"), lambda data: None)
        with caplog.at_level(logging.INFO, "neurolink.cluster"):
            hearing = asyncio.ensure_future(news.hear())
            await until(lambda: connections >= 4, "connections")
            hearing.cancel()
        assert not news.hearing
    assert len(caplog.records) == 1
