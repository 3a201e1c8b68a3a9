"""A client's connection: strict HTTP/1.1 (h11), keep-alive, one request at a time."""

import asyncio
from contextlib import suppress
from typing import Self

import h11

from soak.connect_proxy import HOST

_READ = 65_536


class Connection:
    """A connection. Raises `h11.RemoteProtocolError` for a response that is invalid or breaks off, and OSError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection(HOST, port))

    async def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def head(self) -> h11.Response:
        event = await self._next()
        if not isinstance(event, h11.Response):
            raise h11.RemoteProtocolError(f"{event!r} in place of an answer")
        return event

    async def more(self) -> bytes | None:
        """Return the next bytes of the body; None at its end."""
        event = await self._next()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise h11.RemoteProtocolError(f"{event!r} in an answer's body")
        if self._http.trailing_data[0]:
            raise h11.RemoteProtocolError("bytes after the end of the answer")
        return None

    def again(self) -> bool:
        """Prepare for the next request; return False if the response ended the connection."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ))
        return event
