"""`python -m neurolink_mitm.translator`: started by the proxy, and ended by its end."""

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
from typing import TypeVar

import msgspec
import uvicorn

from neurolink_mitm.core.translator_setup import Listening, Setup, read_setup
from neurolink_mitm.translator.certificates import take_what_the_proxy_takes

logger = logging.getLogger("neurolink.translator")

T = TypeVar("T")


class Setups:
    """The latest one; each line on standard input brings another."""

    def __init__(self, first: Setup) -> None:
        self.latest = first

    async def follow(self, lines: asyncio.StreamReader) -> None:
        """Until standard input ends: the proxy is gone."""
        while line := await lines.readline():
            with contextlib.suppress(msgspec.MsgspecError):
                self.latest = read_setup(line)


async def serve(first: Setup, lines: asyncio.StreamReader) -> None:
    from neurolink_mitm.translator.app import make_app
    from neurolink_mitm.translator.engine import LiteLlm

    setups = Setups(first)
    following = asyncio.create_task(setups.follow(lines))
    engine = await asyncio.to_thread(_with_few_collections, LiteLlm)
    config = uvicorn.Config(
        make_app(engine, lambda: setups.latest),
        lifespan="off", log_config=None, access_log=False, server_header=False, ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        _say(Listening(listener.getsockname()[1]))
        await asyncio.wait((following, serving), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving


def _with_few_collections(make: Callable[[], T]) -> T:
    """What is made, an import of thousands of modules, stays: to look through it again and again takes a second."""
    before = gc.get_threshold()
    gc.set_threshold(100_000)
    try:
        return make()
    finally:
        gc.freeze()
        gc.set_threshold(*before)


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    first = await lines.readline()
    try:
        setup = read_setup(first)
    except msgspec.MsgspecError as e:
        sys.exit(f"neurolink translator: no setup on standard input: {e}")
    await serve(setup, lines)


def _say(listening: Listening) -> None:
    sys.stdout.write(msgspec.json.encode(listening).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    take_what_the_proxy_takes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the proxy's affair
    logging.Formatter.converter = time.gmtime  # as everywhere
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%SZ",
    )  # fmt: skip
    asyncio.run(main())
