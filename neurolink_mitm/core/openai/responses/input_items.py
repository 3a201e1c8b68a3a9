"""The items of a response's `input` as the turns of a conversation.

One answer of the model is several items: reasoning, messages and calls. They become one turn of the assistant; the
outputs of its calls stand at the beginning of the user's next one. What OpenAI's servers have run becomes a call with
its result where the item has both, and is left out where it has not.
https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.openai.content import (
    assistant_blocks,
    system_blocks,
    text_block,
    user_blocks,
)
from neurolink_mitm.core.openai.custom_input import CUSTOM_INPUT
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.reading import NULL, is_object, read, read_items, string, text_of
from neurolink_mitm.core.openai.responses.reasoning import thinking_block
from neurolink_mitm.core.openai.responses.stored import LARGEST, Earlier
from neurolink_mitm.core.openai.responses.tools import LOCAL_SHELL, TOOL_SEARCH, ResponseTools
from neurolink_mitm.core.openai.turns import ASSISTANT, USER, Turns


class Item(msgspec.Struct, gc=False):
    """An input item: the members of all types."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    call_id: str | None = None
    status: str | None = None
    namespace: str | None = None
    server_label: str | None = None
    name: msgspec.Raw = NULL
    content: msgspec.Raw = NULL
    arguments: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    output: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    encrypted_content: msgspec.Raw = NULL
    action: msgspec.Raw = NULL
    operation: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    queries: msgspec.Raw = NULL
    results: msgspec.Raw = NULL
    code: msgspec.Raw = NULL
    outputs: msgspec.Raw = NULL

    @property
    def kind(self) -> str:
        """Return the type; a message and a reference need not name it."""
        unnamed = "message" if self.role is not None else _REFERENCE if self.id else ""
        return self.type or unnamed


class _Screenshot(msgspec.Struct, gc=False):
    image_url: msgspec.Raw = NULL
    file_id: msgspec.Raw = NULL


_items = msgspec.json.Decoder(list[Item])
_item = msgspec.json.Decoder(Item)
_screenshot = msgspec.json.Decoder(_Screenshot)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMPTY = b"{}"
_REFERENCE = "item_reference"


@dataclass(slots=True)
class Conversation:
    """Collects the turns of a conversation, and the tools that come with its items."""

    tools: ResponseTools
    earlier: Earlier
    turns: Turns = field(default_factory=Turns)
    left_out: dict[str, None] = field(default_factory=dict)
    """The types of items that are of no use here."""
    first: bytes = b""
    """What the user said first, as JSON."""
    refers: bool = False
    """Whether items were referred to by their ids."""
    _referred_bytes: int = 0
    _thinking: list[bytes] = field(default_factory=list)
    """Blocks that belong to what the assistant says next: Anthropic refuses them at the end of a turn."""

    def add(self, given: msgspec.Raw | bytes, at: str) -> None:
        """Add the items of an `input`, or its text. Raises `RequestError`."""
        raw = msgspec.Raw(given)
        if raw == NULL:
            return
        if bytes(memoryview(raw)[:1]) == b'"':
            self.user(raw, at)
            return
        for place, item in read_items(_items, raw, at):
            self.add_item(item, place)

    def add_output(self, items: Iterable[msgspec.Raw], at: str) -> None:
        """Add the output items of an earlier response."""
        for item in items:
            self.add_item(read(_item, item, at), at)

    def add_item(self, item: Item, at: str) -> None:
        """Add one item. Raises `RequestError`."""
        kind = item.kind
        if kind in _LEFT_OUT:
            self.left_out[kind] = None
        elif reader := _READERS.get(kind):
            reader(self, item, at)
        elif not kind:
            path = f"{at}.type"
            raise RequestError(
                f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
            )
        else:
            words = f"Invalid value: {kind[:100]!r} is no type of input item here"
            raise RequestError(words, f"{at}.type", "invalid_value")

    def refer(self, item: msgspec.Raw, at: str) -> None:
        """Count an item that is referred to: a short request could become one without end. Raises `RequestError`."""
        self.refers = True
        self._referred_bytes += len(memoryview(item))
        if self._referred_bytes > LARGEST:
            words = f"Invalid '{at}': the items that are referred to have more than {LARGEST} bytes"
            raise RequestError(words, at, status=413)

    def referred_item(self, item: msgspec.Raw) -> msgspec.Raw | None:
        """Return the item that an item refers to; None where it is none of references, or that is not stored."""
        read_item = _item.decode(item)
        return self.earlier.item(read_item.id or "") if read_item.kind == _REFERENCE else None

    def user(self, content: msgspec.Raw, at: str) -> None:
        """Add words of the user."""
        self._thinking.clear()
        self.first = self.first or bytes(content)
        self.turns.say(USER, user_blocks(content, at))

    def assistant(self, blocks: Iterable[bytes]) -> None:
        """Add words of the assistant."""
        if blocks := list(blocks):
            self.turns.say(ASSISTANT, [*self._thinking, *blocks])
            self._thinking.clear()

    def think(self, block: bytes) -> None:
        """Add thinking of the assistant."""
        self._thinking.append(block)

    def call(self, item: Item, name: bytes, input_: bytes, at: str) -> None:
        """Add a call; `name` is the JSON of the tool's name in the Messages request."""
        if self._thinking:
            self.turns.say(ASSISTANT, self._thinking)
            self._thinking.clear()
        self.turns.call(_call_id(item, at), name, input_)

    def call_of(self, item: Item, tool: str, input_: bytes, at: str) -> None:
        """Add a call of a tool whose calls are items of their own type."""
        self.call(item, msgspec.json.encode(self.tools.name(tool)), input_, at)

    def result(self, item: Item, blocks: Iterable[bytes], at: str, *, failed: bool = False) -> None:
        """Add the output of a call. Raises `RequestError` where there was none."""
        self.turns.result(_call_id(item, at), blocks, f"{at}.call_id", failed=failed)


