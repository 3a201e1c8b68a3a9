from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from neurolink_mitm.dataplane import descriptors
from neurolink_mitm.dataplane.descriptors import (
    Shortage,
    clients_within,
    is_shortage,
    raise_limit,
)
from tests.dataplane.upstreams.loops import no_descriptors

resource = pytest.importorskip("resource")


@pytest.mark.parametrize(
    ("limit", "clients"), [(65_536, 32_736), (1024, 480), (256, 96), (64, 8), (0, 8)]
)
def test_how_many_clients_fit(limit: int, clients: int) -> None:
    assert clients_within(limit) == clients


def test_the_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        most = (
            descriptors.WANTED if hard == resource.RLIM_INFINITY else min(hard, descriptors.WANTED)
        )
        assert raise_limit() == most
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
        assert raise_limit() == most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_new_clients_are_turned_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As asyncio says it, which does so a hundred times in a row."""
    shortage = Shortage()
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        shortage.watch(loop)
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            for _ in range(100):
                loop.call_exception_handler(
                    {
                        "message": "socket.accept() out of system resource",
                        "exception": OSError(errno.EMFILE, "Too many open files"),
                        "socket": listener,
                    }
                )
            assert client.recv(1) == b""
        assert listener.fileno() > 0
    shortage.close()
    assert len(caplog.messages) == 1


async def test_new_clients_wait_where_descriptors_can_be_made_free() -> None:
    """Those are free a moment later. Where asyncio comes again, and there are none, clients are turned away."""
    room = [True, False]
    shortage = Shortage(lambda: room.pop(0))
    loop = asyncio.get_running_loop()
    shortage.watch(loop)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        fault = {"exception": OSError(errno.EMFILE, "Too many open files"), "socket": listener}
        with socket.create_connection(listener.getsockname(), timeout=30) as client:
            client.setblocking(False)
            for _ in range(100):
                loop.call_exception_handler({"message": "", **fault})
            with pytest.raises(BlockingIOError):
                client.recv(1)
            client.settimeout(30)
            shortage._room_until = loop.time()
            loop.call_exception_handler({"message": "", **fault})
            assert client.recv(1) == b""
    shortage.close()


def test_a_shortage_is_known_by_its_cause_or_by_itself() -> None:
    assert is_shortage(OSError(errno.EMFILE, "Too many open files"))
    assert not is_shortage(OSError(errno.ECONNREFUSED, "Connection refused"))
    with no_descriptors():
        assert is_shortage(socket.gaierror(socket.EAI_AGAIN, "Temporary failure"))
    assert not is_shortage(None)


async def test_other_faults_go_to_whom_they_went() -> None:
    heard: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    shortage = Shortage()
    shortage.watch(loop)
    loop.call_exception_handler({"message": "why"})
    shortage.close()
    assert [context["message"] for context in heard] == ["why"]
