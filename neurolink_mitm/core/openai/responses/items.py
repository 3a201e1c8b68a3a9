"""What a model says and thinks, as output items that stream. Its calls are in `calls`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from neurolink_mitm.core.openai.responses.events import Place
from neurolink_mitm.core.openai.responses.reasoning import encrypted_content

_DELTA = b'%b%b","sequence_number":%d}\n\n'
COMPLETED, INCOMPLETE, IN_PROGRESS = b"completed", b"incomplete", b"in_progress"


class Item(Protocol):
    """An output item that streams."""

    def start(self) -> bytes:
        """Return the first events."""

    def add(self, text: bytes) -> bytes:
        """Return the events for a piece of its text, which is not empty."""

    def finish(self, status: bytes) -> tuple[bytes, bytes]:
        """Return the last events and the JSON of the item. Neither, if it is of no use as far as it came."""


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of content of a message."""

    name: bytes
    """Its type, and in the names of its events."""
    member: bytes
    """The member that holds its text."""
    more: bytes = b""
    """More members of it."""
    more_of_events: bytes = b""

    def of(self, text: bytes) -> bytes:
        return b'{"type":"%b","%b":"%b"%b}' % (self.name, self.member, text, self.more)


TEXT = Part(b"output_text", b"text", b',"annotations":[],"logprobs":[]', b',"logprobs":[]')
REFUSAL = Part(b"refusal", b"refusal")


@dataclass(slots=True)
class Words:
    """A message: what the model says, or why it refuses to."""

    place: Place
    part: Part = TEXT
    _texts: list[bytes] = field(default_factory=list)
    _before_delta: bytes = b""

    def start(self) -> bytes:
        self._before_delta = self.place.before(
            b"response.%b.delta" % self.part.name,
            b'"content_index":0%b,"delta":"' % self.part.more_of_events,
        )
        return self.place.added(self._json(IN_PROGRESS, b"")) + self._of_part(b"added", b"")

    def add(self, text: bytes) -> bytes:
        self._texts.append(text)
        return _DELTA % (self._before_delta, text, self.place.events.next_number())

    def finish(self, status: bytes) -> tuple[bytes, bytes]:
        text = b"".join(self._texts)
        item = self._json(status, self.part.of(text))
        complete = self.place.of(
            b"response.%b.done" % self.part.name,
            b'"content_index":0,"%b":"%b"%b' % (self.part.member, text, self.part.more_of_events),
        )
        return complete + self._of_part(b"done", text) + self.place.done(item), item

    def _of_part(self, stage: bytes, text: bytes) -> bytes:
        members = b'"content_index":0,"part":%b' % self.part.of(text)
        return self.place.of(b"response.content_part." + stage, members)

    def _json(self, status: bytes, content: bytes) -> bytes:
        members = (self.place.id, status, content)
        return (
            b'{"id":"%b","type":"message","status":"%b","role":"assistant","content":[%b]}'
            % members
        )


@dataclass(slots=True)
class Reasoning:
    """What the model thinks: a summary for people, and the block as it came for Anthropic."""

    place: Place
    signature: bytes = b""
    redacted: bytes = b""
    """The data of redacted thinking. It has no summary."""
    _texts: list[bytes] = field(default_factory=list)

    def start(self) -> bytes:
        return self.place.added(self._json(b"", b""))

    def add(self, text: bytes) -> bytes:
        begun = b"" if self._texts else self._of_part(b"added", b"")
        self._texts.append(text)
        return begun + self._of_text(b"delta", b"delta", text)

    def finish(self, status: bytes) -> tuple[bytes, bytes]:
        text = b"".join(self._texts)
        summary = _summary(text) if text else b""
        content = encrypted_content(self._block(text)).encode()
        item = self._json(summary, b',"encrypted_content":"%b"' % content)
        thought = (
            self._of_text(b"done", b"text", text) + self._of_part(b"done", text) if text else b""
        )
        return thought + self.place.done(item), item

    def _of_text(self, stage: bytes, member: bytes, text: bytes) -> bytes:
        return self.place.of(
            b"response.reasoning_summary_text." + stage,
            b'"summary_index":0,"%b":"%b"' % (member, text),
        )

    def _of_part(self, stage: bytes, text: bytes) -> bytes:
        members = b'"summary_index":0,"part":%b' % _summary(text)
        return self.place.of(b"response.reasoning_summary_part." + stage, members)

    def _block(self, text: bytes) -> bytes:
        if self.redacted:
            return b'{"type":"redacted_thinking","data":"%b"}' % self.redacted
        return b'{"type":"thinking","thinking":"%b","signature":"%b"}' % (text, self.signature)

    def _json(self, summary: bytes, content: bytes) -> bytes:
        members = (self.place.id, summary, content)
        return b'{"id":"%b","type":"reasoning","summary":[%b]%b}' % members


def _summary(text: bytes) -> bytes:
    return b'{"type":"summary_text","text":"%b"}' % text