def _call_id(item: Item, at: str) -> str:
    given = item.call_id or item.id
    if not given:
        path = f"{at}.call_id"
        raise RequestError(
            f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
        )
    return given


# Messages and reasoning


def _message(to: Conversation, item: Item, at: str) -> None:
    at_content = f"{at}.content"
    match item.role:
        case "user":
            to.user(item.content, at_content)
        case "assistant":
            to.assistant(assistant_blocks(item.content, at_content))
        case "system" | "developer":
            to.turns.system += system_blocks(item.content, at_content)
        case None:
            path = f"{at}.role"
            raise RequestError(
                f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
            )
        case role:
            words = f"Invalid value: {role[:100]!r} is none of assistant, system, developer, user"
            raise RequestError(words, f"{at}.role", "invalid_value")


def _reasoning(to: Conversation, item: Item, at: str) -> None:
    """Add thinking that we have signed: what OpenAI has encrypted is of no use to Claude, nor is a summary."""
    if item.encrypted_content == NULL:
        return
    block = thinking_block(text_of(item.encrypted_content, f"{at}.encrypted_content"))
    if block:
        to.think(block)


def _reference(to: Conversation, item: Item, at: str) -> None:
    referred = to.earlier.item(item.id or "")
    if referred is None:
        words = (
            f"Item with id {(item.id or '')[:100]!r} not found: items are kept in memory for a day, if `store` is not"
            " false. Send the item itself instead."
        )
        raise RequestError(words, at, status=404)
    to.refer(referred, at)
    to.add_item(read(_item, referred, at), at)


# Calls


def _function_call(to: Conversation, item: Item, at: str) -> None:
    name = to.tools.called(item.name, item.namespace, f"{at}.name")
    place = f"{at}.arguments"
    arguments = text_of(item.arguments, place).encode()
    if arguments and not arguments.isspace() and not is_object(arguments):
        if item.status == "incomplete":
            return  # the answer ended in the middle of it
        words = f"Invalid '{place}': the arguments of the call '{_call_id(item, at)}' are no JSON object"
        raise RequestError(words, place, "invalid_value")
    to.call(item, name, arguments.strip() or _EMPTY, at)


def _custom_call(to: Conversation, item: Item, at: str) -> None:
    name = to.tools.called(item.name, item.namespace, f"{at}.name")
    to.call(item, name, _with_text(CUSTOM_INPUT, string(item.input, f"{at}.input")), at)


def _output(to: Conversation, item: Item, at: str) -> None:
    to.result(item, user_blocks(item.output, f"{at}.output"), at)


def _local_shell_call(to: Conversation, item: Item, at: str) -> None:
    members = read(_members, item.action, f"{at}.action")
    rest = {name: value for name, value in members.items() if name != "type" and value != NULL}
    to.call_of(item, LOCAL_SHELL, msgspec.json.encode(rest), at)


