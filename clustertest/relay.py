"""A TCP relay between one replica and Redis, which can be cut or frozen: a broken network between the two."""

import asyncio
from contextlib import suppress
from typing import Self

from bench.children import HOST

_READ = 65_536


class Relay:
    """Hands on bytes both ways; runs on the event loop that entered it."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._refusing = False

    async def __aenter__(self) -> Self:
        self._open.set()
        self._server = await asyncio.start_server(self._begin, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        if self._server:
            self._server.close()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._refusing = True
        self._open.set()
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Hand on nothing more, with all connections open."""
        self._open.clear()

    def mend(self) -> None:
        self._refusing = False
        self._open.set()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._refusing:
                await self._relay(reader, writer)
        except OSError:
            pass  # one of the two has gone
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(HOST, self._target)
        self._writers.add(there)
        try:
            ways = [self._copy(reader, there), self._copy(there_reader, writer)]
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._writers.discard(there)
            there.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_READ):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
