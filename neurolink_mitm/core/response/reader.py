"""Readers of an upstream response: they decide when it is released to the client.

A response is held until it is good: a stream until its first event with content, anything else until its end. Until
then a failure is invisible to the client, since another account can be tried.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.failover.errors import Failure, FailureStage, error_body
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.embeddings import usage_part
from neurolink_mitm.core.response.sse import BOM, SseEvent, SseReader, encode
from neurolink_mitm.core.response.usage import TokenUsage

HOLD_LIMIT = 1024 * 1024
"""Bytes of a response that are held. A longer response is released as it arrives. A longer error, and a stream without
content up to here, are a failure."""
EVENT_LIMIT = 4 * HOLD_LIMIT
"""Bytes of one event of a stream; a longer one is a failure. Anthropic's largest (server tools) are far smaller."""
START_LIMIT = 64 * 1024
"""Bytes at the start of a stream that are searched for an error where they contain no event."""
READ_LIMIT = 8 * HOLD_LIMIT
"""Bytes of a response that is no stream; of a longer one the token usage is not read."""
_LEADING = frozenset({"message_start", "ping", "content_block_stop"})
_EMPTY_AT_START = frozenset({"text", "thinking"})


@dataclass(slots=True)
class ResponseReader(ABC):
    """The reader of one upstream response. After each `feed`, look at `failure` and `released`."""

    usage: TokenUsage = field(default_factory=TokenUsage)
    failure: Failure | None = None
    """Why the attempt failed; invisible to the client as long as nothing is released."""
    released: bool = False
    """Whether the head, and all that `feed` has returned, may go to the client."""
    started: bool = False
    """Whether the first event has arrived: content follows soon."""
    complete: bool = False
    """Whether the response is whole, by what it says itself."""
    size: int = 0
    """Bytes that have arrived."""
    content_size: int = 0
    """Bytes of text among them, as far as they are counted: in a stream."""
    error: str = ""
    """Type of the error that upstream reported after the release; empty if there is none."""

    @abstractmethod
    def feed(self, chunk: bytes) -> bytes:
        """Read the next bytes and return those that are ready for the client (perhaps none)."""

    @abstractmethod
    def end(self) -> bytes:
        """Return the last bytes for the client, or set `failure`: upstream has ended the response."""

    @abstractmethod
    def cut(self, message: str) -> bytes | None:
        """Return bytes that close the response well, or None: upstream has broken it off."""


@dataclass(slots=True)
class OpaqueReader(ResponseReader):
    """A response that is forwarded as it arrives, without a verdict."""

    released: bool = True
    started: bool = True

    def feed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        return chunk

    def end(self) -> bytes:
        self.complete = True
        return b""

    def cut(self, message: str) -> bytes | None:
        return None


class WholeReader(ResponseReader):
    """A response that is no event stream: it is held until its end, so that another attempt can replace a cut one."""

    __slots__ = ("_body", "_content_type", "_judged", "_may_be_empty", "_status")

    def __init__(
        self, status: int, *, may_be_empty: bool, judged: bool = True, content_type: str = ""
    ) -> None:
        """`judged`: an error object or an HTML page with status 200 is a failure."""
        super().__init__()
        self._status = status
        self._may_be_empty = may_be_empty
        self._judged = judged
        self._content_type = content_type
        self._body: list[bytes] = []

    def feed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        if self.size <= READ_LIMIT:
            self._body.append(chunk)
        if self.size > HOLD_LIMIT and not self.released and not self.failure:
            body = b"".join(self._body)[:HOLD_LIMIT]
            self.failure = self._failed(body) if self._status >= 400 else self._hollow(body)
            self.released = self.failure is None
        return chunk

    def end(self) -> bytes:
        self.complete = True
        body = b"".join(self._body)
        if self.released:
            self._see_usage(body)
            return b""
        if self._status >= 400:
            self.failure = self._failed(body)
        elif not body and not self._may_be_empty:
            self.failure = _empty("empty_answer", "upstream sent no byte")
        elif hollow := self._hollow(body):
            self.failure = hollow
        else:
            self._see_usage(body)
            self.released = True
        return b""

    def _see_usage(self, body: bytes) -> None:
        self.usage.see_whole(body)  # of one that is longer than `READ_LIMIT` it is no JSON

    def cut(self, message: str) -> bytes | None:
        if not self.released:
            body = b"".join(self._body)
            cut = Failure.of_network("cut", message)
            self.failure = self._failed(body) if self._status >= 400 else cut
        return None

    def _failed(self, body: bytes) -> Failure:
        return Failure.of_status(self._status, body)

    def _hollow(self, body: bytes) -> Failure | None:
        if not body or not self._judged:
            return None
        return Failure.of_hollow(body, self._content_type)


class EmbeddingsReader(WholeReader):
    """The translator's answer to a request for embeddings, whose usage comes before its vectors."""

    __slots__ = ()

    def _see_usage(self, body: bytes) -> None:
        self.usage.see_whole(usage_part(body))


