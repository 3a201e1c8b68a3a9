"""What a caller sees of a Redis that misbehaves: an error, within limits, and nothing that stays behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import Any

import psutil
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from neurolink_mitm.cluster.redis.connection import COMMAND_LIMIT, CONNECT_LIMIT, Server
from neurolink_mitm.cluster.redis.link import CONNECTIONS, AwayError, Link, RefusedError, text_of
from neurolink_mitm.core.cluster import breaker
from neurolink_mitm.core.cluster.breaker import MOST_ERRORS, Breaker, State
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.bad_server import (
    Behaviour,
    answering,
    bad_server,
    closing,
    dribbling,
    endless,
    silent,
)

LIMIT = CONNECT_LIMIT + COMMAND_LIMIT + 0.15
"""Seconds that a caller waits at most; 0.15 are for a slow machine."""


async def ping(redis: Redis) -> Any:
    return await redis.ping()


async def get(redis: Redis) -> Any:
    return await redis.get("key")


async def refused(link: Link, command: Any = ping) -> str:
    with pytest.raises(AwayError) as caught:
        await link.ask(command)
    return str(caught.value)


BAD: dict[str, Behaviour] = {
    "silent": silent,
    "closing": closing,
    "dribbling": dribbling,
    "endless": endless,
    "http": answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "zeros": answering(b"\0" * 1000),
    "deep": answering(b"*1\r\n" * 100_000),
    "wide": answering(b"*2000000000\r\n"),
    "negative": answering(b"$-7\r\n"),
    "no number": answering(b"*x\r\n"),
    "loading": answering(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "no login": answering(b"-NOAUTH Authentication required.\r\n"),
    "wrong login": answering(b"-WRONGPASS invalid username-password pair\r\n"),
    "read-only": answering(b"-READONLY You can't write against a read only replica.\r\n"),
    "full": answering(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
    "full, in a script": answering(
        b"-ERR Error running script: @user_script:2: OOM command not\r\n"
    ),
    "protected": answering(b"-DENIED Redis is running in protected mode\r\n"),
    "no disk": answering(b"-MISCONF Redis is configured to save RDB snapshots\r\n"),
    "no script": answering(b"-NOSCRIPT No matching script.\r\n"),
    "busy": answering(b"-BUSY Redis is busy running a script.\r\n"),
    "moved": answering(b"-MOVED 1 10.0.0.1:6379\r\n"),
    "too many clients": answering(b"-ERR max number of clients reached\r\n"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_server_is_away_within_the_limits(name: str) -> None:
    async with bad_server(BAD[name]) as url:
        link = Link(url, "nl")
        began = time.monotonic()
        await refused(link, get)
        assert time.monotonic() - began < LIMIT
        await link.close()


@pytest.mark.parametrize(
    "pieces", [(b"*2000000000\r\n",), (b"*1\r\n*20", b"00000000\r\n"), (b"%1000000\r\n",)]
)
async def test_room_is_not_made_for_a_million_parts(pieces: tuple[bytes, ...]) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        await reader.read()

    async with bad_server(behave) as url:
        link = Link(url, "nl")
        assert "too long" in await refused(link, get)
        await link.close()


async def test_a_text_with_large_numbers_is_read() -> None:
    text = b"prompt is too long: >1000000\r\n|1234567 and *1234567\r\n*1234567\r\n$1\r\n"
    async with bad_server(answering(b"$%d\r\n%b\r\n" % (len(text), text))) as url:
        link = Link(url, "nl")
        for _ in range(3):
            assert await link.ask(get) == text
        await link.close()


async def test_a_script_that_redis_never_knows_is_an_error_not_a_loop() -> None:
    async with bad_server(BAD["no script"]) as url:
        link = Link(url, "nl")
        with pytest.raises(AwayError, match="NOSCRIPT"):
            await link.script("leave", ["members", "alive"], ["a"])
        await link.close()


@pytest.mark.parametrize(
    "answer",
    [b"-WRONGTYPE Operation against a key\r\n", b"-ERR unknown command\r\n", b"-NOPERM no\r\n"],
)
async def test_an_error_of_one_command_does_not_open_the_breaker(answer: bytes) -> None:
    async with bad_server(answering(answer)) as url:
        link = Link(url, "nl")
        for _ in range(2 * MOST_ERRORS):
            with pytest.raises(RefusedError):
                await link.ask(get)
        assert (link.breaker.state, link.errors) == (State.CLOSED, 0)
        await link.close()


async def test_hard_errors_open_the_breaker_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    link = Link(Secret("redis://:a-password@127.0.0.1:1/0"), "nl")
    with caplog.at_level(logging.DEBUG, "neurolink.cluster"):
        reasons = {await refused(link) for _ in range(100)}
    assert link.breaker.state is State.OPEN
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "a-password" not in caplog.text + repr(reasons) + repr(link.server)
    await link.close()


async def test_an_open_breaker_costs_nothing() -> None:
    link = Link(Secret("redis://127.0.0.1:1/0"), "nl")
    for _ in range(MOST_ERRORS):
        await refused(link)
    link.breaker.probed_at = time.monotonic() + 60
    began = time.perf_counter()
    for _ in range(1000):
        await refused(link)
    assert (time.perf_counter() - began) / 1000 < 0.0005
    assert link.errors == MOST_ERRORS
    await link.close()


async def test_timeouts_open_the_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "LONGEST_TIMEOUTS", 0.1)
    async with bad_server(silent) as url:
        link = Link(url, "nl")
        assert await refused(link) == "no answer in time"
        assert not link.breaker.is_open
        await refused(link)
        assert link.breaker.is_open
        await link.close()


async def test_a_hung_server_leaves_no_connections_and_tasks_behind() -> None:
    process = psutil.Process()
    async with bad_server(silent) as url:
        link = Link(url, "nl")
        descriptors = process.num_fds()
        for _ in range(2):
            link.breaker = Breaker()
            calls = [link.ask(get) for _ in range(40)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(result) for result in results} == {AwayError}
        await link.close()
        await asyncio.sleep(0.05)
        gc.collect()
        assert process.num_fds() <= descriptors
        assert [task for task in asyncio.all_tasks() if "link" in str(task.get_coro())] == []


async def test_callers_that_give_up_take_no_connection_with_them() -> None:
    """Each is used again, or closed: 100 callers that wait a moment only, and 100 that are cancelled."""
    async with bad_server(answering(b"+PONG\r\n")) as url:
        link = Link(url, "nl")
        for n in range(100):
            with pytest.raises(AwayError):
                await link.ask(ping, within=0.0)
            task = asyncio.ensure_future(link.ask(ping))
            for _ in range(n % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert await link.ask(ping)
        assert len(link._pool._in_use_connections) == 0
        assert len(link._pool._available_connections) <= CONNECTIONS
        await link.close()


async def test_a_caller_with_less_time_goes_on_while_the_probe_does() -> None:
    async with bad_server(answering(b"+PONG\r\n")) as url:
        link = Link(url, "nl")
        link.breaker.state, link.breaker.probed_at = State.OPEN, -10.0
        with pytest.raises(AwayError, match="within"):
            await link.ask(ping, within=0.0)
        async with asyncio.timeout(5):
            while link.breaker.is_open:  # noqa: ASYNC110 - the probe ends by itself
                await asyncio.sleep(0.01)
        await link.close()


async def test_a_name_that_is_not_known_is_away() -> None:
    link = Link(Secret("redis://no-such-host.invalid:6379/0"), "nl")
    began = time.monotonic()
    await refused(link)
    assert time.monotonic() - began < LIMIT
    await link.close()


async def test_a_database_that_is_not_there_is_away() -> None:
    async with bad_server(answering(b"-ERR DB index is out of range\r\n")) as url:
        link = Link(Secret(url.reveal().removesuffix("/0") + "/99"), "nl")
        assert "DB index is out of range" in await refused(link)
        assert link.breaker.reason
        await link.close()


async def test_tls_is_not_spoken_in_clear() -> None:
    """A server that does not answer TLS gets no byte of the login."""
    received = bytearray()

    async def listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(65536))

    async with bad_server(listening) as url:
        address = url.reveal().removeprefix("redis://")
        link = Link(Secret(f"rediss://:a-password@{address}"), "nl")
        await refused(link)
        await link.close()
    assert received.startswith(b"\x16\x03")
    assert b"a-password" not in received


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ResponseError("ERR no\r\nsecond\x1b[31m line"), "ERR no  second [31m line"),
        (ResponseError(f"WRONGTYPE no script: {'a' * 40}, on @user_script:3."), "WRONGTYPE no"),
        (ResponseError("ERR Protocol error: unauthenticated bulk length"), "NOAUTH Authentication required."),
        (ResponseError("x" * 1000), "x" * 200),
        (KeyError("a"), "KeyError: 'a'"),
        (ResponseError(), "ResponseError"),
    ],
    ids=["lines", "script", "no login", "long", "bug", "empty"],
)  # fmt: skip
def test_an_error_is_one_short_line(error: Exception, text: str) -> None:
    assert text_of(error) == text


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://127.0.0.1:7000/3", Server("127.0.0.1", 7000, 3, None, None, False)),
        ("rediss://r.example", Server("r.example", 6379, 0, None, None, True)),
        ("redis://:p%40ss@[::1]:1", Server("::1", 1, 0, None, Secret("p@ss"), False)),
        ("redis://u%3A:p:p@h/", Server("h", 6379, 0, "u:", Secret("p:p"), False)),
    ],
    ids=["db", "tls", "ipv6", "user"],
)
def test_a_url_says_how_to_connect(url: str, server: Server) -> None:
    assert Server.of(Secret(url)) == server
    assert "p@ss" not in repr(server)
