"""The history sanitizer: makes a conversation one that Anthropic accepts, and leaves every other byte as it is.

The client sends the whole history again each turn. Anthropic refuses what another provider has left in it
(`conversation`). The edits depend on the history alone, and on what comes before them, so the same history becomes the
same bytes each turn, and the prompt cache holds. What a tool's result holds stays as it is: Anthropic takes blank texts
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.conversation import (
    ID_MEMBERS,
    THINKING,
    Block,
    Conversation,
    Gone,
    Turn,
    read_conversation,
    string_of,
)
from neurolink_mitm.core.request.json_spans import Edit, Part, Span
from neurolink_mitm.core.request.tool_ids import UniqueIds

_NEEDS_THINKING = frozenset({"clear_thinking_20251015"})
"""Edits of `context_management` that Anthropic refuses where thinking is off."""


def thinking_edits(body: bytes, members: Sequence[Part]) -> list[Edit]:
    """Return `foreign_edits` and those that remove all thinking. Raises `ValueError` for what is no Messages request.

    A turn in the middle of a tool call would have to begin with thinking, so thinking is then off for this request.
    """
    conversation = read_conversation(body)
    try:
        body.decode()
    except UnicodeError as e:
        raise ValueError("not a Messages request") from e

    def gone(block: Block) -> bool:
        return block.type in THINKING or block.is_blank or block.is_foreign_server_tool

    thinks = any(block.type in THINKING for turn in conversation.messages for block in turn.blocks)
    edits = _edits(body, members, conversation, gone)
    return [*edits, *_switch_off(body, members)] if thinks else edits


def foreign_edits(
    body: bytes, members: Sequence[Part], refused: Collection[str] = ()
) -> list[Edit]:
    """Return the edits that make the history one that Anthropic accepts. Raises `ValueError` as `thinking_edits` does.

    Removed: thinking without a signature or with a `FOREIGN_SIGNATURE`, thinking whose `signature_digest` is in
    `refused`, calls that another server has run, with their results, blank text, messages that say nothing, and white
    space at the end of a final assistant message. Replaced: ids of tool calls of a form that Anthropic refuses, those
    that come again, with those of their results, and inputs that are no objects.
    """
    conversation = read_conversation(body)

    def gone(block: Block) -> bool:
        if block.type not in THINKING:
            return block.is_blank or block.is_foreign_server_tool
        proof = block.proof
        return not proof or signature_digest(proof) in refused

    edits = _edits(body, members, conversation, gone)
    return [*edits, *_switch_off(body, members)] if conversation.lacks_thinking(gone) else edits


def signatures(body: bytes) -> frozenset[str]:
    """Return the digests of all thinking in the history. Raises `ValueError` as `thinking_edits` does."""
    proofs = (block.proof for turn in read_conversation(body).messages for block in turn.blocks)
    return frozenset(signature_digest(proof) for proof in proofs if proof)


def signature_digest(signature: str) -> str:
    """Return a short name of a signature, which has hundreds of characters."""
    return hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# What changes


@dataclass(frozen=True, slots=True)
class _Value:
    """A new value of a member of a block; `old` is the string that it replaces, None for any other value."""

    name: str
    old: str | None
    text: bytes


_Changes = list[list[_Value]]
"""The new values in each block of a message."""


def _edits(
    body: bytes, members: Sequence[Part], conversation: Conversation, gone: Gone
) -> list[Edit]:
    """Return the edits that remove blocks, and messages that have no others, and that change values.

    Only the spans of what changes are looked for.
    """
    try:
        messages = spans.named(members, "messages")
        places = spans.items(body, messages or spans.root(body))
        edits: list[Edit] = []
        emptied: list[tuple[int, int, bool]] = []
        last = conversation.last
        every = zip(conversation.messages, _changes(conversation, gone), places, strict=True)
        for at, (turn, changes, (start, end)) in enumerate(every):
            says_nothing = turn.says_nothing(gone)
            emptied.append((start, end, says_nothing and not (at >= last and _may_stay(turn))))
            if not says_nothing:
                goes = [gone(block) for block in turn.blocks]
                edits += _in_message(body, Span(start, end), goes, changes)
            if at == last and isinstance(turn.content, str):
                edits += _ending(body, Span(start, end), conversation.ending(gone))
        return [*edits, *spans.cuts(emptied)]
    except (*UNREADABLE, ValueError) as e:
        raise ValueError("not a Messages request") from e


def _may_stay(turn: Turn) -> bool:
    """Tell whether a message that says nothing stays where it is the last: that is the client's matter.

    Anthropic takes an empty assistant message there, and refuses a question that is none.
    """
    if turn.role == "assistant":
        return turn.content in ("", [])
    return not any(block.type in THINKING for block in turn.blocks)


def _changes(conversation: Conversation, gone: Gone) -> Iterator[_Changes]:
    """Yield the new values in each message."""
    ids, called = UniqueIds(), False
    ending, last = conversation.ending(gone), conversation.last
    for at, turn in enumerate(conversation.messages):
        calls = any(block.type == "tool_use" for block in turn.blocks)
        if calls and not called:
            ids.turn()
        called = calls
        changes = [list(_values(block, ids)) for block in turn.blocks]
        if ending and at == last and changes:
            place = max(place for place, block in enumerate(turn.blocks) if not gone(block))
            changes[place].append(_Value("text", ending, _stripped(ending)))
        yield changes


def _stripped(ending: str) -> bytes:
    return msgspec.json.encode(ending.rstrip())


def _values(block: Block, ids: UniqueIds) -> Iterator[_Value]:
    given = block.tool_id
    if given is not None:
        name = ids.of_call(given) if block.type == "tool_use" else ids.of_result(given)
        if name != given:
            yield _Value(ID_MEMBERS[block.type], given, f'"{name}"'.encode())
    if block.type == "tool_use" and not block.has_input:
        yield _Value("input", None, _input(block))


def _input(block: Block) -> bytes:
    """Return the input of a call as an object: some providers give its JSON in a string, or null for none."""
    inside = (string_of(block.input) or "").encode()
    try:
        msgspec.json.decode(inside, type=dict[str, msgspec.Raw])
        return inside
    except UNREADABLE:
        pass
    given = bytes(block.input)
    return b"{}" if given in (b"null", b'""') else b'{"input":%s}' % given


# Making the edits


def _in_message(
    body: bytes, message: Span, goes: Sequence[bool], changes: _Changes
) -> Iterator[Edit]:
    if not any(goes) and not any(changes):
        return
    content = spans.member(body, message, "content")
    assert content, "the decoder has just read it there"
    places = list(spans.items(body, content))
    if len(places) != len(goes):
        raise ValueError("content occurs twice")
    yield from spans.cuts((start, end, go) for (start, end), go in zip(places, goes, strict=True))
    for (start, end), go, values in zip(places, goes, changes, strict=True):
        for value in () if go else values:
            yield _member_edit(body, Span(start, end), value)


def _ending(body: bytes, message: Span, ending: str) -> Iterator[Edit]:
    """Yield the edit of a content that is a string."""
    content = spans.member(body, message, "content")
    if ending and content:
        yield Edit(content, _stripped(ending))


def _member_edit(body: bytes, block: Span, value: _Value) -> Edit:
    """Return the edit of a member of a block. Nearly always the name of a string occurs only once in it, unescaped."""
    escapes = body.find(b"\\u", block.start, block.end) >= 0
    lone = value.old is not None and not escapes
    span = spans.lone_string(body, block, value.name) if lone else None
    if span is None or spans.text(body, span) != value.old:
        parts = spans.parts(body, block)
        span = spans.named(parts, value.name)
        if span is None:
            return spans.added(block, parts, b'"%s":%s' % (value.name.encode(), value.text))
    return Edit(span, value.text)


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
