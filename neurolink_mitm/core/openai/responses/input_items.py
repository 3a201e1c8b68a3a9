"""The items of a response's `input` as the turns of a conversation.

One answer of the model is several items: reasoning, messages and calls. They become one turn of the assistant; the
outputs of its calls stand at the beginning of the user's next one. What OpenAI's servers have run becomes a call with
its result where the item has both, and is left out where it has not.
https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from neurolink_mitm.core.openai.content import assistant_blocks, system_blocks
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.reading import NULL, missing, read, read_items, text_of
from neurolink_mitm.core.openai.responses.conversation import REFERENCE, Conversation, Item
from neurolink_mitm.core.openai.responses.input_calls import CALLS, Reader
from neurolink_mitm.core.openai.responses.reasoning import thinking_block
from neurolink_mitm.core.openai.responses.stored import Earlier

_items = msgspec.json.Decoder(list[Item])
_item = msgspec.json.Decoder(Item)


def add_input(to: Conversation, given: msgspec.Raw | bytes, at: str) -> None:
    """Add the items of an `input`, or its text. Raises `RequestError`."""
    raw = msgspec.Raw(given)
    if raw == NULL:
        return
    if bytes(memoryview(raw)[:1]) == b'"':
        to.user(raw, at)
        return
    for place, item in read_items(_items, raw, at):
        add_item(to, item, place)


def add_output(to: Conversation, items: Iterable[msgspec.Raw], at: str) -> None:
    """Add the output items of an earlier response."""
    for item in items:
        add_item(to, read(_item, item, at), at)


def add_item(to: Conversation, item: Item, at: str) -> None:
    """Add one item. Raises `RequestError`."""
    kind = item.kind
    if reader := _READERS.get(kind):
        reader(to, item, at)
    elif kind in _LEFT_OUT:
        to.left_out[kind] = None
    elif not kind:
        raise missing(f"{at}.type")
    else:
        words = f"Invalid value: {kind[:100]!r} is no type of input item here"
        raise RequestError(words, f"{at}.type", "invalid_value")


def referred_item(earlier: Earlier, item: msgspec.Raw) -> msgspec.Raw | None:
    """Return the item that an item refers to; None where it is no reference, or to what is not stored."""
    decoded = _item.decode(item)
    return earlier.item(decoded.id or "") if decoded.kind == REFERENCE else None


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
            raise missing(f"{at}.role")
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
    add_item(to, read(_item, referred, at), at)


def _compaction(to: Conversation, item: Item, at: str) -> None:
    words = f"Unsupported value: '{at}': only OpenAI can read what it has compacted; send the conversation itself"
    raise RequestError(words, at, UNSUPPORTED)


_READERS: Mapping[str, Reader] = {
    "message": _message,
    "reasoning": _reasoning,
    REFERENCE: _reference,
    "compaction": _compaction,
    "compaction_summary": _compaction,
    "compaction_trigger": _compaction,
    **CALLS,
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
