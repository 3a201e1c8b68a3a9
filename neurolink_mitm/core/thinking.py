"""Takes thinking blocks out of a conversation.

A block is signed by who made it, and is refused where the signature does not hold: after a change of provider, say.
The history is sent again by the client each turn, so what is taken out here is taken out for one request only.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import msgspec

from neurolink_mitm.core.unreadable import UNREADABLE

Fields = dict[str, msgspec.Raw]

_THINKING = frozenset({"thinking", "redacted_thinking"})
_NEEDS_THINKING = frozenset({"clear_thinking_20251015"})
"""Edits of `context_management` that are refused where thinking is off."""


class _Block(msgspec.Struct):
    type: str = ""


def without_thinking(body: bytes) -> bytes | None:
    """The request without any thinking in its history; None if there is none. What else is in it stays as it is.

    A turn in the middle of a tool call would have to begin with thinking, so thinking is then off for this request.

    Raises:
        ValueError: not a Messages request.
    """
    try:
        request = msgspec.json.decode(body, type=Fields)
        messages = msgspec.json.decode(request["messages"], type=list[msgspec.Raw])
        mended = [_without(raw, "content", _THINKING) for raw in messages]
        if mended == messages:
            return None
        request["messages"] = _joined([raw for raw in mended if raw is not None])
        _switch_off(request)
    except (*UNREADABLE, KeyError) as e:
        raise ValueError("not a Messages request") from e
    return bytes(_object(request))


def _switch_off(request: Fields) -> None:
    request.pop("thinking", None)
    context = request.get("context_management")
    if context is None or not bytes(context).startswith(b"{"):
        return
    left = _without(context, "edits", _NEEDS_THINKING)
    if left is None:
        del request["context_management"]
    else:
        request["context_management"] = left


def _without(raw: msgspec.Raw, member: str, kinds: frozenset[str]) -> msgspec.Raw | None:
    """An object without the items of these kinds in one of its lists; None where the list has no others."""
    fields = msgspec.json.decode(raw, type=Fields)
    items = bytes(fields.get(member, b""))
    if not items.startswith(b"["):
        return raw
    blocks = msgspec.json.decode(items, type=list[msgspec.Raw])
    kept = [b for b in blocks if msgspec.json.decode(b, type=_Block).type not in kinds]
    if len(kept) == len(blocks):
        return raw
    if not kept:
        return None
    fields[member] = _joined(kept)
    return _object(fields)


def _joined(items: list[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(map(bytes, items)) + b"]")


def _object(fields: Fields) -> msgspec.Raw:
    members = (msgspec.json.encode(name) + b":" + bytes(raw) for name, raw in fields.items())
    return msgspec.Raw(b"{" + b",".join(members) + b"}")
