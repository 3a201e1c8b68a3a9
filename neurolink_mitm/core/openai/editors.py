"""Editors of a Messages response: bytes in as they arrive, bytes out in the form that the client asked for.

upstream streams     client wants a stream     `StreamEditor`
upstream is whole    client wants it whole     `WholeEditor`
upstream is whole    client wants a stream     `WholeEditor`, which writes the events at the end
upstream streams     client wants it whole     `WholeEditor`, which collects the events
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from neurolink_mitm.core.openai.errors import encoded, error_in_openai_form
from neurolink_mitm.core.openai.message_events import Event, events_of, message_of
from neurolink_mitm.core.openai.translated import AnswerFormat, StreamWriter
from neurolink_mitm.core.response.reader import type_of
from neurolink_mitm.core.response.sse import KEEP_ALIVE, PLAIN_EVENT, SseEvent, SseReader

EVENT_STREAM = "text/event-stream; charset=utf-8"
JSON = "application/json"


class Editor(Protocol):
    """The editor of one response."""

    def feed(self, chunk: bytes) -> bytes:
        """Return what the client gets for the next bytes of upstream's; perhaps nothing yet."""

    def end(self) -> bytes:
        """Return the last bytes for the client. Raises `ValueError` where upstream's response can't be translated."""


class StreamEditor:
    """A stream that is translated event by event."""

    def __init__(self, writer: StreamWriter) -> None:
        self._reader = SseReader(keep_raw=True)
        self._writer = writer

    def feed(self, chunk: bytes) -> bytes:
        written: list[bytes] = []
        at = 0
        if not self._reader.pending_size:
            while event := PLAIN_EVENT.match(chunk, at):  # half of what `SseReader` takes
                written.append(self._write(event[1].decode("utf-8", "replace"), event[2]))
                at = event.end()
        if at < len(chunk):
            written += [self._written(event) for event in self._reader.feed(chunk[at:])]
        return b"".join(written)

    def end(self) -> bytes:
        last = b"".join([self._written(event) for event in self._reader.finish()])
        return last + self._writer.end()

    def _written(self, event: SseEvent) -> bytes:
        return self._write(event.name, event.data) if event.raw.strip() else b""

    def _write(self, name: str, data: bytes) -> bytes:
        if not data:
            return KEEP_ALIVE
        if name == "message":  # no name was given
            name = type_of(data)
        return KEEP_ALIVE if name == "ping" else self._writer.event(name, data)


class WholeEditor:
    """A response that is translated when it is complete."""

    def __init__(self, finish: Callable[[bytes], bytes]) -> None:
        self._finish = finish
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        self._chunks.append(chunk)
        return b""

    def end(self) -> bytes:
        body = b"".join(self._chunks)
        self._chunks.clear()
        return self._finish(body)


def editor(
    answer: AnswerFormat,
    request_id: str,
    created: int,
    *,
    upstream_streams: bool,
    client_streams: bool,
) -> Editor:
    """Return the editor of a response: upstream sends events or a whole message, the client reads one or the other."""
    if upstream_streams and client_streams:
        return StreamEditor(answer.stream(request_id, created))
    if client_streams:
        return WholeEditor(lambda body: _streamed(answer.stream(request_id, created), body))
    if upstream_streams:
        return WholeEditor(lambda body: _collected(answer, body, request_id, created))
    return WholeEditor(lambda body: answer.whole(body, request_id, created))


def _streamed(writer: StreamWriter, message: bytes) -> bytes:
    """Return a whole message as the client's stream."""
    events = [writer.event(name, data) for name, data in events_of(message)]
    return b"".join((*events, writer.end()))


def _collected(answer: AnswerFormat, stream: bytes, request_id: str, created: int) -> bytes:
    """Return a stream as the client's whole answer, or as its error."""
    events = list(_events_in(stream))
    for name, data in events:
        if name == "error":
            return encoded(error_in_openai_form(data))
    return answer.whole(message_of(events), request_id, created)


def _events_in(body: bytes) -> Iterator[Event]:
    reader = SseReader()
    for event in (*reader.feed(body), *reader.finish()):
        yield type_of(event.data) if event.name == "message" else event.name, event.data
