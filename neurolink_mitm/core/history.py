"""Makes a conversation's history one that Anthropic accepts, and leaves every other byte of the request as it is.

The client sends the whole history again each turn. What another provider has left in it is refused: thinking that
is not signed by Anthropic, and tool ids of another form. What is done about it depends on the history alone, so the
same history becomes the same bytes each turn, and the prompt cache holds.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_spans import Edit, Part, Span
from neurolink_mitm.core.unreadable import UNREADABLE

_THINKING = frozenset({"thinking", "redacted_thinking"})
_NEEDS_THINKING = frozenset({"clear_thinking_20251015"})
"""Edits of `context_management` that are refused where thinking is off."""
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,256}")
"""What Anthropic takes for the id of a tool call."""
_ID_MEMBERS = {"tool_use": "id", "tool_result": "tool_use_id"}
_PROOF_MEMBERS = {"thinking": "signature", "redacted_thinking": "data"}


class _TypedBlock(msgspec.Struct, gc=False):
    type: str = ""
    signature: object = None
    data: object = None
    id: object = None
    tool_use_id: object = None


class _Turn(msgspec.Struct, gc=False):
    content: list[_TypedBlock] | str | None = None


class _Thinking(msgspec.Struct, gc=False):
    type: object = None


class _Request(msgspec.Struct, gc=False):
    """Enough to tell whether anything is to be mended: a tenth of what reading all of it would take."""

    messages: list[_Turn]
    thinking: _Thinking | None = None


_decoder = msgspec.json.Decoder(_Request)


@dataclass(frozen=True, slots=True)
class _Block:
    """A content block: where it lies, and what decides whether it may stay as it is."""

    part: Part
    type: str
    proof: str | None
    """What Anthropic knows its own thinking by."""
    tool_id: Span | None


@dataclass(frozen=True, slots=True)
class _Message:
    part: Part
    blocks: tuple[_Block, ...]
    """None where the content is a string."""


def without_thinking(body: bytes) -> bytes | None:
    """The request without any thinking in its history; None if there is none.

    A turn in the middle of a tool call would have to begin with thinking, so thinking is then off for this request.

    Raises:
        ValueError: not a Messages request.
    """
    history = _read(body)
    edits = _removals(history, lambda block: block.type in _THINKING)
    if not edits:
        return None
    return spans.apply(body, (*edits, *_switch_off(body)))


def acceptable(body: bytes, refused: Collection[str] = ()) -> bytes:
    """The request as Anthropic takes it; the same object where there is nothing to change.

    Taken out: thinking without a signature, and that whose `signature_digest` is among `refused`. Tool ids of a form
    that Anthropic refuses are replaced, each always by the same.

    Raises:
        ValueError: not a Messages request.
    """
    request = _decoded(body)
    if not refused and _is_acceptable(request):
        return body
    history = _located(body)

    def foreign(block: _Block) -> bool:
        if block.type not in _THINKING:
            return False
        return not block.proof or signature_digest(block.proof) in refused

    edits = [*_removals(history, foreign), *_tool_ids(body, history)]
    if _lacks_thinking(body, history, foreign):
        edits += _switch_off(body)
    return spans.apply(body, edits)


def signatures(body: bytes) -> frozenset[str]:
    """The digests of all thinking in the history.

    Raises:
        ValueError: not a Messages request.
    """
    blocks = (block for message in _read(body) for block in message.blocks)
    return frozenset(signature_digest(block.proof) for block in blocks if block.proof)


def signature_digest(signature: str) -> str:
    """A short name of a signature, which has hundreds of characters."""
    return hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_tool_id(text: str) -> bool:
    """Whether Anthropic takes this for the id of a tool call."""
    return _TOOL_ID.fullmatch(text) is not None


def tool_id(foreign: str) -> str:
    """An id that Anthropic takes, the same for the same one."""
    digest = hashlib.sha256(foreign.encode("utf-8", "surrogatepass")).hexdigest()
    return f"toolu_{digest[:24]}"


def _decoded(body: bytes) -> _Request:
    try:
        return _decoder.decode(body)
    except UNREADABLE as e:
        raise ValueError("not a Messages request") from e


def _read(body: bytes) -> list[_Message]:
    _decoded(body)  # of the right form, so that what follows need not ask
    return _located(body)


def _located(body: bytes) -> list[_Message]:
    try:
        history = spans.member(body, spans.root(body), "messages")
        return [_message(body, part) for part in spans.parts(body, history or spans.root(body))]
    except (*UNREADABLE, ValueError) as e:
        raise ValueError("not a Messages request") from e


def _message(body: bytes, part: Part) -> _Message:
    content = spans.member(body, part.value, "content")
    if content is None or body[content.start : content.start + 1] != b"[":
        return _Message(part, ())
    return _Message(part, tuple(_block(body, each) for each in spans.parts(body, content)))


def _block(body: bytes, part: Part) -> _Block:
    members = {each.name: each.value for each in spans.parts(body, part.value)}
    kind = spans.text(body, members.get("type")) or ""
    return _Block(
        part,
        kind,
        proof=spans.text(body, members.get(_PROOF_MEMBERS.get(kind, ""))),
        tool_id=members.get(_ID_MEMBERS.get(kind, "")),
    )


def _removals(history: Sequence[_Message], gone: Callable[[_Block], bool]) -> list[Edit]:
    """Blocks are taken out, and messages that have no other."""
    edits: list[Edit] = []
    emptied: list[Part] = []
    for message in history:
        dropped = [block.part for block in message.blocks if gone(block)]
        if dropped and len(dropped) == len(message.blocks):
            emptied.append(message.part)
        elif dropped:
            edits += spans.without([block.part for block in message.blocks], dropped)
    edits += spans.without([message.part for message in history], emptied)
    return edits


def _tool_ids(body: bytes, history: Sequence[_Message]) -> Iterator[Edit]:
    for message in history:
        for block in message.blocks:
            known = spans.text(body, block.tool_id)
            if block.tool_id and known is not None and not is_tool_id(known):
                yield Edit(block.tool_id, f'"{tool_id(known)}"'.encode())


def _is_acceptable(request: _Request) -> bool:
    """What the edits below would find, without where it lies."""
    turns = [turn.content for turn in request.messages if isinstance(turn.content, list)]
    if any(_is_foreign(block) for blocks in turns for block in blocks):
        return False
    if request.thinking is None or request.thinking.type != "enabled" or len(request.messages) < 2:
        return True
    before, last = (
        [block.type for block in turn.content] if isinstance(turn.content, list) else []
        for turn in request.messages[-2:]
    )
    return "tool_result" not in last or bool(_THINKING & set(before[:1]))


def _is_foreign(block: _TypedBlock) -> bool:
    match block.type:
        case "thinking" | "redacted_thinking":
            return not getattr(block, _PROOF_MEMBERS[block.type])
        case "tool_use" | "tool_result":
            known = getattr(block, _ID_MEMBERS[block.type])
            return isinstance(known, str) and not is_tool_id(known)
        case _:
            return False


def _lacks_thinking(
    body: bytes, history: Sequence[_Message], gone: Callable[[_Block], bool]
) -> bool:
    """Thinking is on with a budget, in the middle of tool calls, and the turn does not begin with thinking.

    A 400: "Expected `thinking` or `redacted_thinking`, but found `tool_use`". Adaptive thinking asks for no such thing.
    """
    thinking = spans.member(body, spans.root(body), "thinking")
    if not thinking or spans.text(body, spans.member(body, thinking, "type")) != "enabled":
        return False
    turns = [
        message.blocks
        for message in history
        if not message.blocks or not all(map(gone, message.blocks))
    ]
    if len(turns) < 2 or not any(block.type == "tool_result" for block in turns[-1]):
        return False
    first = next((block for block in turns[-2] if not gone(block)), None)
    return first is not None and first.type not in _THINKING


def _switch_off(body: bytes) -> list[Edit]:
    members = spans.parts(body, spans.root(body))
    gone = [part for part in members if part.name == "thinking"]
    edits: list[Edit] = []
    for part in members:
        if part.name == "context_management":
            left = _without_thinking_edits(body, part)
            if left is None:
                gone.append(part)
            else:
                edits += left
    return [*edits, *spans.without(members, gone)]


def _without_thinking_edits(body: bytes, context: Part) -> list[Edit] | None:
    """None where nothing is left of it."""
    listed = spans.member(body, context.value, "edits")
    steps = spans.parts(body, listed) if listed else []
    gone = [step for step in steps if _block(body, step).type in _NEEDS_THINKING]
    if gone and len(gone) == len(steps):
        return None
    return spans.without(steps, gone)