def _tool_search_call(to: Conversation, item: Item, at: str) -> None:
    if item.call_id:  # else it ran on OpenAI's servers
        place = f"{at}.arguments"
        given = bytes(item.arguments)
        arguments = text_of(item.arguments, place).encode() if given.startswith(b'"') else given
        if not is_object(arguments):
            raise RequestError(f"Invalid '{place}': no JSON object", place, "invalid_value")
        to.call_of(item, TOOL_SEARCH, arguments, at)


def _tool_search_output(to: Conversation, item: Item, at: str) -> None:
    words = to.tools.loaded(item.tools, f"{at}.tools")
    if item.call_id:
        to.result(item, [_told(words.encode())], at)


def _additional_tools(to: Conversation, item: Item, at: str) -> None:
    to.tools.add(item.tools, f"{at}.tools")


# What other servers have run


def _shell_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "shell", _object(item.action, f"{at}.action"), at)


def _patch_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "apply_patch", _object(item.operation, f"{at}.operation"), at)


def _computer_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "computer", b'{"action":%b}' % bytes(item.action), at)


def _told_output(to: Conversation, item: Item, at: str) -> None:
    raw = bytes(item.output)
    blocks = user_blocks(item.output, f"{at}.output") if raw.startswith(b'"') else [_told(raw)]
    to.result(item, blocks, at, failed=item.status == "failed")


def _computer_output(to: Conversation, item: Item, at: str) -> None:
    shown = read(_screenshot, item.output, f"{at}.output")
    part = b'[{"type":"input_image","image_url":%b,"file_id":%b}]'
    content = msgspec.Raw(part % (bytes(shown.image_url), bytes(shown.file_id)))
    to.result(item, user_blocks(content, f"{at}.output"), at)


def _mcp_call(to: Conversation, item: Item, at: str) -> None:
    place = f"{at}.arguments"
    arguments = text_of(item.arguments, place).encode()
    if not is_object(arguments):
        raise RequestError(f"Invalid '{place}': no JSON object", place, "invalid_value")
    name = to.tools.called(item.name, item.server_label, f"{at}.name")
    to.call(item, name, arguments, at)
    failed = item.error != NULL
    told = item.error if failed else item.output
    to.result(item, _texts(told), at, failed=failed)


def _code_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "code_interpreter", b'{"code":%b}' % bytes(item.code), at)
    to.result(item, _texts(item.outputs), at)


def _file_search_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "file_search", b'{"queries":%b}' % bytes(item.queries), at)
    to.result(item, _texts(item.results), at)


def _object(value: msgspec.Raw, at: str) -> bytes:
    read(_members, value, at)
    return bytes(value)


def _texts(value: msgspec.Raw) -> list[bytes]:
    raw = bytes(value)
    block = text_block(raw) if raw.startswith(b'"') else _told(raw)
    return [block] if block and raw != b"null" else []


def _told(value: bytes) -> bytes:
    """Return the block of a JSON value as text."""
    return b'{"type":"text","text":%b}' % msgspec.json.encode(value.decode())


def _with_text(name: str, text: bytes) -> bytes:
    return b'{"%b":%b}' % (name.encode(), text)


# What can't be kept


def _compaction(to: Conversation, item: Item, at: str) -> None:
    words = f"Unsupported value: '{at}': only OpenAI can read what it has compacted; send the conversation itself"
    raise RequestError(words, at, UNSUPPORTED)


_READERS: Mapping[str, Callable[[Conversation, Item, str], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    _REFERENCE: _reference,
    "function_call": _function_call,
    "function_call_output": _output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _output,
    "local_shell_call": _local_shell_call,
    "local_shell_call_output": _output,
    "tool_search_call": _tool_search_call,
    "tool_search_output": _tool_search_output,
    "additional_tools": _additional_tools,
    "shell_call": _shell_call,
    "shell_call_output": _told_output,
    "apply_patch_call": _patch_call,
    "apply_patch_call_output": _told_output,
    "computer_call": _computer_call,
    "computer_call_output": _computer_output,
    "mcp_call": _mcp_call,
    "code_interpreter_call": _code_call,
    "file_search_call": _file_search_call,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "compaction_trigger": _compaction,
}
_LEFT_OUT = frozenset(
    {
        "web_search_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "program",
        "program_output",
        "ghost_snapshot",
    }
)
"""What says nothing that the conversation needs: results of these are in no item, or in the words that follow."""
