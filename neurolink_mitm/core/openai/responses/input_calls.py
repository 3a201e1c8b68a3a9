"""Calls and outputs among the items of a responses request: the client's, and those that OpenAI's servers have run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from neurolink_mitm.core.openai.content import text_block, user_blocks
from neurolink_mitm.core.openai.custom_input import CUSTOM_INPUT
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import NULL, is_object, read, string, text_of
from neurolink_mitm.core.openai.responses.conversation import Conversation, Item
from neurolink_mitm.core.openai.responses.tools import LOCAL_SHELL, TOOL_SEARCH

Reader = Callable[[Conversation, Item, str], None]
"""Adds an item, which stands at a path, to a conversation. Raises `RequestError`."""
_EMPTY = b"{}"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Screenshot(msgspec.Struct, gc=False):
    image_url: msgspec.Raw = NULL
    file_id: msgspec.Raw = NULL


_screenshot = msgspec.json.Decoder(_Screenshot)


# The client's own


def _function_call(to: Conversation, item: Item, at: str) -> None:
    name = to.tools.names.called(item.name, item.namespace, f"{at}.name")
    place = f"{at}.arguments"
    arguments = text_of(item.arguments, place).encode()
    if arguments and not arguments.isspace() and not is_object(arguments):
        if item.status == "incomplete":
            return  # the answer ended in the middle of it
        words = (
            f"Invalid '{place}': the arguments of the call '{item.call_of(at)}' are no JSON object"
        )
        raise RequestError(words, place, "invalid_value")
    to.call(item, name, arguments.strip() or _EMPTY, at)


def _custom_call(to: Conversation, item: Item, at: str) -> None:
    name = to.tools.names.called(item.name, item.namespace, f"{at}.name")
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
        given = item.arguments
        if bytes(given).startswith(b'"'):
            given = msgspec.Raw(text_of(given, place).encode())
        to.call_of(item, TOOL_SEARCH, _object(given, place), at)


def _tool_search_output(to: Conversation, item: Item, at: str) -> None:
    words = to.tools.loaded(item.tools, f"{at}.tools")
    if item.call_id:
        to.result(item, [_json_block(words.encode())], at)


def _additional_tools(to: Conversation, item: Item, at: str) -> None:
    to.tools.add(item.tools, f"{at}.tools")


# What other servers have run


def _shell_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "shell", _object(item.action, f"{at}.action"), at)


def _patch_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "apply_patch", _object(item.operation, f"{at}.operation"), at)


def _computer_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "computer", b'{"action":%b}' % bytes(item.action), at)


def _json_output(to: Conversation, item: Item, at: str) -> None:
    raw = bytes(item.output)
    blocks = (
        user_blocks(item.output, f"{at}.output") if raw.startswith(b'"') else [_json_block(raw)]
    )
    to.result(item, blocks, at, failed=item.status == "failed")


def _computer_output(to: Conversation, item: Item, at: str) -> None:
    shown = read(_screenshot, item.output, f"{at}.output")
    part = b'[{"type":"input_image","image_url":%b,"file_id":%b}]'
    content = msgspec.Raw(part % (bytes(shown.image_url), bytes(shown.file_id)))
    to.result(item, user_blocks(content, f"{at}.output"), at)


def _mcp_call(to: Conversation, item: Item, at: str) -> None:
    place = f"{at}.arguments"
    arguments = _object(msgspec.Raw(text_of(item.arguments, place).encode()), place)
    name = to.tools.names.called(item.name, item.server_label, f"{at}.name")
    to.call(item, name, arguments, at)
    failed = item.error != NULL
    value = item.error if failed else item.output
    to.result(item, _texts(value), at, failed=failed)


def _code_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "code_interpreter", b'{"code":%b}' % bytes(item.code), at)
    to.result(item, _texts(item.outputs), at)


def _file_search_call(to: Conversation, item: Item, at: str) -> None:
    to.call_of(item, "file_search", b'{"queries":%b}' % bytes(item.queries), at)
    to.result(item, _texts(item.results), at)


def _object(value: msgspec.Raw, at: str) -> bytes:
    raw = bytes(value)
    if not is_object(raw):
        raise RequestError(f"Invalid '{at}': no JSON object", at, "invalid_value")
    return raw


def _texts(value: msgspec.Raw) -> list[bytes]:
    raw = bytes(value)
    block = text_block(raw) if raw.startswith(b'"') else _json_block(raw)
    return [block] if block and raw != b"null" else []


def _json_block(value: bytes) -> bytes:
    """Return the block of a JSON value as text."""
    return b'{"type":"text","text":%b}' % msgspec.json.encode(value.decode())


def _with_text(name: str, text: bytes) -> bytes:
    return b'{"%b":%b}' % (name.encode(), text)


CALLS: Mapping[str, Reader] = {
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
    "shell_call_output": _json_output,
    "apply_patch_call": _patch_call,
    "apply_patch_call_output": _json_output,
    "computer_call": _computer_call,
    "computer_call_output": _computer_output,
    "mcp_call": _mcp_call,
    "code_interpreter_call": _code_call,
    "file_search_call": _file_search_call,
}
"""The readers, by the type of the item."""
