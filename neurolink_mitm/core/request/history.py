"""The history sanitizer: makes a conversation one that Anthropic accepts, and leaves every other byte as it is.

The client sends the whole history again each turn. Anthropic refuses what another provider has left in it: thinking
without a signature of Anthropic's, and tool ids of another form. The edits depend on the history alone, so the same
history becomes the same bytes each turn, and the prompt cache holds.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import ID_MEMBERS, THINKING, Block, BodyIndex, Conversation
from neurolink_mitm.core.request.json_spans import Edit, Part, Span

_NEEDS_THINKING = frozenset({"clear_thinking_20251015"})
"""Edits of `context_management` that Anthropic refuses where thinking is off."""
_Gone = Callable[[Block], bool]


def without_thinking(index: BodyIndex) -> BodyIndex:
    """Return the body without any thinking in its history; the same index if there is none.

    A turn in the middle of a tool call would have to begin with thinking, so thinking is then off for this request.

    Raises:
        ValueError: not a Messages request.
    """
    conversation = index.conversation()
    try:
        index.body.decode()
    except UnicodeError as e:
        raise ValueError("not a Messages request") from e
    edits = _edits(index, conversation, lambda block: block.type in THINKING, ids=False)
    return index.edited([*edits, *_switch_off(index)]) if edits else index


def acceptable(index: BodyIndex, refused: Collection[str] = ()) -> BodyIndex:
    """Return the body as Anthropic accepts it; the same index where nothing changes.

    Removed: thinking without a signature, and thinking whose `signature_digest` is in `refused`. Tool ids of a form
    that Anthropic refuses are replaced, each always by the same one.

    Raises:
        ValueError: not a Messages request.
    """
    if index.acceptable and not refused:
        return index
    conversation = index.conversation()

    def foreign(block: Block) -> bool:
        if block.type not in THINKING:
            return False
        proof = block.proof
        return not proof or signature_digest(proof) in refused

    edits = _edits(index, conversation, foreign, ids=True)
    if conversation.lacks_thinking(foreign):
        edits += _switch_off(index)
    return index.edited(edits)


def signatures(index: BodyIndex) -> frozenset[str]:
    """Return the digests of all thinking in the history.

    Raises:
        ValueError: not a Messages request.
    """
    blocks = (block for turn in index.conversation().messages for block in turn.blocks)
    return frozenset(signature_digest(proof) for block in blocks if (proof := block.proof))


def signature_digest(signature: str) -> str:
    """Return a short name of a signature, which has hundreds of characters."""
    return hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def tool_id(foreign: str) -> str:
    """Return an id that Anthropic accepts, always the same for the same `foreign` one."""
    digest = hashlib.sha256(foreign.encode("utf-8", "surrogatepass")).hexdigest()
    return f"toolu_{digest[:24]}"


def _edits(index: BodyIndex, conversation: Conversation, gone: _Gone, *, ids: bool) -> list[Edit]:
    """Return the edits that remove blocks, and messages that have no others; with `ids`, that replace foreign tool ids.

    Only the spans of what changes are looked for.
    """
    body = index.body
    try:
        messages = index.member("messages")
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
            at = _string_member(body, Span(start, end), ID_MEMBERS[block.type], old)
            yield Edit(at, f'"{tool_id(old)}"'.encode())


def _string_member(body: bytes, block: Span, name: str, value: str) -> Span:
    """Return the span of a member whose value is a string. Nearly always its name occurs only once in the block."""
    span = spans.lone_string(body, block, name)
    if span is None or spans.text(body, span) != value:
        span = spans.member(body, block, name)
    assert span, "the decoder has just read it there"
    return span


def _switch_off(index: BodyIndex) -> list[Edit]:
    """Return the edits that switch thinking off, with what needs it."""
    members = index.members
    gone = [part for part in members if part.name == "thinking"]
    edits: list[Edit] = []
    for part in members:
        if part.name == "context_management":
            left = _without_thinking_edits(index.body, part)
            if left is None:
                gone.append(part)
            else:
                edits += left
    return [*edits, *spans.without(members, gone)]


def _without_thinking_edits(body: bytes, context: Part) -> list[Edit] | None:
    """Return None where nothing is left of `context_management`."""
    listed = spans.member(body, context.value, "edits")
    steps = spans.parts(body, listed) if listed else []
    gone = [step for step in steps if _type(body, step) in _NEEDS_THINKING]
    if gone and len(gone) == len(steps):
        return None
    return spans.without(steps, gone)


def _type(body: bytes, step: Part) -> str | None:
    return spans.text(body, spans.member(body, step.value, "type"))
