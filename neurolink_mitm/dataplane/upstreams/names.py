"""Looks up the addresses of hosts, anew for each connection: they change."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any

AddressInfos = list[Any]
"""As `socket.getaddrinfo` returns them."""
Lookup = asyncio.Future[AddressInfos]

_RUNNING: dict[tuple[asyncio.AbstractEventLoop, str, int], Lookup] = {}
"""The look-ups that are running: a thousand clients who come at once share one."""


async def addresses_of(host: str, port: int) -> AddressInfos:
    """Return the addresses of a host. Raises `OSError`, `UnicodeError`."""
    with suppress(socket.gaierror):  # an address takes no thread
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric)
    asked = asyncio.get_running_loop(), host, port
    lookup = _RUNNING.get(asked)
    if lookup is None:
        lookup = _RUNNING[asked] = _start(host, port)
        lookup.add_done_callback(lambda done: _end(asked, done))
    return await asyncio.shield(lookup)


def _end(asked: tuple[asyncio.AbstractEventLoop, str, int], done: Lookup) -> None:
    del _RUNNING[asked]
    if not done.cancelled():
        done.exception()  # it is no news where all who asked have gone


def _start(host: str, port: int) -> Lookup:
    """Start a look-up in a thread of its own.

    One that hangs, without a network, takes no thread from other work, and does not hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    lookup: Lookup = loop.create_future()

    def settle(result: AddressInfos | None, error: Exception | None) -> None:
        if lookup.done():
            return
        if error:
            lookup.set_exception(error)
        else:
            lookup.set_result(result or [])

    def work() -> None:
        found, fault = None, None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as e:
            fault = e
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(partial(settle, found, fault))

    threading.Thread(target=work, name="neurolink-lookup", daemon=True).start()
    return lookup
