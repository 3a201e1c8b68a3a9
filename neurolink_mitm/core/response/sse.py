"""An incremental reader of server-sent events (SSE): bytes in, whole events out.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which all clients skip."""
PLAIN_EVENT = re.compile(rb"event: ([^\r\n]+)\ndata: ([^\r\n]*)\n\n")
"""An event in the form in which Anthropic writes them; the groups are its name and its data."""


class SseEvent(NamedTuple):
    """An event. `name` is `message` where the stream gives none; `data` has its lines joined by LF."""

    name: str
    data: bytes
    raw: bytes = b""
    """The event as it is in the stream, if the reader has `keep_raw`."""


class SseReader:
    """Reads events from a stream that arrives in chunks; any split into chunks gives the same events.

    `feed` returns the events that a chunk completes. `pending` has the bytes of the event that is not complete, so
    that a caller can forward whole events only. A CR ends a line at once; an LF behind it belongs to it, also when
    it arrives with the next chunk.
    """

    __slots__ = ("_after_cr", "_data", "_keep_raw", "_line", "_name", "_pending", "_started")

    def __init__(self, *, keep_raw: bool = False) -> None:
        """`keep_raw` is for callers that forward the events: comments are events then, too, without data."""
        self._keep_raw = keep_raw
        self._line = bytearray()  # a line whose end has not come yet
        self._pending = bytearray()  # raw lines since the last event ended
        self._name = ""
        self._data: list[bytes] = []
        self._started = False
        self._after_cr = False

    @property
    def pending(self) -> bytes:
        """The bytes behind the last complete event."""
        return bytes(self._pending + self._line)

    @property
    def pending_size(self) -> int:
        """The number of bytes of `pending`."""
        return len(self._pending) + len(self._line)

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Read the next bytes and return the events that they complete, in order."""
        events: list[SseEvent] = []
        if self._after_cr and chunk:
            chunk = self._rest_of_crlf(chunk)
        if not self._line and not self._pending:
            chunk = self._plain_events(chunk, events)
        for line in self._complete_lines(chunk):
            self._pending += line
            text = line.rstrip(b"\r\n")
            if text:
                self._field(text)
            else:
                self._end_event(events)
        return events

    def finish(self) -> list[SseEvent]:
        """Return the event that lacks only its last line ends, if there is one, at the end of the stream.

        The specification drops this event. The caller has to know that its data is complete.
        """
        self._after_cr = False
        ends = b"\n\n" if self._line else b"\n"
        return self.feed(ends) if self._line or self._data else []

    def _rest_of_crlf(self, chunk: bytes) -> bytes:
        self._after_cr = False
        if not chunk.startswith(b"\n"):
            return chunk
        self._pending += b"\n"
        return chunk[1:]

    def _plain_events(self, chunk: bytes, events: list[SseEvent]) -> bytes:
        """Read the events at the start that have the form in which Anthropic writes them; return the rest.

        It is there for speed alone: to read line by line costs a tenth of a streamed request.
        """
        place = 0
        while found := PLAIN_EVENT.match(chunk, place):
            raw, name, data = found[0], found[1].decode("utf-8", "replace"), found[2]
            events.append(SseEvent(name, data, raw) if self._keep_raw else SseEvent(name, data))
            place = found.end()
        if place:
            self._started = True
        return chunk[place:]

    def _complete_lines(self, chunk: bytes) -> list[bytes]:
        """Return the complete lines, with their ends."""
        self._line += chunk
        if b"\n" not in chunk and b"\r" not in chunk:
            return []
        lines = bytes(self._line).splitlines(keepends=True)
        self._line.clear()
        if not lines[-1].endswith((b"\n", b"\r")):
            self._line += lines.pop()
        self._after_cr = chunk.endswith(b"\r")
        if not self._started:
            self._started = True
            self._skip_bom(lines)
        return lines

    def _skip_bom(self, lines: list[bytes]) -> None:
        if lines[0].startswith(BOM):
            self._pending += BOM
            lines[0] = lines[0][len(BOM) :]

    def _field(self, text: bytes) -> None:
        name, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")

    def _end_event(self, events: list[SseEvent]) -> None:
        if self._data or self._keep_raw:
            raw = bytes(self._pending) if self._keep_raw else b""
            events.append(SseEvent(self._name or "message", b"\n".join(self._data), raw))
        self._data = []
        self._name = ""
        self._pending.clear()


def encode(name: str, data: bytes) -> bytes:
    """Return an event as bytes. `data` must be a single line, as JSON is."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
