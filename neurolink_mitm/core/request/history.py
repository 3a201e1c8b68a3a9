"""The history sanitizer: makes a conversation one that Anthropic accepts, and leaves every other byte as it is.

The client sends the whole history again each turn. Anthropic refuses what another provider has left in it: thinking
without a signature of Anthropic's, and tool ids of another form. The edits depend on the history alone, so the same
history becomes the same bytes each turn, and the prompt cache holds.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.json_spans import Edit, Part, Span
from neurolink_mitm.core.request.tool_ids import LONGEST_ID, is_tool_id, tool_id

THINKING = frozenset({"thinking", "redacted_thinking"})
"""Types of the content blocks that hold thinking."""
_NEEDS_THINKING = frozenset({"clear_thinking_20251015"})
"""Edits of `context_management` that Anthropic refuses where thinking is off."""
_GOOD_ID = re.compile(rb'"[a-zA-Z0-9_-]{1,%d}"' % LONGEST_ID)
FOREIGN_SIGNATURE = "nl1."
"""Begins the signatures that we give to other providers' thinking. Anthropic's are Base64, which has no dot."""
_SIGNED = re.compile(rb'"(?!%s)[^"]' % re.escape(FOREIGN_SIGNATURE.encode()))
"""The beginning of a signature that may be Anthropic's."""
_ID_MEMBERS = {"tool_use": "id", "tool_result": "tool_use_id"}
"""The member that holds the id of a tool call, by the type of the block."""
_PROOF_MEMBERS = {"thinking": "signature", "redacted_thinking": "data"}
_NULL = msgspec.Raw(b"null")


class Block(msgspec.Struct, gc=False):
    """A content block, as far as it decides whether Anthropic accepts it."""

    type: str = ""
    signature: msgspec.Raw = _NULL
    data: msgspec.Raw = _NULL
    id: msgspec.Raw = _NULL
    tool_use_id: msgspec.Raw = _NULL

    @property
    def signed(self) -> bool:
        """Whether thinking has a signature (or, where it is redacted, its data) that may be Anthropic's."""
        proof = self.data if self.type == "redacted_thinking" else self.signature
        return _SIGNED.match(proof) is not None

    @property
    def proof(self) -> str | None:
        """The text by which Anthropic recognises its own thinking; None for another provider's."""
        text = _string(self, _PROOF_MEMBERS)
        return None if text is None or text.startswith(FOREIGN_SIGNATURE) else text

    @property
    def foreign_id(self) -> str | None:
        """The id of a tool call, if Anthropic refuses its form."""
        member = _ID_MEMBERS.get(self.type)
        if member is None or _GOOD_ID.fullmatch(getattr(self, member)):
            return None
        tool_id = _string(self, _ID_MEMBERS)
        return None if tool_id is None or is_tool_id(tool_id) else tool_id


def _string(block: Block, members: Mapping[str, str]) -> str | None:
    member = members.get(block.type)
    raw = bytes(getattr(block, member)) if member else b""
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else None


_Gone = Callable[[Block], bool]


class Turn(msgspec.Struct, gc=False):
    """A message of the conversation."""

    content: list[Block] | str | None = None

    @property
    def blocks(self) -> list[Block]:
        """The content blocks; none where the content is a string."""
        return self.content if isinstance(self.content, list) else []

    def is_emptied(self, gone: _Gone) -> bool:
        """Tell whether all of its blocks are `gone`."""
        return bool(self.blocks) and all(map(gone, self.blocks))


class _Thinking(msgspec.Struct, gc=False):
    type: object = None


class Conversation(msgspec.Struct, gc=False, kw_only=True):
    """The messages of a request, and whether thinking is on."""

    messages: list[Turn]
    thinking: _Thinking | None = None

    @property
    def acceptable(self) -> bool:
        """Whether Anthropic accepts the history as it is."""
        for turn in self.messages:
            for block in turn.blocks:
                if block.type in THINKING:
                    if not block.signed:
                        return False
                elif block.type in _ID_MEMBERS and block.foreign_id is not None:
                    return False
        return not self.lacks_thinking(lambda block: False)

    def lacks_thinking(self, gone: _Gone) -> bool:
        """Tell whether the history without the blocks that are `gone` lacks thinking which Anthropic asks for.

        That is where a thinking budget is set, and a turn in the middle of tool calls does not begin with thinking: a
        400, "Expected `thinking` or `redacted_thinking`, but found `tool_use`". Adaptive thinking needs none.
        """
        if self.thinking is None or self.thinking.type != "enabled":
            return False
        left = (turn.blocks for turn in reversed(self.messages) if not turn.is_emptied(gone))
        last = list(islice(left, 2))
        if len(last) < 2 or not any(block.type == "tool_result" for block in last[0]):
            return False
        first = next((block for block in last[1] if not gone(block)), None)
        return first is not None and first.type not in THINKING


# Reading a history


