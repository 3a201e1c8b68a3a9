"""Writes the events of a streamed response. https://platform.openai.com/docs/api-reference/responses-streaming

Texts are what stands between the quotes of a JSON string: they go from upstream's events into ours as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

_EVENT = b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'


@dataclass(slots=True)
class Events:
    """Writes the events of one response, with their numbers."""

    number: int = 0

    def of(self, name: bytes, members: bytes) -> bytes:
        """Return an event. `members` is the JSON of its members, without braces."""
        number, self.number = self.number, self.number + 1
        return _EVENT % (name, name, number, members)


@dataclass(slots=True)
class Place:
    """Where an item stands in the output; writes the item's events."""

    events: Events
    id: bytes
    index: int

    def added(self, item: bytes) -> bytes:
        return self._of_item(b"added", item)

    def done(self, item: bytes) -> bytes:
        return self._of_item(b"done", item)

    def of(self, name: bytes, members: bytes) -> bytes:
        """Return an event of a part of the item."""
        return self.events.of(
            name, b'"item_id":"%b","output_index":%d,%b' % (self.id, self.index, members)
        )

    def _of_item(self, stage: bytes, item: bytes) -> bytes:
        name = b"response.output_item." + stage
        return self.events.of(name, b'"output_index":%d,"item":%b' % (self.index, item))
