"""Look-ups of names."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading

import pytest

from neurolink_mitm.dataplane.upstreams.names import _RUNNING, addresses_of
from tests.dataplane.upstreams.loops import LIMIT, drop_garbage, resolve

HOST = "upstream.example"


async def look_up(host: str = HOST) -> list[str]:
    async with asyncio.timeout(LIMIT):
        return [address[4][0] for address in await addresses_of(host, 80)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_address_takes_no_thread(address: str) -> None:
    coroutine = addresses_of(address, 80)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert [each[4][:2] for each in done.value.value] == [(address, 80)]


async def test_names_are_looked_up_each_time_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = resolve(monkeypatch, [("10.0.0.1", 80)], [("10.0.0.2", 80), ("::1", 80, 0, 0)])
    assert await look_up() == ["10.0.0.1"]
    assert await look_up() == ["10.0.0.2", "::1"]
    assert all(thread is not threading.main_thread() and thread.daemon for thread in threads)


async def test_many_at_once_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = resolve(monkeypatch, [("10.0.0.1", 80)])
    impatient, *others = [asyncio.create_task(look_up()) for _ in range(20)]
    await asyncio.sleep(0)
    impatient.cancel()
    assert await asyncio.gather(*others) == [["10.0.0.1"]] * 19
    assert impatient.cancelled()
    assert len(threads) == 1
    assert not _RUNNING


async def test_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, socket.gaierror(socket.EAI_NONAME, "not known"), [("10.0.0.1", 80)])
    with pytest.raises(socket.gaierror, match="not known"):
        await look_up()
    assert await look_up() == ["10.0.0.1"]


async def test_a_failure_that_nobody_waits_for_any_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drop_garbage()
    fails = threading.Event()

    def lookup(*_: object, flags: int = 0, **__: object) -> None:
        assert flags or fails.wait(LIMIT)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    waiting = asyncio.create_task(look_up())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    del waiting  # which holds the look-up by its traceback
    running = [*_RUNNING.values()]
    fails.set()
    await asyncio.wait(running)
    running.clear()
    gc.collect()
    assert not _RUNNING
    assert not caplog.records


def test_one_that_hangs_does_not_hold_up_the_end_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs = threading.Event()

    def lookup(*_: object, flags: int = 0, **__: object) -> None:
        assert flags or hangs.wait(LIMIT)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await addresses_of(HOST, 80)

    asyncio.run(give_up())
    hangs.set()
    for thread in threading.enumerate():
        if thread.name == "neurolink-lookup":
            thread.join(LIMIT)
    _RUNNING.clear()
