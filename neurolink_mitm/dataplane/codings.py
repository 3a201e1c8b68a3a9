"""Undoes the content codings of a streamed response, within bounds (RFC 9110 section 8.4.1).

Upstream is asked for `identity`, but some edges compress all the same, and a response must be read to be judged.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

BASE = 4 * 1024 * 1024
RATIO = 100
"""A response may become `BASE` bytes and `RATIO` times what came, far more than text is ever compressed."""
MOST = 64 * 1024 * 1024
"""Bytes that a request's body may become."""
PIECE = 64 * 1024
"""Bytes of a request's body that are undone at once, so that little is made beyond `MOST`."""
DEEPEST = 3
"""Codings on top of each other."""
SLICE = 16
"""Bytes fed at once to a decoder without output limit, which makes some megabytes of them at most."""
WINDOW = 8 * 1024 * 1024
"""Bytes of zstd's window, RFC 9659."""


class CodingError(ValueError):
    """The data is malformed, or grows beyond `BASE` and `RATIO`."""

    def __init__(self, message: str, status: int = 400) -> None:
        """`status` is that of the refusal, if it is a client's request."""
        super().__init__(message)
        self.status = status


class Step(Protocol):
    """Undoes one coding."""

    @property
    def whole(self) -> bool:
        """Whether the coding's end has come."""

    def feed(self, data: bytes, room: int) -> Iterator[bytes]:
        """Yield the decoded bytes in pieces of about `room` bytes. Raises what its library raises."""


class Decoding:
    """All codings of one answer."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._room = BASE
        self._first: bytes | None = b""  # what came, until something came of it
        self._plain = False

    @property
    def whole(self) -> bool:
        """Whether all codings have come to their end."""
        return self._plain or self._first == b"" or all(step.whole for step in self._steps)

    def feed(self, data: bytes) -> bytes:
        """Return `data` decoded. Data that fails to decode from its first byte on was not compressed: it is unchanged.

        Raises:
            CodingError: the data is malformed, or grows out of bounds.
        """
        if self._plain or not data:
            return data
        if self._first is not None:
            self._first += data
        self._room += RATIO * len(data)
        try:
            decoded = self._through(data)
        except (zlib.error, brotli.error, zstandard.ZstdError) as e:
            if self._first is None:
                raise CodingError("its compression is broken") from e
            self._plain = True
            return self._first
        if decoded or (self._first and len(self._first) > BASE):
            self._first = None
        return decoded

    def _through(self, data: bytes) -> bytes:
        left = self._room
        for step in self._steps:
            pieces: list[bytes] = []
            left = self._room
            for piece in step.feed(data, left + 1):
                pieces.append(piece)
                left -= len(piece)
                if left < 0:
                    raise CodingError("it grows out of bounds when it is unpacked", 413)
            data = b"".join(pieces)
        self._room = left
        return data


class _Inflate:
    """Decodes `gzip` and `deflate`; some servers send the latter without zlib's header."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner: Any = None
        self._waiting = b""
        self.whole = False

    def feed(self, data: bytes, room: int) -> Iterator[bytes]:
        data = self._waiting + data
        if self._inner is None and len(data) < 2:
            self._waiting = data
            return
        self._waiting = b""
        while data and not (self.whole and not data.startswith(b"\x1f\x8b")):
            if self._inner is None or self.whole:
                self._inner, self.whole = zlib.decompressobj(self._bits_for(data)), False
            yield self._inner.decompress(data, room)
            self.whole = self._inner.eof
            data = self._inner.unused_data if self.whole else self._inner.unconsumed_tail

    def _bits_for(self, data: bytes) -> int:
        has_header = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
        return -zlib.MAX_WBITS if self._wbits == zlib.MAX_WBITS and not has_header else self._wbits


class _Brotli:
    def __init__(self) -> None:
        self._inner: Any = brotli.Decompressor()
        self._can_stop = hasattr(self._inner, "can_accept_more_data")  # since 1.2

    @property
    def whole(self) -> bool:
        return bool(self._inner.is_finished())

    def feed(self, data: bytes, room: int) -> Iterator[bytes]:
        if self._can_stop:
            yield from self._limited(data, room)
            return
        for at in range(0, len(data), SLICE):
            if self.whole:
                return
            yield self._inner.process(data[at : at + SLICE])

    def _limited(self, data: bytes, room: int) -> Iterator[bytes]:
        if not self.whole:
            yield self._inner.process(data, output_buffer_limit=room)
        while not self.whole and not self._inner.can_accept_more_data():
            yield self._inner.process(b"", output_buffer_limit=room)


class _Zstd:
    def __init__(self) -> None:
        self._inner: Any = None
        self.whole = False

    def feed(self, data: bytes, room: int) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            if self._inner is None or self.whole:
                self._inner = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
            yield self._inner.decompress(data[at : at + 4 * SLICE])
            at += 4 * SLICE
            self.whole = self._inner.eof
            if self.whole:
                at -= len(self._inner.unused_data)


_STEPS: dict[str, Callable[[], Step]] = {
    "gzip": lambda: _Inflate(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _Inflate(16 + zlib.MAX_WBITS),
    "deflate": lambda: _Inflate(zlib.MAX_WBITS),
    "br": _Brotli,
    "zstd": _Zstd,
}


def decoding(coding: str) -> Decoding | None:
    """Return the decoding of a `Content-Encoding`; None if there is nothing to undo or a coding is unknown."""
    names = [name for part in coding.split(",") if (name := part.strip().lower())]
    names = [name for name in names if name != "identity"]
    if not 0 < len(names) <= DEEPEST or any(name not in _STEPS for name in names):
        return None
    return Decoding([_STEPS[name]() for name in reversed(names)])


def unpacked(body: bytes, coding: str) -> bytes:
    """Return the body of a request without its `Content-Encoding`.

    Raises:
        CodingError: a coding is unknown (415), the body is malformed (400) or too large (413).
    """
    if not coding.replace(",", "").replace("identity", "").strip():
        return body
    undo = decoding(coding.lower())
    if undo is None:
        raise CodingError("its content-encoding is none of gzip, deflate, br and zstd", 415)
    parts, size = [], 0
    for at in range(0, len(body), PIECE):
        parts.append(undo.feed(body[at : at + PIECE]))
        size += len(parts[-1])
        if size > MOST:
            raise CodingError(f"it is over {MOST // 1024 // 1024} MB when it is unpacked", 413)
    if not undo.whole:
        raise CodingError("its compression ends too early")
    return b"".join(parts)
