"""A request's conversation as far as it decides whether Anthropic accepts it, read from the bytes of the body.

Refused is what other providers, or clients in their time, have left: thinking without a signature of Anthropic's, ids
of another form or that come again, blank text, messages that say nothing, calls whose input is no object.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import filterfalse, islice

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.json_spans import Span
from neurolink_mitm.core.request.tool_ids import LONGEST_ID, is_tool_id

THINKING = frozenset({"thinking", "redacted_thinking"})
"""Types of the content blocks that hold thinking."""
FOREIGN_SIGNATURE = "nl1."
"""Begins the signatures that we give to other providers' thinking. Anthropic's are Base64, which has no dot."""
_SIGNED = re.compile(rb'"(?!%s)[^"]' % re.escape(FOREIGN_SIGNATURE.encode()))
"""The beginning of a signature that may be Anthropic's."""
_GOOD_ID = re.compile(rb'"[a-zA-Z0-9_-]{1,%d}"' % LONGEST_ID)
_SERVER_ID = re.compile(rb'"srvtoolu_[a-zA-Z0-9_]+"')
"""The ids of calls that Anthropic runs itself. Some servers that speak its API give others."""
_MAYBE_BLANK = re.compile(
    rb'"(?:["\s]|\\[bfnrtu]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80|\xe2\x81\x9f|\xe3\x80\x80)'
)
"""The beginning of a string that is empty or begins with white space, or with an escape that may be some."""
ID_MEMBERS = {"tool_use": "id", "tool_result": "tool_use_id"}
"""The member that holds the id of a tool call, by the type of the block."""
_PROOF_MEMBERS = {"thinking": "signature", "redacted_thinking": "data"}
_OBJECT = re.compile(rb"\{")
_NULL = msgspec.Raw(b"null")


class Block(msgspec.Struct, gc=False):
    """A content block."""

    type: str = ""
    text: msgspec.Raw = _NULL
    signature: msgspec.Raw = _NULL
    data: msgspec.Raw = _NULL
    id: msgspec.Raw = _NULL
    tool_use_id: msgspec.Raw = _NULL
    input: msgspec.Raw = _NULL

    @property
    def signed(self) -> bool:
        """Whether thinking has a signature (or, where it is redacted, its data) that may be Anthropic's."""
        proof = self.data if self.type == "redacted_thinking" else self.signature
        return _SIGNED.match(proof) is not None

    @property
    def proof(self) -> str | None:
        """The text by which Anthropic recognises its own thinking; None for another provider's."""
        text = _member(self, _PROOF_MEMBERS)
        return None if text is None or text.startswith(FOREIGN_SIGNATURE) else text

    @property
    def tool_id(self) -> str | None:
        """The id of a tool call or of its result."""
        return _member(self, ID_MEMBERS)

    @property
    def is_blank(self) -> bool:
        """Whether it is a text of white space: "text content blocks must contain non-whitespace text"."""
        return self.type == "text" and is_blank_text(self.text)

    @property
    def has_input(self) -> bool:
        """Whether the input of a call is an object."""
        return _OBJECT.match(self.input) is not None

    @property
    def is_foreign_server_tool(self) -> bool:
        """Whether it is a call that its server has run, or the result of one, with an id that is not Anthropic's."""
        if self.type == "server_tool_use":
            return _SERVER_ID.fullmatch(self.id) is None
        if self.type in ("tool_result", "mcp_tool_result") or not self.type.endswith(
            "_tool_result"
        ):
            return False
        return _SERVER_ID.fullmatch(self.tool_use_id) is None


def _member(block: Block, members: Mapping[str, str]) -> str | None:
    member = members.get(block.type)
    return string_of(getattr(block, member)) if member else None


def string_of(value: msgspec.Raw | bytes) -> str | None:
    """Return a string, decoded; None for any other value, and for one that is no UTF-8."""
    raw = bytes(value)
    try:
        return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else None
    except UNREADABLE:
        return None


def is_blank_text(value: msgspec.Raw | bytes) -> bool:
    """Tell whether a value is a string of white space."""
    text = string_of(value) if _MAYBE_BLANK.match(value) else None
    return text is not None and not text.strip()


Gone = Callable[[Block], bool]
"""Tells whether a block is removed."""


class Turn(msgspec.Struct, gc=False):
    """A message of the conversation."""

    role: object = None
    content: list[Block] | str | None = None

    @property
    def blocks(self) -> list[Block]:
        """The content blocks; none where the content is a string."""
        return self.content if isinstance(self.content, list) else []

    @property
    def is_empty(self) -> bool:
        """Whether it has no words and no blocks: "all messages must have non-empty content"."""
        content = self.content
        return content is not None and (
            not content or (isinstance(content, str) and content.isspace())
        )

    def says_nothing(self, gone: Gone) -> bool:
        """Tell whether it is empty without the blocks that are `gone`."""
        return self.is_empty or (bool(self.blocks) and all(map(gone, self.blocks)))


class _Thinking(msgspec.Struct, gc=False):
    type: object = None


