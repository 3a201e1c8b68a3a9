"""Redis for threads: asks the proxy's link from a thread, or a command's own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from neurolink_mitm.cluster.redis.link import AwayError, Link

LIMIT = 2.0
"""Seconds for an answer: longer than the link's own limits, for a loop that is busy."""


class BlockingLink:
    """Asks the link that lives on an event loop, from other threads."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._link = link
        self._loop = loop
        self.namespace = link.names.namespace
        self.channel = link.names.news

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Return what a script answers. Blocks. Raises `AwayError`, `RefusedError`."""
        command = self._link.script(name, keys, arguments)
        try:
            asked = asyncio.run_coroutine_threadsafe(command, self._loop)
        except RuntimeError as e:  # the loop has ended
            command.close()
            raise AwayError("the proxy ends") from e
        try:
            return asked.result(LIMIT)
        except (TimeoutError, concurrent.futures.CancelledError) as e:
            asked.cancel()
            raise AwayError("no answer in time") from e


@contextmanager
def link_in_thread(link: Link) -> Iterator[BlockingLink]:
    """Give a command's link a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="redis", daemon=True)
    thread.start()
    try:
        yield BlockingLink(link, loop)
    finally:
        closing = asyncio.run_coroutine_threadsafe(link.close(), loop)
        concurrent.futures.wait([closing], LIMIT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT)
        if not thread.is_alive():
            loop.close()
