"""Thinking in chat's form, both ways: written into an answer, and read again from the history of the next request.

OpenAI's form has no field for it. An assistant message of ours has two:

    reasoning_content   the words of all thinking, as DeepSeek, LiteLLM and vLLM write them; for people to read
    reasoning_details   a list with an item for each signed block, in OpenRouter's form; for Anthropic
        {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1", "text": …, "signature": …}
        {"type": "reasoning.encrypted", "index": 1, "format": "anthropic-claude-v1", "data": …}     (redacted)

In a stream each item comes whole, when its block ends. `index` is there since openai-python's accumulator refuses lists
without it. Who echoes the message keeps the thinking over turns: a loop that appends `choices[0].message`, or a
client that knows OpenRouter. Read again are LiteLLM's `thinking_blocks`, too. A client that keeps neither loses the
thinking: Anthropic takes such a turn if thinking is adaptive, but with `budget_tokens` refuses the calls of a last
assistant turn that does not begin with thinking, so that this one must be asked without it.
https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks
https://docs.litellm.ai/docs/reasoning_content
https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.reading import NULL

_FORMATS = (b"null", b'"anthropic')
"""Beginnings of `format`: what OpenAI or Gemini has encrypted is of no use to Claude."""
_REDACTED_TYPES = frozenset({b'"redacted_thinking"', b'"reasoning.encrypted"'})
_WORDS = {b'"thinking"': "thinking", b'"reasoning.text"': "text"}
"""The member with the words, by type."""
_TEXT = (
    b'{"type":"reasoning.text","index":%d,"format":"anthropic-claude-v1","text":%b,"signature":%b}'
)
_REDACTED = b'{"type":"reasoning.encrypted","index":%d,"format":"anthropic-claude-v1","data":%b}'


def text_detail(index: int, text: bytes, signature: bytes) -> bytes:
    """Return the item of `reasoning_details` for a thinking block; `text` and `signature` are JSON strings."""
    return _TEXT % (index, text, signature)


def redacted_detail(index: int, data: bytes) -> bytes:
    """Return the item of `reasoning_details` for a redacted thinking block; `data` is a JSON string."""
    return _REDACTED % (index, data)


class _Item(msgspec.Struct, gc=False):
    """An item of `reasoning_details` or of `thinking_blocks`, or a content block."""

    type: msgspec.Raw = NULL
    format: msgspec.Raw = NULL
    text: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    signature: msgspec.Raw = NULL
    data: msgspec.Raw = NULL


_list = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item)


def thinking_blocks(reasoning_details: bytes, litellm_blocks: bytes = b"null") -> list[bytes]:
    """Return the JSON of Anthropic's blocks for what a client has kept of them, in order.

    The arguments are the JSON of `reasoning_details` and of `thinking_blocks`. What is not signed, or can't be read, is
    left out: both fields are others' inventions, and some clients put plain words there.
    """
    return list(_blocks(reasoning_details)) or list(_blocks(litellm_blocks))


def thinking_block(item: bytes) -> bytes | None:
    """Return the JSON of Anthropic's block for an item of these lists or a content block; None if it is unsigned."""
    try:
        decoded = _item.decode(item)
    except UNREADABLE:
        return None
    kind, data, signature = bytes(decoded.type), bytes(decoded.data), bytes(decoded.signature)
    if not bytes(decoded.format).startswith(_FORMATS):
        return None
    if kind in _REDACTED_TYPES and _has_words(data):
        return b'{"type":"redacted_thinking","data":%b}' % data
    if kind not in _WORDS or not _has_words(signature):
        return None
    words = bytes(getattr(decoded, _WORDS[kind]))
    text = words if words.startswith(b'"') else b'""'  # null where the words are omitted
    return b'{"type":"thinking","thinking":%b,"signature":%b}' % (text, signature)


def _blocks(items: bytes) -> Iterator[bytes]:
    try:
        listed = _list.decode(items)
    except UNREADABLE:
        return
    yield from filter(None, map(thinking_block, map(bytes, listed)))


def _has_words(raw: bytes) -> bool:
    """Tell whether this is the JSON of a string that is not empty."""
    return raw.startswith(b'"') and raw != b'""'
