"""`python -m neurolink_mitm.translator`: the process that the proxy starts, and that ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec
import uvicorn

from neurolink_mitm.core.providers.translator import Listening, Setup, read_setup
from neurolink_mitm.translator.certificates import verify_like_the_proxy

logger = logging.getLogger("neurolink.translator")

T = TypeVar("T")


class Setups:
    """The latest `Setup`; each line on standard input replaces it."""

    def __init__(self, first: Setup) -> None:
        self.latest = first

    async def follow(self, lines: asyncio.StreamReader) -> None:
        """Read setups until standard input ends: then the proxy is gone."""
        while line := await lines.readline():
            with contextlib.suppress(msgspec.MsgspecError):
                self.latest = read_setup(line)


async def serve(first: Setup, lines: asyncio.StreamReader) -> None:
    """Serve on a free port of loopback until standard input ends; `lines` are further setups."""
    from neurolink_mitm.translator.app import make_app
    from neurolink_mitm.translator.engine import LiteLlm

    setups = Setups(first)
    following = asyncio.create_task(setups.follow(lines))
    make = partial(LiteLlm, first.providers)
    engine = await asyncio.to_thread(_with_few_collections, make)
    config = uvicorn.Config(
        make_app(engine, lambda: setups.latest),
        lifespan="off", log_config=None, access_log=False, server_header=False, ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        _announce(Listening(listener.getsockname()[1]))
        await asyncio.wait((following, serving), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving


def _with_few_collections(make: Callable[[], T]) -> T:
    """Return `make()`, with few garbage collections: an import of thousands of modules stays in memory anyway.

    Collecting meanwhile takes a second.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000)
    try:
        return make()
    finally:
        gc.freeze()
        gc.set_threshold(*before)


async def main() -> None:
    """Read the first setup from standard input, and serve."""
    lines = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    first = await lines.readline()
    try:
        setup = read_setup(first)
    except msgspec.MsgspecError as e:
        sys.exit(f"neurolink translator: no setup on standard input: {e}")
    await serve(setup, lines)


def _announce(listening: Listening) -> None:
    sys.stdout.write(msgspec.json.encode(listening).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    verify_like_the_proxy()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the proxy handles Ctrl-C
    logging.Formatter.converter = time.gmtime  # log files have UTC
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%SZ",
    )  # fmt: skip
    asyncio.run(main())