class _LongTurn(msgspec.Struct, gc=False):
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
        Turn(_content(bytes(turn.content)))
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


# Editing a history


def thinking_edits(body: bytes, members: Sequence[Part]) -> list[Edit]:
    """Return the edits that remove all thinking from the history. Raises `ValueError` for what is no Messages request.

    A turn in the middle of a tool call would have to begin with thinking, so thinking is then off for this request.
    """
    conversation = read_conversation(body)
    try:
        body.decode()
    except UnicodeError as e:
        raise ValueError("not a Messages request") from e
    edits = _edits(body, members, conversation, lambda block: block.type in THINKING, ids=False)
    return [*edits, *_switch_off(body, members)] if edits else []


def foreign_edits(
    body: bytes, members: Sequence[Part], refused: Collection[str] = ()
) -> list[Edit]:
    """Return the edits that make the history one that Anthropic accepts. Raises `ValueError` as `thinking_edits` does.

    Removed: thinking without a signature or with a `FOREIGN_SIGNATURE`, and thinking whose `signature_digest` is in
    `refused`. Tool ids of a form that Anthropic refuses are replaced, each always by the same one.
    """
    conversation = read_conversation(body)

    def foreign(block: Block) -> bool:
        if block.type not in THINKING:
            return False
        proof = block.proof
        return not proof or signature_digest(proof) in refused

    edits = _edits(body, members, conversation, foreign, ids=True)
    return [*edits, *_switch_off(body, members)] if conversation.lacks_thinking(foreign) else edits


def signatures(body: bytes) -> frozenset[str]:
    """Return the digests of all thinking in the history. Raises `ValueError` as `thinking_edits` does."""
    proofs = (block.proof for turn in read_conversation(body).messages for block in turn.blocks)
    return frozenset(signature_digest(proof) for proof in proofs if proof)


def signature_digest(signature: str) -> str:
    """Return a short name of a signature, which has hundreds of characters."""
    return hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _edits(
    body: bytes, members: Sequence[Part], conversation: Conversation, gone: _Gone, *, ids: bool
) -> list[Edit]:
    """Return the edits that remove blocks, and messages that have no others; with `ids`, that replace foreign tool ids.

    Only the spans of what changes are looked for.
    """
    try:
        messages = spans.named(members, "messages")
        edits: list[Edit] = []
        emptied: list[tuple[int, int, bool]] = []
        places = spans.items(body, messages or spans.root(body))
        for turn, (start, end) in zip(conversation.messages, places, strict=True):
            goes = [gone(block) for block in turn.blocks]
            emptied.append((start, end, bool(goes) and all(goes)))
            if not emptied[-1][2]:
                edits += _in_message(body, Span(start, end), turn.blocks, goes, ids=ids)
        return [*edits, *spans.cuts(emptied)]
    except (*UNREADABLE, ValueError) as e:
        raise ValueError("not a Messages request") from e


def _in_message(
    body: bytes, message: Span, blocks: Sequence[Block], goes: Sequence[bool], *, ids: bool
) -> Iterator[Edit]:
    foreign = [block.foreign_id if ids else None for block in blocks]
    if not any(goes) and not any(tool_id is not None for tool_id in foreign):
        return
    content = spans.member(body, message, "content")
    assert content, "the decoder has just read it there"
    places = list(spans.items(body, content))
    if len(places) != len(blocks):
        raise ValueError("content occurs twice")
    yield from spans.cuts((start, end, go) for (start, end), go in zip(places, goes, strict=True))
    for (start, end), block, go, old in zip(places, blocks, goes, foreign, strict=True):
        if old is not None and not go:
            at = _string_member(body, Span(start, end), _ID_MEMBERS[block.type], old)
            yield Edit(at, f'"{tool_id(old)}"'.encode())


def _string_member(body: bytes, block: Span, name: str, value: str) -> Span:
    """Return the span of a member whose value is a string. Nearly always its name occurs only once in the block."""
    span = spans.lone_string(body, block, name)
    if span is None or spans.text(body, span) != value:
        span = spans.member(body, block, name)
    assert span, "the decoder has just read it there"
    return span


def _switch_off(body: bytes, members: Sequence[Part]) -> list[Edit]:
    """Return the edits that switch thinking off, with what needs it."""
    gone = [part for part in members if part.name == "thinking"]
    edits: list[Edit] = []
    for part in members:
        if part.name == "context_management":
            left = _without_thinking_edits(body, part)
            edits += left or ()
            gone += [part] if left is None else []
    return [*edits, *spans.without(members, gone)]


def _without_thinking_edits(body: bytes, context: Part) -> list[Edit] | None:
    """Return None where nothing is left of `context_management`."""
    listed = spans.member(body, context.value, "edits")
    steps = spans.parts(body, listed) if listed else []
    gone = [step for step in steps if spans.type_of(body, step.value) in _NEEDS_THINKING]
    return None if gone and len(gone) == len(steps) else spans.without(steps, gone)
