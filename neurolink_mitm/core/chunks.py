"""Reads a body that comes in chunks: RFC 9112 section 7.1.

All chunks that are there are read at once: h11 takes 20 times as long for a body in chunks of one byte.
"""

from __future__ import annotations

import re

LONGEST_LINE = 64 * 1024
"""Bytes of the line of a chunk's size."""
SMALL = 16
MANY = 16_384
"""Chunks that a body may have before they have to have `SMALL` bytes in the mean: each costs time."""

_SIZE = re.compile(rb"([0-9a-fA-F]{1,15}+)[ \t]*+(?:;[^\x00-\x08\x0a-\x1f\x7f]*+)?+\r\n")


class Chunks:
    """Takes bytes, gives the body's. `done` once the last chunk has been read."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0
        """Bytes that the chunk at hand still lacks."""
        self._closing = False
        """Its line end is still to come."""
        self._count = self._size = 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """The body's bytes in `data`, and how many bytes of `data` have been read: what is left, is to come again.

        Raises:
            ValueError: malformed, in too many small chunks, or with trailers; the text is fit for the client.
        """
        parts: list[bytes] = []
        at = 0
        while not self.done and (after := self._next(data, at, parts)) > at:
            at = after
        body = b"".join(parts)
        self._size += len(body)
        if self._count > MANY + self._size // SMALL:
            raise ValueError("the request body comes in too many small chunks")
        return body, at

    def _next(self, data: bytes, at: int, parts: list[bytes]) -> int:
        """Read on, and return up to where: `at` if there is too little to do so."""
        if self._left:
            part = data[at : at + self._left]
            parts.append(part)
            self._left -= len(part)
            self._closing = not self._left
            return at + len(part)
        if self._closing:
            return self._close(data, at)
        before = len(parts)
        after = _whole_chunks(data, at, parts)
        self._count += len(parts) - before
        return after if after > at else self._open(data, at)

    def _close(self, data: bytes, at: int) -> int:
        if not data.startswith(b"\r\n", at):
            return _not_yet(data, at, 1)
        self._closing = False
        return at + 2

    def _open(self, data: bytes, at: int) -> int:
        match = _SIZE.match(data, at)
        if match is None:
            return _not_yet(data, at, LONGEST_LINE)
        self._left = int(match[1], 16)
        self._count += 1
        return match.end() if self._left else self._end(data, at, match.end())

    def _end(self, data: bytes, at: int, after: int) -> int:
        """The last chunk has been announced; what is missing of its end is waited for before it."""
        rest = data[after : after + 2]
        self.done = rest == b"\r\n"
        if not b"\r\n".startswith(rest):
            raise ValueError("a request body can't have trailers here")
        return after + 2 if self.done else at


def _whole_chunks(data: bytes, at: int, parts: list[bytes]) -> int:
    """Read chunks that are there from the first to the last byte, and return where they end; for speed alone."""
    while match := _SIZE.match(data, at):
        start = match.end()
        end = start + int(match[1], 16)
        if end == start or data[end : end + 2] != b"\r\n":
            break
        parts.append(data[start:end])
        at = end + 2
    return at


def _not_yet(data: bytes, at: int, most: int) -> int:
    if data.find(b"\n", at) >= 0 or len(data) - at > most:
        raise ValueError("malformed request body")
    return at