class Conversation(msgspec.Struct, gc=False, kw_only=True):
    """The messages of a request, and whether thinking is on."""

    messages: list[Turn]
    thinking: _Thinking | None = None

    @property
    def acceptable(self) -> bool:
        """Whether Anthropic accepts the history as it is."""
        if not _are_acceptable(self.messages):
            return False
        return not self.ending(_stays) and not self.lacks_thinking(_stays)

    @property
    def last(self) -> int:
        """The index of the last message of user or assistant; -1 without any.

        Claude Code puts messages of the system behind it.
        """
        at = len(self.messages) - 1
        while at >= 0 and self.messages[at].role == "system":
            at -= 1
        return at

    def ending(self, gone: Gone) -> str:
        """Return the text that ends the conversation in white space; nothing if none does.

        Anthropic: "final assistant content cannot end with trailing whitespace".
        """
        turn = self.messages[self.last] if self.last >= 0 else Turn()
        if turn.role != "assistant":
            return ""
        block = next((block for block in reversed(turn.blocks) if not gone(block)), Block())
        text = turn.content if isinstance(turn.content, str) else string_of(block.text) or ""
        return text if text[-1:].isspace() and not text.isspace() else ""

    def lacks_thinking(self, gone: Gone) -> bool:
        """Tell whether the history without the blocks that are `gone` lacks thinking which Anthropic asks for.

        That is where a thinking budget is set, and tool calls are under way which did not begin with thinking: a 400,
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`". Adaptive thinking needs none. Without
        interleaved thinking Claude thinks once, before the first of several calls in a row:
        https://github.com/TanStack/ai/issues/340
        """
        if self.thinking is None or self.thinking.type != "enabled":
            return False
        beginnings = list(self._calls_under_way(gone))
        return bool(beginnings) and THINKING.isdisjoint(beginnings)

    def _calls_under_way(self, gone: Gone) -> Iterator[str]:
        """Yield the types of the first blocks of the assistant's turns that the last results belong to."""
        left = (turn for turn in reversed(self.messages) if not turn.says_nothing(gone))
        for result in left:
            if not any(block.type == "tool_result" for block in result.blocks):
                return
            blocks = next(left, Turn()).blocks
            yield from (block.type for block in islice(filterfalse(gone, blocks), 1))


def _stays(block: Block) -> bool:
    """Tell of no block that it is gone."""
    return False


def _are_acceptable(turns: Iterable[Turn]) -> bool:
    """Tell whether Anthropic accepts all blocks. This is done for each request, so it is written for speed."""
    ids: set[bytes] = set()
    for turn in turns:
        content = turn.content
        blocks = content if isinstance(content, list) else ()
        if not blocks and turn.is_empty:
            return False
        for block in blocks:
            kind = block.type
            if kind == "text":
                if _MAYBE_BLANK.match(block.text) and block.is_blank:
                    return False
            elif kind == "tool_result":
                if not _GOOD_ID.fullmatch(block.tool_use_id) and _good_id(block) is None:
                    return False
            elif kind == "tool_use":
                id_ = bytes(block.id) if _GOOD_ID.fullmatch(block.id) else _good_id(block)
                if id_ is None or id_ in ids or not _OBJECT.match(block.input):
                    return False
                ids.add(id_)
            elif not block.signed if kind in THINKING else block.is_foreign_server_tool:
                return False
    return True


def _good_id(block: Block) -> bytes | None:
    """Return an id that has escapes, or is no string, as it would be without; None if Anthropic refuses its form."""
    text = block.tool_id
    if text is None:
        return bytes(block.id)
    return f'"{text}"'.encode() if is_tool_id(text) else None


# Reading a conversation


class _LongTurn(msgspec.Struct, gc=False):
    role: object = None
    content: msgspec.Raw = _NULL


class _LongConversation(msgspec.Struct, gc=False):
    messages: msgspec.Raw
    thinking: _Thinking | None = None


_conversations = msgspec.json.Decoder(Conversation)
_long_conversations = msgspec.json.Decoder(_LongConversation)
_long_turns = msgspec.json.Decoder(list[_LongTurn])
_contents = msgspec.json.Decoder(list[Block] | str | None)
_blocks = msgspec.json.Decoder(list[Block])


def read_conversation(body: bytes) -> Conversation:
    """Read the history, block by block. Raises `ValueError` for what is no Messages request."""
    try:
        return _conversations.decode(body) if len(body) <= spans.LARGE else _in_groups(body)
    except (*UNREADABLE, ValueError) as e:
        raise ValueError("not a Messages request") from e


def _in_groups(body: bytes) -> Conversation:
    long = _long_conversations.decode(body)
    messages = bytes(long.messages)
    everything = Span(0, len(messages))
    turns = (
        Turn(turn.role, _content(bytes(turn.content)))
        for group in spans.groups(messages, everything)
        for turn in _long_turns.decode(spans.bracketed(messages, everything, group))
    )
    return Conversation(messages=list(turns), thinking=long.thinking)


def _content(raw: bytes) -> list[Block] | str | None:
    if len(raw) <= spans.LARGE or not raw.startswith(b"["):
        small: list[Block] | str | None = _contents.decode(raw)
        return small
    everything = Span(0, len(raw))
    grouped = (
        _blocks.decode(spans.bracketed(raw, everything, group))
        for group in spans.groups(raw, everything)
    )
    return [block for blocks in grouped for block in blocks]
