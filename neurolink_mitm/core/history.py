"""Makes a conversation's history one that Anthropic accepts, and leaves every other byte of the request as it is.

The client sends the whole history again each turn. What another provider has left in it is refused: thinking that
is not signed by Anthropic, and tool ids of another form. What is done about it depends on the history alone, so the
same history becomes the same bytes each turn, and the prompt cache holds.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from neurolink_mitm.core import json_groups
from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_spans import Edit, Part, Span
from neurolink_mitm.core.unreadable import UNREADABLE

_THINKING = frozenset({"thinking", "redacted_thinking"})
_NEEDS_THINKING = frozenset({"clear_thinking_20251015"})
"""Edits of `context_management` that are refused where thinking is off."""
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,256}")
"""What Anthropic takes for the id of a tool call."""
_GOOD_ID = re.compile(rb'"[a-zA-Z0-9_-]{1,256}"')
_ID_MEMBERS = {"tool_use": "id", "tool_result": "tool_use_id"}
_PROOF_MEMBERS = {"thinking": "signature", "redacted_thinking": "data"}


_NULL = msgspec.Raw(b"null")


class _Block(msgspec.Struct, gc=False):
    """A content block, as far as it decides whether it may stay as it is."""

    type: str = ""
    signature: msgspec.Raw = _NULL
    data: msgspec.Raw = _NULL
    id: msgspec.Raw = _NULL
    tool_use_id: msgspec.Raw = _NULL

    @property
    def proof(self) -> str | None:
        """What Anthropic knows its own thinking by."""
        return _string(self, _PROOF_MEMBERS)

    @property
    def foreign_id(self) -> str | None:
        """The id of a tool call, in a form that Anthropic refuses."""
        member = _ID_MEMBERS.get(self.type)
        if member is None or _GOOD_ID.fullmatch(getattr(self, member)):
            return None
        found = _string(self, _ID_MEMBERS)
        return None if found is None or is_tool_id(found) else found


def _string(block: _Block, members: Mapping[str, str]) -> str | None:
    member = members.get(block.type)
    raw = bytes(getattr(block, member)) if member else b""
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else None


class _Turn(msgspec.Struct, gc=False):
    content: list[_Block] | str | None = None

    @property
    def blocks(self) -> list[_Block]:
        """None where the content is a string."""
        return self.content if isinstance(self.content, list) else []


class _Thinking(msgspec.Struct, gc=False):
    type: object = None


class _Request(msgspec.Struct, gc=False):
    """Enough to tell what is to be mended: a tenth of what reading all of it would take."""

    messages: list[_Turn]
    thinking: _Thinking | None = None


class _LargeTurn(msgspec.Struct, gc=False):
    content: msgspec.Raw = _NULL


class _LargeRequest(msgspec.Struct, gc=False):
    """The same where its messages are to be read group by group."""

    messages: msgspec.Raw
    thinking: _Thinking | None = None


_decoder = msgspec.json.Decoder(_Request)
_large = msgspec.json.Decoder(_LargeRequest)
_large_turns = msgspec.json.Decoder(list[_LargeTurn])
_contents = msgspec.json.Decoder(list[_Block] | str | None)
_blocks = msgspec.json.Decoder(list[_Block])
_Gone = Callable[[_Block], bool]


def without_thinking(body: bytes) -> bytes | None:
    """The request without any thinking in its history; None if there is none.

    A turn in the middle of a tool call would have to begin with thinking, so thinking is then off for this request.

    Raises:
        ValueError: not a Messages request.
    """
    request = _decoded(body)
    try:
        body.decode()
    except UnicodeError as e:
        raise ValueError("not a Messages request") from e
    edits = _edits(body, request, lambda block: block.type in _THINKING, ids=False)
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

    def foreign(block: _Block) -> bool:
        if block.type not in _THINKING:
            return False
        proof = block.proof
        return not proof or signature_digest(proof) in refused

    edits = _edits(body, request, foreign, ids=True)
    if _lacks_thinking(request, foreign):
        edits += _switch_off(body)
    return spans.apply(body, edits)


def is_acceptable(body: bytes) -> bool:
    """Whether `acceptable` would leave it as it is, told without looking where anything lies.

    Raises:
        ValueError: not a Messages request.
    """
    return _is_acceptable(_decoded(body))


def signatures(body: bytes) -> frozenset[str]:
    """The digests of all thinking in the history.

    Raises:
        ValueError: not a Messages request.
    """
    blocks = (block for turn in _decoded(body).messages for block in turn.blocks)
    return frozenset(signature_digest(proof) for block in blocks if (proof := block.proof))


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
        return _decoder.decode(body) if len(body) <= json_groups.LARGE else _in_groups(body)
    except (*UNREADABLE, ValueError) as e:
        raise ValueError("not a Messages request") from e


def _in_groups(body: bytes) -> _Request:
    request = _large.decode(body)
    messages = bytes(request.messages)
    everything = Span(0, len(messages))
    turns = (
        _Turn(_content(bytes(turn.content)))
        for group in spans.groups(messages, everything)
        for turn in _large_turns.decode(spans.bracketed(messages, everything, group))
    )
    return _Request(list(turns), request.thinking)


def _content(raw: bytes) -> list[_Block] | str | None:
    if len(raw) <= json_groups.LARGE or not raw.startswith(b"["):
        small: list[_Block] | str | None = _contents.decode(raw)
        return small
    everything = Span(0, len(raw))
    grouped = (
        _blocks.decode(spans.bracketed(raw, everything, group))
        for group in spans.groups(raw, everything)
    )
    return [block for blocks in grouped for block in blocks]


def _edits(body: bytes, request: _Request, gone: _Gone, *, ids: bool) -> list[Edit]:
    """Blocks are taken out, and messages that have no other; with `ids`, foreign ids of tool calls are replaced.

    Only what changes is looked for in the text.
    """
    try:
        messages = spans.member(body, spans.root(body), "messages")
        edits: list[Edit] = []
        emptied: list[tuple[int, int, bool]] = []
        where = spans.items(body, messages or spans.root(body))
        for turn, (start, end) in zip(request.messages, where, strict=True):
            goes = [gone(block) for block in turn.blocks]
            emptied.append((start, end, bool(goes) and all(goes)))
            if not emptied[-1][2]:
                edits += _in_message(body, Span(start, end), turn.blocks, goes, ids=ids)
        return [*edits, *spans.cuts(emptied)]
    except (*UNREADABLE, ValueError) as e:
        raise ValueError("not a Messages request") from e


def _in_message(
    body: bytes, message: Span, blocks: Sequence[_Block], goes: Sequence[bool], *, ids: bool
) -> Iterator[Edit]:
    foreign = [block.foreign_id if ids else None for block in blocks]
    if not any(goes) and not any(known is not None for known in foreign):
        return
    content = spans.member(body, message, "content")
    assert content, "the decoder has just read it there"
    where = list(spans.items(body, content))
    if len(where) != len(blocks):
        raise ValueError("content occurs twice")
    yield from spans.cuts((start, end, go) for (start, end), go in zip(where, goes, strict=True))
    for (start, end), block, go, known in zip(where, blocks, goes, foreign, strict=True):
        if known is not None and not go:
            at = _member(body, Span(start, end), _ID_MEMBERS[block.type], known)
            yield Edit(at, f'"{tool_id(known)}"'.encode())


def _member(body: bytes, block: Span, name: str, known: str) -> Span:
    """Where the value of a member is, a string. Nearly always its name occurs only once in the block."""
    found = spans.lone_string(body, block, name)
    if found is None or spans.text(body, found) != known:
        found = spans.member(body, block, name)
    assert found, "the decoder has just read it there"
    return found


def _is_acceptable(request: _Request) -> bool:
    """What the edits below would find, without where it lies."""
    for turn in request.messages:
        for block in turn.blocks:
            if block.type in _THINKING:
                if not block.proof:
                    return False
            elif block.foreign_id is not None:
                return False
    return not _lacks_thinking(request, lambda block: False)


def _lacks_thinking(request: _Request, gone: _Gone) -> bool:
    """Thinking is on with a budget, in the middle of tool calls, and the turn does not begin with thinking.

    A 400: "Expected `thinking` or `redacted_thinking`, but found `tool_use`". Adaptive thinking asks for no such thing.
    """
    if request.thinking is None or request.thinking.type != "enabled":
        return False
    left = (turn.blocks for turn in reversed(request.messages) if not _is_emptied(turn, gone))
    turns = list(islice(left, 2))
    if len(turns) < 2 or not any(block.type == "tool_result" for block in turns[0]):
        return False
    first = next((block for block in turns[1] if not gone(block)), None)
    return first is not None and first.type not in _THINKING


def _is_emptied(turn: _Turn, gone: _Gone) -> bool:
    return bool(turn.blocks) and all(map(gone, turn.blocks))


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
    gone = [step for step in steps if _kind(body, step) in _NEEDS_THINKING]
    if gone and len(gone) == len(steps):
        return None
    return spans.without(steps, gone)


def _kind(body: bytes, step: Part) -> str | None:
    return spans.text(body, spans.member(body, step.value, "type"))
