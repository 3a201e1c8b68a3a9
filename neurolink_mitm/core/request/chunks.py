"""The decoder of chunked transfer coding, for requests and responses: RFC 9112 section 7.1.

One call reads all chunks that have arrived: h11 takes 20 times as long for a body in chunks of one byte.
"""

from __future__ import annotations

import re

LONGEST_LINE = 64 * 1024
"""Bytes of a chunk-size line, and of all trailers together. A longer one is a fault."""
SMALL = 16
"""Bytes that chunks must have in the mean, once there are `MANY`: each chunk costs time."""
MANY = 16_384
"""Chunks of any size that a body may have."""

BAD_SIZE = "malformed line of a chunk's size"
BAD_END = "a chunk is longer than its size"
NO_TRAILERS = "trailers are not taken here"
LONG_TRAILERS = f"trailers over {LONGEST_LINE // 1024} KiB"
TOO_SMALL = "too many small chunks"

_SIZE = re.compile(rb"([0-9a-fA-F]{1,15}+)[ \t]*+(?:;[^\x00-\x08\x0a-\x1f\x7f]*+)?+\r\n")
_TRAILERS = re.compile(rb"(?:(?!\r?\n)[^\n]*+\n)*+")
_BLANK_LINE = re.compile(rb"\r?\n")


class Chunks:
    """Decodes one body: chunks in, the bytes of the body out. `done` is set at the end of the body.

    Args:
        trailers: drop trailers; if false they are a fault.
        tiny: accept any number of small chunks; if false very many of them are a fault.
    """

    def __init__(self, *, trailers: bool = False, tiny: bool = False) -> None:
        self.done = False
        self.fault = ""
        """Why decoding has stopped; the text is fit for the sender of the body."""
        self._trailers, self._tiny = trailers, tiny
        self._left = 0
        """Bytes of the current chunk that have not arrived."""
        self._closing = False
        """Whether the line end behind the chunk has not arrived."""
        self._last = False
        """Whether the size line of the last chunk (0) has been read."""
        self._count = self._size = self._dropped = 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Return the bytes of the body in `data`, and the number of bytes of `data` that were read.

        The caller gives the unread rest again, with what has arrived behind it. At a `fault`, the rest begins with it.
        """
        parts: list[bytes] = []
        at, after = 0, self._next(data, 0, parts)
        while after > at:
            at, after = after, self._next(data, after, parts)
        body = b"".join(parts)
        self._size += len(body)
        if not self._tiny and self._count > MANY + self._size // SMALL:
            self.fault = TOO_SMALL
        return body, after

    def _next(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Read one step and return the place behind it; `at` if too little has arrived, or at a fault."""
        if self.done or self.fault:
            return at
        if self._left:
            return self._take(data, at, parts)
        if self._closing:
            return self._close(data, at)
        if self._last:
            end = self._drop_trailers if self._trailers else self._refuse_trailers
            return end(data, at)
        if data.find(b"\n", at) < 0:
            return self._wait(data, at, LONGEST_LINE, BAD_SIZE)
        before = len(parts)
        after = _whole_chunks(data, at, parts)
        self._count += len(parts) - before
        return after if after > at else self._open(data, at)

    def _take(self, data: bytes, at: int, parts: list[bytes]) -> int:
        part = data[at : at + self._left]
        parts.append(part)
        self._left -= len(part)
        self._closing = not self._left
        return at + len(part)

    def _close(self, data: bytes, at: int) -> int:
        if not data.startswith(b"\r\n", at):
            return self._wait(data, at, 1, BAD_END)
        self._closing = False
        return at + 2

    def _open(self, data: bytes, at: int) -> int:
        match = _SIZE.match(data, at)
        if match is None:
            self.fault = BAD_SIZE
            return at
        self._left = int(match[1], 16)
        self._last = not self._left
        self._count += 1
        return match.end()

    def _refuse_trailers(self, data: bytes, at: int) -> int:
        self.done = data.startswith(b"\r\n", at)
        if not b"\r\n".startswith(data[at : at + 2]):
            self.fault = NO_TRAILERS
        return at + 2 if self.done else at

    def _drop_trailers(self, data: bytes, at: int) -> int:
        """Drop the lines that have arrived, so that none is read twice."""
        if data.find(b"\n", at) < 0:
            return self._wait(data, at, LONGEST_LINE - self._dropped, LONG_TRAILERS)
        lines = _TRAILERS.match(data, at)
        assert lines
        self._dropped += lines.end() - at
        if self._dropped > LONGEST_LINE:
            self.fault = LONG_TRAILERS
            return at
        blank = _BLANK_LINE.match(data, lines.end())
        self.done = blank is not None
        return blank.end() if blank else lines.end()

    def _wait(self, data: bytes, at: int, most: int, fault: str) -> int:
        """Wait for the end of a line; a fault where the line is already too long, or complete and malformed."""
        if data.find(b"\n", at) >= 0 or len(data) - at > most:
            self.fault = fault
        return at


def _whole_chunks(data: bytes, at: int, parts: list[bytes]) -> int:
    """Read the chunks that have arrived completely, and return the place behind them. It is there for speed alone."""
    while match := _SIZE.match(data, at):
        start = match.end()
        end = start + int(match[1], 16)
        if end == start or data[end : end + 2] != b"\r\n":
            break
        parts.append(data[start:end])
        at = end + 2
    return at
