"""Names, addresses, sockets: what comes before the first byte."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress
from pathlib import Path

import certifi
import pytest

from neurolink_mitm.core.request.target import UpstreamKey, Via
from neurolink_mitm.dataplane.upstreams.dial import DialError, dial
from neurolink_mitm.dataplane.upstreams.opening import NEXT_ADDRESS
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust
from neurolink_mitm.dataplane.upstreams.tunnel import Unused
from tests.connect_proxy import Authority, dead_proxy
from tests.dataplane.upstreams.loops import (
    LIMIT,
    Recorder,
    deaf,
    dialled,
    drop_garbage,
    echoed,
    has_ipv6,
    no_descriptors,
    no_socket_left,
    refused,
    resolve,
    server_context,
    serving,
    trusting,
)


async def test_nobody_listens() -> None:
    with dead_proxy() as address, no_socket_left():
        error = await refused(UpstreamKey("127.0.0.1", int(address.split(":")[1]), tls=False))
    assert (str(error), error.permanent) == ("Connection refused", False)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("nothing.invalid", "the name nothing.invalid is not known here"),
        ("a..b", "'a..b' can't be the name of a server"),
        (".b", "'.b' can't be the name of a server"),
        ("a" * 64, "can't be the name of a server"),
        ("a\r\nb", "'a\\r\\nb' can't be the name of a server"),
    ],
    ids=["unknown", "empty-label", "dot", "long-label", "lines"],
)
async def test_names_that_lead_nowhere(
    monkeypatch: pytest.MonkeyPatch, host: str, said: str
) -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    resolve(monkeypatch, error, host=host)
    assert said in str(await refused(UpstreamKey(host, 443, tls=True)))


async def test_a_name_that_can_not_be_looked_up_now(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))
    error = await refused(UpstreamKey("upstream.example", 80, tls=False))
    assert str(error) == (
        "the name upstream.example can't be looked up: Temporary failure in name resolution"
    )
    assert not error.permanent


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_a_host_of_ipv6_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(host="::1") as port:
        both = [("127.0.0.1", port), ("::1", port, 0, 0)]
        resolve(monkeypatch, both)
        for host in ("::1", "upstream.example"):
            async with dialled(UpstreamKey(host, port, tls=False)) as connection:
                assert await echoed(connection) == b"hello"
                assert connection.peername[0] == "::1"


async def test_an_address_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as port:
        with deaf() as silent:
            resolve(monkeypatch, [silent, ("127.0.0.1", port)])
            async with dialled(UpstreamKey("upstream.example", port, tls=False)) as connection:
                assert await echoed(connection) == b"hello"
                assert NEXT_ADDRESS * 0.9 < connection.connect_seconds < 10 * NEXT_ADDRESS


async def test_no_descriptor_is_left(certificate: Path, authority: Authority) -> None:
    trust = trusting(authority.path)
    async with serving(context=server_context(certificate)) as port:
        async with dialled(UpstreamKey("localhost", port, tls=True), trust):
            pass
        with no_descriptors():
            error = await refused(UpstreamKey("127.0.0.1", port, tls=True), trust)
    assert (str(error), error.permanent) == ("Too many open files", False)


async def test_no_descriptor_is_left_for_the_list_of_authorities() -> None:
    trust = UpstreamTrust()
    certifi.where()
    with no_descriptors():
        error = await refused(UpstreamKey("127.0.0.1", 1, tls=True), trust)
    assert "Too many open files" in str(error)
    assert not error.permanent
    async with asyncio.timeout(LIMIT):
        assert await trust.context("127.0.0.1")


STAGES = ["tcp", "tls", "connect", "tls-in-tunnel", "tls-of-proxy", "connect-in-tls", "tls-in-tls"]


@pytest.mark.parametrize("stage", STAGES)
async def test_cancelling_closes_the_socket(
    stage: str, authority: Authority, certificate: Path
) -> None:
    """The server falls silent at this stage."""
    reached, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if stage.startswith("tls-in"):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
            await reader.read(100)
            reached.set()
            while await reader.read(1000):
                pass
        writer.close()
        gone.set()

    drop_garbage()
    trust = trusting(authority.path)
    await trust.context("localhost")
    tls_of_server = stage in ("connect-in-tls", "tls-in-tls")
    context = server_context(certificate) if tls_of_server else None
    async with serving(serve, context) as port:
        scheme = "https" if "tls-of" in stage or tls_of_server else "http"
        via = None if stage in ("tcp", "tls") else Via.parse(f"{scheme}://localhost:{port}")
        with deaf() as silent, no_socket_left():
            at = silent if stage == "tcp" else ("localhost", port)
            dialling = asyncio.create_task(dial(UpstreamKey(*at, True, via), Recorder, trust))
            if stage != "tcp":
                async with asyncio.timeout(LIMIT):
                    await reached.wait()
            else:
                await asyncio.sleep(0.05)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling
            del dialling
            if stage != "tcp":
                async with asyncio.timeout(LIMIT):
                    await gone.wait()
            await asyncio.sleep(0.05)
            gc.collect()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_connection_that_is_of_no_use_is_closed(
    authority: Authority, certificate: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    def check(_: Unused) -> None:
        raise DialError("of no use")

    monkeypatch.setattr(Unused, "check", check)
    async with serving(context=server_context(certificate) if tls else None) as port:
        with no_socket_left():
            error = await refused(UpstreamKey("localhost", port, tls), trusting(authority.path))
            await asyncio.sleep(0.01)
    assert str(error) == "of no use"


@pytest.mark.parametrize("tunnel", [False, True], ids=["direct", "tunnel"])
async def test_a_socket_that_the_loop_does_not_take_is_closed(
    monkeypatch: pytest.MonkeyPatch, tunnel: bool
) -> None:
    sockets = []

    async def refuse(*_: object, sock: socket.socket, **__: object) -> None:
        sockets.append(sock)
        raise RuntimeError("no more handles")

    async with serving() as port:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", refuse, raising=False)
        via = Via.parse(f"127.0.0.1:{port}") if tunnel else None
        error = await refused(UpstreamKey("127.0.0.1", port, False, via))
    assert str(error) == "no more handles"
    assert [sock.fileno() for sock in sockets] == [-1]
