"""Reads from a client so that little of what it has sent stays in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LARGE = 4096
"""Bytes of a piece that is worth splitting."""
TAIL = 64
"""Bytes that are left for the last piece."""


class ClientReader:
    """A client's reader, for mitmproxy's task.

    That task holds the piece that it has read until the next one comes: of a request of 115 KB, 50 KB for as long as
    the response takes. So, where there are many clients, the last bytes of a piece come as a piece of their own.
    """

    def __init__(
        self, reader: asyncio.StreamReader, are_many: Callable[[], bool], *, unread: bool = False
    ) -> None:
        """`unread`: something may have come already, which mitmproxy gets a turn of the loop later.

        Its task of Python 3.12 and later, which begins at once, would handle that before it is known itself.
        """
        self._reader = reader
        self._unread = unread
        self._are_many = are_many
        self._tail = b""

    async def read(self, most: int) -> bytes:
        """Return up to `most` bytes; none at the end."""
        if self._unread:
            self._unread = False
            await asyncio.sleep(0)
        if self._tail:
            tail, self._tail = self._tail, b""
            return tail
        data = await self._reader.read(most)
        if len(data) <= LARGE or not self._are_many():
            return data
        self._tail = data[-TAIL:]
        return data[:-TAIL]