class EventStreamReader(ResponseReader):
    """An event stream of the Messages API. Only whole events are released, so it can always be closed well."""

    __slots__ = ("_mark", "_reader", "_start", "_waiting")

    def __init__(self) -> None:
        super().__init__()
        self._reader = SseReader()
        self._waiting: list[bytes] = []
        """Bytes of the event that is not complete."""
        self._mark: bytes | None = b""
        """The beginning of the stream until it is a byte order mark or none."""
        self._start = bytearray()
        """Bytes before the first event: it may be no stream at all."""

    def feed(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        if self._mark is not None:
            chunk = self._without_mark(self._mark + chunk)
        if not self.started and len(self._start) < START_LIMIT:
            self._start += chunk
        before = self._reader.pending_size
        for event in self._reader.feed(chunk):
            self._see(event)
        rest = self._reader.pending_size
        if rest > EVENT_LIMIT or (not self.released and self.size - rest > HOLD_LIMIT):
            self._overflow(rest)
        if not before and not rest:
            return chunk
        self._waiting.append(chunk)
        if rest == before + len(chunk):  # nothing has ended: not copied again for each chunk
            return b""
        received = b"".join(self._waiting)
        ready = received[: len(received) - rest]
        self._waiting = [received[len(ready) :]]
        return ready

    def end(self) -> bytes:
        rest = self._reader.pending
        last = self._last_event(rest)
        if not self.released and not self.failure:
            kind = "cut_before_content" if self.started else "empty_stream"
            hollow = None if self.started else Failure.of_hollow(bytes(self._start))
            self.failure = hollow or _empty(kind, "the stream ended before any content")
        return last + self._closing(b"" if last else rest)

    def cut(self, message: str) -> bytes | None:
        if not self.released and not self.failure:
            self.failure = Failure.of_network("cut", message)
        return self._closing(self._reader.pending)

    def _without_mark(self, start: bytes) -> bytes:
        """Remove a byte order mark: Anthropic's SDKs take it for a part of the first line."""
        if len(start) < len(BOM) and BOM.startswith(start):
            self._mark = start
            return b""
        self._mark = None
        return start.removeprefix(BOM)

    def _last_event(self, rest: bytes) -> bytes:
        """Return the last event with the blank line that it lacks, if it is whole: no client reads it without."""
        events = self._reader.finish()
        if not events or not _is_json(events[-1].data):
            return b""
        self._see(events[-1])
        ends_in_line = rest.endswith((b"\n", b"\r"))
        return rest + (rest[-1:] if ends_in_line else b"\n\n")  # CR and LF would be one end

    def _see(self, event: SseEvent) -> None:
        if event.name == "content_block_delta":
            self.content_size += text_size(event.data)
            if self.released:
                return
        if event.name == "message":  # no name was given
            event = event._replace(name=type_of(event.data))
        self.started = self.started or event.name == "message_start"
        if event.name == "error":
            self.started = True
            self._see_error(event)
            return
        self.usage.see_event(event.name, event.data)
        self.complete = self.complete or event.name == "message_stop"
        self.released = self.released or carries_content(event)
        self.started = self.started or self.released

    def _see_error(self, event: SseEvent) -> None:
        failure = Failure.of_error_event(event.data)
        if self.released:
            self.error = failure.error_type
        else:
            self.failure = self.failure or failure

    def _overflow(self, rest: int) -> None:
        """Set the failure of a response out of bounds. `rest` is the size of the event that is not complete."""
        kind, why = "oversized_start", "no content within the first megabyte"
        if rest > EVENT_LIMIT:
            kind, why = "oversized_event", "an event without end"
        self.failure = self.failure or Failure(FailureStage.EVENT, None, kind, why)

    def _closing(self, rest: bytes) -> bytes:
        """Return `rest` at the end of a whole stream; else an error event in place of the incomplete one."""
        if self.complete or self.error:
            return rest
        message = "The answer was cut off upstream. Ask again to continue."
        return encode("error", error_body("overloaded_error", message))


def _empty(kind: str, why: str) -> Failure:
    return Failure(FailureStage.EMPTY, None, kind, why)


class _Typed(msgspec.Struct):
    type: str = ""


_typed = msgspec.json.Decoder(_Typed)


def type_of(data: bytes) -> str:
    """Return the name of an event without one, by the type in its data; `message` if it has none."""
    try:
        return _typed.decode(data).type or "message"
    except UNREADABLE:
        return "message"


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except UNREADABLE:
        return False
    return True


class _BlockStart(msgspec.Struct):
    content_block: _Typed


def carries_content(event: SseEvent) -> bool:
    """Tell whether an event has content for the client; before the first such event a resend loses nothing."""
    if event.name in _LEADING:
        return False
    if event.name != "content_block_start":
        return True
    try:
        block = msgspec.json.decode(event.data, type=_BlockStart).content_block
    except UNREADABLE:
        return True
    return block.type not in _EMPTY_AT_START


def text_size(delta: bytes) -> int:
    """Return about how many bytes of text a `content_block_delta` has; a signature is none.

    Nothing is parsed, as it is asked for each event: it is what stands between the quotes of the value behind the
    delta's type. Anthropic pads its events with spaces, which don't count.
    """
    inner = delta.find(b'"delta"', 0, 120)
    kind = delta.find(b'_delta"', inner, inner + 60) if inner >= 0 else -1
    if kind < 0 or delta.endswith(b"signature", 0, kind):
        return 0
    start = kind
    for _ in range(4):  # the type's end, its key's two quotes, the value's first one
        start = delta.find(b'"', start) + 1
        if not start:
            return 0
    return max(0, delta.rfind(b'"') - start)
