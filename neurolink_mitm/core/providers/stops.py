"""Cuts an answer at the client's stop sequences, for models that take none: OpenAI's that think.

What the model says behind it is read to its end, since only there it tells how many tokens it used.
https://platform.claude.com/docs/en/api/messages (stop_sequences)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Json = dict[str, Any]

_ENDS = frozenset({"message_stop", "error"})


class StopSequences:
    """Takes Anthropic's events, and gives those up to the first stop sequence within a text, and the end."""

    def __init__(self, sequences: Iterable[Any]) -> None:
        self._sequences = tuple(each for each in sequences if isinstance(each, str) and each)
        self._held = ""
        """The end of the text, where it may begin a sequence."""
        self._met: str | None = None

    def through(self, events: Iterable[Json]) -> Iterator[Json]:
        """Take events; yield what is given for them."""
        for event in events:
            yield from self.feed(event)

    def feed(self, event: Json) -> Iterator[Json]:
        """Take an event; yield what is given for it."""
        delta = event.get("delta")
        if self._met is not None:
            yield from self._after(event)
        elif isinstance(delta, dict) and delta.get("type") == "text_delta":
            yield from self._read(self._held + str(delta.get("text") or ""))
        else:
            yield from self._text(self._held)
            self._held = ""
            yield event

    def _after(self, event: Json) -> Iterator[Json]:
        if event.get("type") == "message_delta":
            yield {**event, "delta": _stopped(self._met)}
        elif event.get("type") in _ENDS:
            yield event

    def _read(self, text: str) -> Iterator[Json]:
        place, self._met = first(text, self._sequences)
        kept = place if self._met is not None else len(text) - _beginning(text, self._sequences)
        yield from self._text(text[:kept])
        self._held = text[kept:]

    def _text(self, text: str) -> Iterator[Json]:
        if text:
            yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}


def first(text: str, sequences: Sequence[str]) -> tuple[int, str | None]:
    """Return where the sequence begins that is complete first, and which one; (-1, None) if there is none."""
    places = ((text.find(each), each) for each in sequences)
    found = [(place + len(each), place, each) for place, each in places if place >= 0]
    if not found:
        return -1, None
    _, place, met = min(found)
    return place, met


def _beginning(text: str, sequences: Sequence[str]) -> int:
    """Return the length of the end of `text` that may begin a sequence."""
    return max((_overlap(text, each) for each in sequences), default=0)


def _overlap(text: str, sequence: str) -> int:
    start = max(0, len(text) - len(sequence) + 1)
    while (place := text.find(sequence[0], start)) >= 0:
        if sequence.startswith(text[place:]):
            return len(text) - place
        start = place + 1
    return 0


def _stopped(sequence: str | None) -> Json:
    return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
