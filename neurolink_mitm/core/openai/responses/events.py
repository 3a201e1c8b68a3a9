"""Writes the events of a streamed response. https://platform.openai.com/docs/api-reference/responses-streaming

Texts are what stands between the quotes of a JSON string: they go from upstream's events into ours as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

_OF_RESPONSE = b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":'
_EVENT = b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'


@dataclass(slots=True)
class Events:
    """Writes the events of one response, with their numbers."""

    number: int = 0

    def of(self, name: bytes, members: bytes) -> bytes:
        """Return an event. `members` is the JSON of its members, without braces."""
        return _EVENT % (name, name, self.next_number(), members)

    def of_response(self, name: bytes, response: bytes) -> tuple[bytes, bytes, bytes]:
        """Return the parts of an event with the response object, which can be long and is not copied for it."""
        return _OF_RESPONSE % (name, name, self.next_number()), response, b"}\n\n"

    def next_number(self) -> int:
        number = self.number
        self.number = number + 1
        return number


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

    def before(self, name: bytes, members: bytes) -> bytes:
        """Return the beginning of an event that comes often: all but its last text and its number."""
        return b'event: %b\ndata: {"type":"%b","item_id":"%b","output_index":%d,%b' % (
            name, name, self.id, self.index, members
        )  # fmt: skip

    def _of_item(self, stage: bytes, item: bytes) -> bytes:
        name = b"response.output_item." + stage
        return self.events.of(name, b'"output_index":%d,"item":%b' % (self.index, item))
