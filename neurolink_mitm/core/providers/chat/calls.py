"""Puts together the tool calls of an answer in OpenAI's chat form from their pieces.

A piece names its call by index, id, both or neither, and servers differ: Gemini's and older vLLM's OpenAI-like servers
give all calls index 0, SGLang and Kimi repeat name or id in each piece, Ollama and Gemini send objects for arguments,
others send the arguments whole and then once more.
https://platform.openai.com/docs/api-reference/chat-streaming/streaming
https://github.com/vllm-project/vllm/issues/16340
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.providers.surrogates import mended

Json = dict[str, Any]
_Key = object
_decoder = json.JSONDecoder(strict=False)
"""Reads line breaks within strings, which small models write."""
_SPACE = re.compile(r"[ \t\r\n]*")
_NO_INPUT = ("", "null")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole call. `input` is None where the arguments are no JSON object."""

    id: str
    name: str
    input: Json | None
    signature: str = ""
    """Gemini's thought signature."""


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)
    named: list[int] = field(default_factory=list)
    """Numbers of the pieces that brought the name again, without an id: another call may begin there."""
    signature: str = ""

    def add(self, piece: Json) -> None:
        self.id = self.id or _text(piece.get("id"))
        self.signature = self.signature or _signature(piece)
        function = _function(piece)
        name, arguments = _text(function.get("name")), _arguments(function.get("arguments"))
        if name and arguments and self.pieces and not _text(piece.get("id")):
            self.named.append(len(self.pieces))
        if name and not self.pieces:
            self.name = _joined(self.name, name)
        if arguments:
            self.pieces.append(arguments)


@dataclass(slots=True)
class Calls:
    """Takes pieces of calls; gives the calls whole, in the order in which they began."""

    _calls: list[_Call] = field(default_factory=list)
    _latest: dict[_Key, _Call] = field(default_factory=dict)
    """The latest call by index."""
    _by_place: dict[tuple[_Key, str], _Call] = field(default_factory=dict)
    """By index and id."""
    _by_id: dict[str, _Call] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, pieces: object, index: int | None = None) -> None:
        """Take the `tool_calls` of a chunk. `index` is for those that have none."""
        for number, piece in enumerate(pieces if isinstance(pieces, list) else [pieces]):
            if isinstance(piece, dict) and (_function(piece) or _text(piece.get("id"))):
                self._add(piece, _index(piece.get("index"), index), first=number == 0)

    def whole(self) -> list[ToolCall]:
        """Return the calls. One that has no name has no input either: nobody knows what to run."""
        return [each for call in self._calls for each in _whole(call)]

    def _add(self, piece: Json, key: _Key, *, first: bool) -> None:
        id_, name = _text(piece.get("id")), _text(_function(piece).get("name"))
        call = self._by_place.get((key, id_)) or (None if name else self._by_id.get(id_))
        # an object is whole, and Gemini and Ollama number nothing
        whole = isinstance(_function(piece).get("arguments"), dict)
        call = call or self._continued(key, id_, name, alone=first and not whole)
        if call is None:
            call = _Call(id_, "")
            self._calls.append(call)
        self._latest[key] = call
        if id_:
            self._by_place[key, id_] = self._by_id[id_] = call
        call.add(piece)

    def _continued(self, key: _Key, id_: str, name: str, *, alone: bool) -> _Call | None:
        """Return the call that a piece goes on with, by its index; None where it begins one."""
        call = self._latest.get(key)
        if call is None and key is None and not name:
            return self._calls[-1] if self._calls else None
        if call is None or not name:
            return call
        another = bool(id_) and id_ != call.id and bool(call.id or call.pieces)
        renamed = bool(call.pieces) and name != call.name
        beside = key is None and not alone and not id_
        return None if another or renamed or beside else call


def _whole(call: _Call) -> Iterator[ToolCall]:
    text = mended("".join(call.pieces))
    if not call.name and not text.strip():
        return  # some servers send an empty one
    inputs = _inputs(text, call) if call.name else [None]
    for number, each in enumerate(inputs):
        yield ToolCall("" if number else call.id, call.name, each, call.signature)


def _inputs(text: str, call: _Call) -> list[Json | None]:
    """Return the input of a call; several ones if calls of the same name came under one index without ids."""
    if text.strip() in _NO_INPUT:
        return [{}]
    if (whole := _object(text)) is not None:
        return [whole]
    if all(later.startswith(earlier) for earlier, later in pairwise(call.pieces)):
        return [_object(call.pieces[-1])]  # each piece has all that came so far
    objects = _objects(text)
    filled = [(place, each) for place, each in objects if each]
    if objects and all(each == filled[0][1] for _, each in filled[1:]):
        return [filled[0][1] if filled else {}]  # sent twice, or with an empty object before it
    starts = {0, *(_starts(call.pieces)[number] for number in call.named)}
    if objects and all(place in starts for place, _ in objects):
        return [each for _, each in objects]
    return [None]


def _object(text: str) -> Json | None:
    """Return the object that `text` is, also as a string in JSON; None if there is none."""
    value = _read(text)
    value = _read(value) if isinstance(value, str) else value
    return value if isinstance(value, dict) else None


def _read(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return _lenient(text)


def _lenient(text: str) -> object:
    try:
        return _clean(_decoder.decode(text))
    except (ValueError, RecursionError):
        return None


def _clean(value: object) -> object:
    """Return the value without halves of letters."""
    return msgspec.json.decode(mended(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def _objects(text: str) -> list[tuple[int, Json]]:
    """Return the objects that stand one behind the other, with their places; none if there is anything else."""
    objects: list[tuple[int, Json]] = []
    place = _behind_space(text, 0)
    try:
        while place < len(text):
            given, end = _decoder.raw_decode(text, place)
            value = _clean(given)
            if not isinstance(value, dict):
                return []
            objects.append((place, value))
            place = _behind_space(text, end)
    except (ValueError, RecursionError):
        return []
    return objects


def _behind_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _starts(pieces: Sequence[str]) -> list[int]:
    return [0, *accumulate(map(len, pieces))]


def _joined(name: str, piece: str) -> str:
    """Return the name so far with one more piece of it, or with the name once more."""
    return piece if piece.startswith(name) else name + piece


def _index(value: object, missing: int | None) -> _Key:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int | str) else missing


def _arguments(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _function(piece: Json) -> Json:
    function = piece.get("function")
    return function if isinstance(function, dict) else {}


def _signature(piece: Json) -> str:
    """Return Gemini's signature, where LiteLLM and Google's OpenAI-like server put it."""
    google = _dict(_dict(piece.get("extra_content")).get("google"))
    places = (
        _dict(piece.get("provider_specific_fields")),
        _dict(_function(piece).get("provider_specific_fields")),
        google,
    )
    return next(filter(None, (_text(each.get("thought_signature")) for each in places)), "")


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return mended(value) if isinstance(value, str) else ""
