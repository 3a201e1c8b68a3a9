"""The calls of the client's tools, as output items that stream."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai import blocks
from neurolink_mitm.core.openai.custom_input import CustomInput
from neurolink_mitm.core.openai.responses.client_tools import ClientTool
from neurolink_mitm.core.openai.responses.events import Place
from neurolink_mitm.core.openai.responses.items import COMPLETED, IN_PROGRESS, Item

_ARGUMENTS = b"response.function_call_arguments."
_INPUT = b"response.custom_tool_call_input."
NO_INPUT = b"{}"
"""The input in the start of a call that streams."""


def call_item(place: Place, call_id: str, tool: ClientTool) -> Item:
    """Return the item for a call of `tool`."""
    if tool.kind == "function":
        return FunctionCall(place, call_id, tool)
    if tool.kind == "custom":
        return CustomCall(place, call_id, tool)
    return WholeCall(place, call_id, tool)


def id_prefix(tool: ClientTool) -> str:
    """Return the beginning of the id that OpenAI gives to a call of `tool`."""
    return {"function": "fc", "custom": "ctc", "local_shell": "lsh", "tool_search": "tsc"}[
        tool.kind
    ]


@dataclass(slots=True)
class FunctionCall:
    """A call of a function, whose arguments are JSON."""

    place: Place
    call_id: str
    tool: ClientTool
    _texts: list[bytes] = field(default_factory=list)

    def start(self) -> bytes:
        return self.place.added(self._json(IN_PROGRESS, b""))

    def add(self, text: bytes) -> bytes:
        self._texts.append(text)
        return self.place.of(_ARGUMENTS + b"delta", b'"delta":"%b"' % text)

    def finish(self, status: bytes) -> tuple[bytes, bytes]:
        arguments = b"".join(self._texts)
        item = self._json(status, arguments)
        name = msgspec.json.encode(self.tool.name)
        called = self.place.of(
            _ARGUMENTS + b"done", b'"name":%b,"arguments":"%b"' % (name, arguments)
        )
        return called + self.place.done(item), item

    def _json(self, status: bytes, arguments: bytes) -> bytes:
        names = _names(self.call_id, self.tool)
        members = (self.place.id, status, names, arguments)
        return b'{"id":"%b","type":"function_call","status":"%b",%b,"arguments":"%b"}' % members


@dataclass(slots=True)
class CustomCall:
    """A call of a custom tool, which gets text. Of half a call there is no item: it might be half a script."""

    place: Place
    call_id: str
    tool: ClientTool
    _input: CustomInput = field(default_factory=CustomInput)
    _texts: list[bytes] = field(default_factory=list)

    def start(self) -> bytes:
        return self.place.added(self._json(IN_PROGRESS, b""))

    def add(self, text: bytes) -> bytes:
        return self._add(self._input.feed(blocks.decoded(text)))

    def finish(self, status: bytes) -> tuple[bytes, bytes]:
        if status != COMPLETED:
            return b"", b""
        rest = self._add(self._input.end())
        text = b"".join(self._texts)
        item = self._json(status, text)
        return rest + self.place.of(_INPUT + b"done", b'"input":"%b"' % text) + self.place.done(
            item
        ), item

    def _add(self, piece: str) -> bytes:
        if not piece:
            return b""
        text = blocks.encoded(piece)
        self._texts.append(text)
        return self.place.of(_INPUT + b"delta", b'"delta":"%b"' % text)

    def _json(self, status: bytes, text: bytes) -> bytes:
        names = _names(self.call_id, self.tool)
        members = (self.place.id, status, names, text)
        return b'{"id":"%b","type":"custom_tool_call","status":"%b",%b,"input":"%b"}' % members


class _Shell(msgspec.Struct):
    """The input of a call of `local_shell`."""

    command: list[str]
    env: dict[str, str] = {}
    timeout_ms: int | None = None
    working_directory: str | None = None
    user: str | None = None


@dataclass(slots=True)
class WholeCall:
    """A call of a tool of OpenAI's own that the client runs: it has no events for its input, and comes whole."""

    place: Place
    call_id: str
    tool: ClientTool
    _texts: list[bytes] = field(default_factory=list)

    def start(self) -> bytes:
        return b""

    def add(self, text: bytes) -> bytes:
        self._texts.append(text)
        return b""

    def finish(self, status: bytes) -> tuple[bytes, bytes]:
        if status != COMPLETED:
            return b"", b""
        text = b"".join(self._texts)
        members = _call_of(self.tool, blocks.decoded(text))
        if members is None:
            return self._as_function(text)
        item = self._json(status, members)
        return self.place.added(self._json(IN_PROGRESS, members)) + self.place.done(item), item

    def _as_function(self, text: bytes) -> tuple[bytes, bytes]:
        """Return a call whose input no client could read as one of a function: what is wrong is said to the model."""
        call = FunctionCall(self.place, self.call_id, self.tool)
        begun = call.start() + call.add(text)
        ended, item = call.finish(COMPLETED)
        return begun + ended, item

    def _json(self, status: bytes, members: bytes) -> bytes:
        call_id = msgspec.json.encode(self.call_id)
        kind = self.tool.kind.encode()
        return b'{"id":"%b","type":"%b_call","status":"%b","call_id":%b,%b}' % (
            self.place.id, kind, status, call_id, members
        )  # fmt: skip


def _call_of(tool: ClientTool, text: str) -> bytes | None:
    """Return the JSON of the members with the call's input; None where that is unreadable."""
    try:
        if tool.kind == "tool_search":
            arguments = msgspec.json.decode(text or "{}", type=dict[str, msgspec.Raw])
            return b'"execution":"client","arguments":%b' % msgspec.json.encode(arguments)
        action = msgspec.json.encode(msgspec.json.decode(text, type=_Shell))
        return b'"action":{"type":"exec",%b' % action[1:]
    except UNREADABLE:
        return None


def _names(call_id: str, tool: ClientTool) -> bytes:
    """Return the JSON of the members that name a call and its tool."""
    namespace = b',"namespace":%b' % msgspec.json.encode(tool.namespace) if tool.namespace else b""
    names = (msgspec.json.encode(call_id), msgspec.json.encode(tool.name), namespace)
    return b'"call_id":%b,"name":%b%b' % names
