"""Reads the answer of OpenAI's Responses API as Anthropic's events.

The events are loose ones, for `stream.ProviderStream`; a whole response goes the same way, as its own last event.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.providers.responses.failures import failure_of
from neurolink_mitm.core.providers.signatures import reasoning_signature

Json = dict[str, Any]

_LAST = frozenset({"response.completed", "response.incomplete", "response.done"})
_DELTAS = {
    "response.output_text.delta": ("text", "content_index"),
    "response.refusal.delta": ("refusal", "content_index"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index"),
    "response.reasoning_text.delta": ("content", "content_index"),
}
"""By type of event: what grows, and the member that tells its parts apart."""
_DONES = {
    "response.output_text.done": ("text", "content_index", "text"),
    "response.refusal.done": ("refusal", "content_index", "refusal"),
    "response.reasoning_summary_text.done": ("summary", "summary_index", "text"),
    "response.reasoning_text.done": ("content", "content_index", "text"),
}
"""The same, with the member that has the whole text: deltas may lack."""

_Part = tuple[str, int]


@dataclass(slots=True)
class _Item:
    """An item of the output. `ready` are its events that wait until the items before it are done."""

    ready: list[Json] = field(default_factory=list)
    done: bool = False
    given: dict[_Part, int] = field(default_factory=dict)
    """Characters of each part that were given."""
    part: _Part | None = None
    """The part whose block is open."""
    call: Json | None = None
    """The call, once its name and id have come."""
    arguments: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ResponsesEvents:
    """Takes the events of a response, and gives Anthropic's, one block after the other.

    Items are given in the order in which they begin. A call is given when it is whole. Reasoning without words is
    given with what follows it, as the way to hand back its encrypted content.
    """

    done: bool = False
    _items: dict[int | str, _Item] = field(default_factory=dict)
    _keys: dict[str, int | str] = field(default_factory=dict)
    """Keys of the items by their ids: not every event tells its place."""
    _waiting: deque[_Item] = field(default_factory=deque)
    """Items that are not wholly given, the first one first."""
    _silent: list[Json] = field(default_factory=list)
    """Reasoning without words, until something follows."""
    _refused: bool = False

    def feed(self, event: Json) -> list[Json]:
        """Take one event; return Anthropic's events for it. Raises `FailedResponseError`."""
        return [] if self.done else list(self._see(event))

    def end(self) -> list[Json]:
        """Return nothing: a stream ends by its last event, or it was cut."""
        return []

    def _see(self, event: Json) -> Iterator[Json]:
        kind = _text(event.get("type"))
        if kind in _DELTAS:
            name, member = _DELTAS[kind]
            self._grow(self._item(event), (name, _int(event.get(member))), event.get("delta"))
        elif kind in _DONES:
            name, member, whole = _DONES[kind]
            self._complete(self._item(event), (name, _int(event.get(member))), event.get(whole))
        elif kind == "response.function_call_arguments.delta":
            self._item(event).arguments.append(_text(event.get("delta")))
        elif kind == "response.output_item.added":
            self._begin(self._item(event), _object(event.get("item")))
        elif kind == "response.output_item.done":
            self._end(self._item(event), _object(event.get("item")))
        elif kind in _LAST:
            yield from self._finish(_object(event.get("response")))
        elif kind in ("response.failed", "response.cancelled", "error"):
            raise failure_of(event)
        yield from self._flush()

    def _item(self, event: Json, place: object = None) -> _Item:
        """Return the item of an event, by its place or its id."""
        known = event.get("item_id") or _object(event.get("item")).get("id")
        id_ = known if isinstance(known, str) else ""
        place = event.get("output_index", place)
        key = place if type(place) is int else self._keys.get(id_, id_)
        if id_:
            self._keys.setdefault(id_, key)
        if key not in self._items:
            self._items[key] = _Item()
            self._waiting.append(self._items[key])
        return self._items[key]

    def _grow(self, item: _Item, part: _Part, text: object) -> None:
        if not isinstance(text, str) or not text or item.done:
            return
        kind = "thinking" if part[0] in ("summary", "content") else "text"
        self._refused = self._refused or part[0] == "refusal"
        if item.part is None or (kind == "text" and item.part != part):
            self._close(item)
            item.ready.append(_start({"type": kind, kind: ""}))
        elif item.part != part:
            text = f"\n\n{text}"
        if kind == "thinking":
            item.thought.append(text)
        item.part, item.given[part] = part, item.given.get(part, 0) + len(text)
        item.ready.append(_delta(f"{kind}_delta", **{kind: text}))

    def _complete(self, item: _Item, part: _Part, whole: object) -> None:
        """Give what the deltas of a part lacked."""
        if isinstance(whole, str):
            self._grow(item, part, whole[item.given.get(part, 0) :])

    def _close(self, item: _Item) -> None:
        if item.part is not None:
            item.ready.append({"type": "content_block_stop"})
            item.part = None

    def _begin(self, item: _Item, given: Json) -> None:
        """Tell that a call begins: its arguments may take minutes."""
        if given.get("type") == "function_call" and given.get("name") and not item.call:
            call_id = given.get("call_id") or given.get("id")
            item.call = {"type": "tool_use", "id": call_id, "name": given["name"], "input": {}}
            item.ready.append({"type": "tool_begins"})

    def _end(self, item: _Item, given: Json) -> None:
        """Give the rest of an item that is complete."""
        if item.done:
            return
        kind = given.get("type")
        if kind == "function_call":
            self._begin(item, given)
            arguments = _text(given.get("arguments")) or "".join(item.arguments)
            self._call(item, arguments, whole=given.get("status") != "incomplete")
        elif kind == "message":
            for place, part in enumerate(_objects(given.get("content"))):
                name = "refusal" if part.get("type") == "refusal" else "text"
                self._complete(item, (name, place), part.get(name))
        elif kind == "reasoning":
            self._reasoning(item, given)
        self._close(item)
        item.done = True

    def _call(self, item: _Item, arguments: str, *, whole: bool) -> None:
        if item.call and whole:  # half of one might be run
            item.ready.append(_start(item.call))
            item.ready.append(_delta("input_json_delta", partial_json=arguments))
            item.ready.append({"type": "content_block_stop"})

    def _reasoning(self, item: _Item, given: Json) -> None:
        for name in ("summary", "content"):
            if name == "summary" or not item.thought:
                for place, part in enumerate(_objects(given.get(name))):
                    self._complete(item, (name, place), part.get("text"))
        id_, sealed = _text(given.get("id")), _text(given.get("encrypted_content"))
        if not sealed:
            return
        signature = reasoning_signature(id_, sealed)
        if item.part is None:
            item.ready.append(_start({"type": "thinking", "thinking": ""}))
            item.part = ("summary", 0)
        item.ready.append(_delta("signature_delta", signature=signature))

    def _flush(self) -> Iterator[Json]:
        """Yield the events of the first items, up to one that is not done."""
        while self._waiting:
            item = self._waiting[0]
            if item.ready:
                yield from self._given(item)
            if not item.done:
                return
            self._waiting.popleft()

    def _given(self, item: _Item) -> Iterator[Json]:
        ready, item.ready = item.ready, []
        sealed = ready[0].get("content_block", {}).get("type") == "thinking" and not item.thought
        if sealed:
            self._silent += ready
            return
        silent, self._silent = self._silent, []
        yield from silent
        yield from ready

    def _finish(self, response: Json) -> Iterator[Json]:
        """Yield what is missing, and the end of the message."""
        status = response.get("status")
        if status in ("failed", "cancelled") or (
            _object(response.get("error")) and not response.get("output")
        ):
            raise failure_of({"response": response})
        for place, given in enumerate(_objects(response.get("output"))):
            self._end(
                self._item({"item": given}, self._keys.get(_text(given.get("id")), place)), given
            )
        for item in self._waiting:
            if not item.done and item.call:
                self._call(item, "".join(item.arguments), whole=status != "incomplete")
            self._close(item)
            item.done = True
        yield from self._flush()
        self.done = True
        stop = {"stop_reason": self._reason(response)}
        yield {"type": "message_delta", "delta": stop, "usage": usage(response.get("usage"))}
        yield {"type": "message_stop"}

    def _reason(self, response: Json) -> str:
        early = _object(response.get("incomplete_details")).get("reason")
        if self._refused or early == "content_filter":
            return "refusal"
        return "max_tokens" if early or response.get("status") == "incomplete" else "end_turn"


def usage(counted: object) -> Json:
    """Return the tokens by Anthropic's counting, in which `input_tokens` are those that no cache has saved."""
    given = _object(counted)
    read = _int(_object(given.get("input_tokens_details")).get("cached_tokens"))
    return {
        "input_tokens": max(0, _int(given.get("input_tokens")) - read),
        "cache_read_input_tokens": read,
        "output_tokens": _int(given.get("output_tokens")),
    }


def _start(block: Json) -> Json:
    return {"type": "content_block_start", "content_block": block}


def _delta(kind: str, **members: str) -> Json:
    return {"type": "content_block_delta", "delta": {"type": kind, **members}}


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _int(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
