"""Who issued a certificate that was refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams import issuer
from neurolink_mitm.dataplane.upstreams.issuer import MAX_HOSTS, remember_issuer
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust
from tests.connect_proxy import COMPANY, dead_proxy
from tests.dataplane.upstreams.loops import LIMIT, echo, no_socket_left, server_context, serving


async def look(key: UpstreamKey, trust: UpstreamTrust) -> None:
    async with asyncio.timeout(LIMIT):
        await remember_issuer(key, trust)


async def test_many_who_ask_at_once_look_once_a_minute(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, received = [], []

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):  # hung up on
            received.append(await reader.read())

    context = server_context(certificate)
    context.sni_callback = lambda _, name, __: looks.append(name)
    trust = UpstreamTrust()
    async with serving(serve, context) as port:
        key = UpstreamKey("localhost", port, tls=True)
        await asyncio.gather(*(look(key, trust) for _ in range(20)))
        await look(key, trust)
        assert trust.issuers == {"localhost": f"CN={COMPANY}"}
        assert looks == ["localhost"]
        monkeypatch.setattr(issuer, "AGAIN", 0)
        await look(key, trust)
        assert looks == ["localhost"] * 2
    assert b"".join(received) == b""


async def test_one_that_can_not_be_read() -> None:
    trust = UpstreamTrust()
    with dead_proxy() as address:
        await look(UpstreamKey("127.0.0.1", int(address.split(":")[1]), tls=True), trust)
    async with serving() as port:  # no TLS
        await look(UpstreamKey("localhost", port, tls=True), trust)
    assert trust.issuers == {"127.0.0.1": "", "localhost": ""}


async def test_one_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer, "LIMIT", 0.05)
    trust = UpstreamTrust()
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        await echo(reader, writer)

    async with serving(serve) as port:
        with no_socket_left():
            await look(UpstreamKey("localhost", port, tls=True), trust)
            await asyncio.sleep(0.05)
        assert arrived.is_set()
    assert trust.issuers == {"localhost": ""}


async def test_who_leaves_meanwhile(certificate: Path) -> None:
    trust = UpstreamTrust()
    async with serving(context=server_context(certificate)) as port:
        key = UpstreamKey("localhost", port, tls=True)
        first, second = (asyncio.create_task(look(key, trust)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
    assert trust.issuers == {"localhost": f"CN={COMPANY}"}


async def test_few_hosts_are_remembered() -> None:
    trust = UpstreamTrust()
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    done.set_result("CN=old")
    trust.issuers |= {str(i): "CN=old" for i in range(MAX_HOSTS)}
    trust.looks |= {str(i): (0.0, done) for i in range(MAX_HOSTS)}
    with dead_proxy() as address:
        await look(UpstreamKey("127.0.0.1", int(address.split(":")[1]), tls=True), trust)
    assert len(trust.issuers) == len(trust.looks) == MAX_HOSTS
    assert "127.0.0.1" in trust.issuers
    assert "0" not in trust.issuers
