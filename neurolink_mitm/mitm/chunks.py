"""Reads chunked bodies (RFC 9112 section 7.1), as many chunks at once as have come.

h11's reader, which mitmproxy uses, takes 20 µs for each chunk: a read of 64 KiB in chunks of a byte holds up everybody
for 0.2 s.
"""

from __future__ import annotations

import re

from h11 import Data, EndOfMessage, RemoteProtocolError
from h11._receivebuffer import ReceiveBuffer

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")


class ChunkReader:
    """In the place of h11's, with its signature. Trailers are dropped."""

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the chunk that are still to come."""
        self._in_chunk = False
        self._at_end = False
        self._fault = ""

    def __call__(self, buf: ReceiveBuffer) -> Data | EndOfMessage | None:
        """Take what has come from `buf`; None: it takes more.

        Raises:
            RemoteProtocolError: these are no chunks.
        """
        data = b"" if self._at_end or self._fault else self._chunks(buf)
        if data:
            return Data(data=data)
        if self._fault:
            raise RemoteProtocolError(self._fault)
        if self._at_end and buf.maybe_extract_lines() is not None:
            return EndOfMessage()
        return None

    def read_eof(self) -> None:
        """The connection is closed. Raises `RemoteProtocolError`: the body is not whole."""
        raise RemoteProtocolError("closed within a chunked body")

    def _chunks(self, buf: ReceiveBuffer) -> bytes:
        raw, at, pieces = bytes(buf), 0, []
        while not self._at_end and not self._fault:  # what came before a fault is passed on
            if self._left:
                piece = raw[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            end = raw.find(b"\r\n", at) if not self._left else -1
            if end < 0:
                break
            self._line(raw[at:end])
            at = end + 2
        buf.maybe_extract_at_most(at)
        return b"".join(pieces)

    def _line(self, line: bytes) -> None:
        """The empty one at a chunk's end, or the size of the next chunk."""
        if self._in_chunk:
            if line:
                self._fault = "a chunk is longer than it says"
            self._in_chunk = False
            return
        size = _SIZE_LINE.fullmatch(line)
        if not size:
            self._fault = f"the size of a chunk is {line[:20]!r}"
            return
        self._left = int(size[1], 16)
        self._in_chunk = self._left > 0
        self._at_end = self._left == 0
