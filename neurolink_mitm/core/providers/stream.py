"""Makes another provider's translated answer one that Anthropic itself could have sent.

What LiteLLM streams is nearly that: `ProviderStream` takes its events and gives those for the client, and knows when
the answer has begun, failed or ended. Checked against
https://platform.claude.com/docs/en/build-with-claude/streaming and what LiteLLM 1.101 was seen to do:
a first event before the provider was asked, empty blocks, tool calls with no, half or no JSON input, a stop reason that
does not fit, no end at all after a cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request.history import is_tool_id, tool_id
from neurolink_mitm.core.response.sse import encode

CUT = "The answer was cut off upstream. Ask again to continue."
STOP_REASONS = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
)
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST_NAME = 128
"""Of a tool, as Anthropic takes it: models make up others."""
SPEAK_FOR_THEMSELVES = ("refusal", "max_tokens")
"""Reasons for an answer without a word."""
_TEXTS = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta")}
"""Where the text of a block is: in its start and in its deltas."""

Json = dict[str, Any]
NO_NAMES: Mapping[str, str] = {}


@dataclass(slots=True)
class _Open:
    """A block that has begun upstream, and perhaps not yet for the client."""

    block: Json
    sent: bool = False
    input: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ProviderStream:
    """Events in, events out. Nothing is given before the first that has content, or begins a tool call.

    The call itself is given when it is whole: half of one, were it completed by guessing, might be run. One that can't
    be read was cut by the limit of tokens, as far as was seen, whatever the provider says of it.
    """

    message_id: str
    model: str
    tool_names: Mapping[str, str] = field(default_factory=dict)
    """The client's names of tools, by those that the provider was told."""
    started: bool = False
    """Something has been given: from here on a failure can only be told by an event."""
    done: bool = False
    """The answer is whole, or closed by an error event."""
    empty: bool = False
    """It ended without a word, and for no reason that would explain it."""
    _usage: Json = field(default_factory=dict)
    _open: _Open | None = None
    _blocks: int = 0
    _ids: list[str] = field(default_factory=list)
    """Of the tool calls given."""
    _lost_tool: bool = False
    _stop: Json = field(default_factory=dict)

    def feed(self, event: Json) -> bytes:
        """Take one event; what is to be sent for it, if anything."""
        return b"" if self.done else b"".join(self._see(event))

    def cut(self) -> bytes:
        """The provider broke off, or ended without saying so."""
        if self.done or not self.started:
            self.done = True
            return b""
        self.done = True
        return encode("error", error_body("overloaded_error", CUT))

    def _see(self, event: Json) -> Iterator[bytes]:
        kind = event.get("type")
        if kind == "message_start":
            self._count(_object(event.get("message")).get("usage"))
        elif kind == "content_block_start":
            yield from self._close()
            self._open = _Open(dict(_object(event.get("content_block"))))
            yield from self._begin()
        elif kind == "content_block_delta" and self._open:
            yield from self._delta(self._open, _object(event.get("delta")))
        elif kind == "content_block_stop":
            yield from self._close()
        elif kind == "message_delta":
            self._count(event.get("usage"))
            self._stop = {**self._stop, **_object(event.get("delta"))}
        elif kind == "message_stop":
            yield from self._finish()
        elif kind == "error":  # its text is LiteLLM's own
            yield self.cut()

    def _begin(self) -> Iterator[bytes]:
        """Some say the first words in the start of a block. A tool's input may take minutes to be written."""
        open_ = self._open
        kind = str(open_.block.get("type")) if open_ else ""
        if kind == "tool_use":
            yield from self._start()
        member, delta = _TEXTS.get(kind, ("", ""))
        text = open_.block.get(member) if open_ and member else None
        if open_ and isinstance(text, str) and text:
            yield from self._say(open_, delta, member, text)

    def _delta(self, open_: _Open, delta: Json) -> Iterator[bytes]:
        kind = open_.block.get("type")
        if kind == "tool_use" and isinstance(part := delta.get("partial_json"), str):
            open_.input.append(part)
        elif kind in _TEXTS and delta.get("type") == _TEXTS[kind][1]:
            text = delta.get(_TEXTS[kind][0])
            if isinstance(text, str) and text:
                yield from self._say(open_, _TEXTS[kind][1], _TEXTS[kind][0], text)

    def _say(self, open_: _Open, delta: str, member: str, text: str) -> Iterator[bytes]:
        if not open_.sent:
            open_.sent = True
            # no signature: what is not Anthropic's is known by that when it comes back
            fields = {"signature": ""} if member == "thinking" else {}
            yield from self._start_block({"type": member, member: "", **fields})
        yield self._of_block("content_block_delta", delta={"type": delta, member: text})

    def _close(self) -> Iterator[bytes]:
        open_, self._open = self._open, None
        if open_ is None:
            return
        if open_.block.get("type") == "tool_use":
            yield from self._tool(open_)
        elif open_.sent:
            yield self._of_block("content_block_stop")
            self._blocks += 1

    def _tool(self, open_: _Open) -> Iterator[bytes]:
        block = tool_use(open_.block, "".join(open_.input), self.tool_names)
        if block is None:
            self._lost_tool = True
            return
        block["id"] = _unused(block["id"], self._ids)
        self._ids.append(block["id"])
        yield from self._start_block({**block, "input": {}})
        text = msgspec.json.encode(block["input"]).decode()
        delta = {"type": "input_json_delta", "partial_json": text}
        yield self._of_block("content_block_delta", delta=delta)
        yield self._of_block("content_block_stop")
        self._blocks += 1

    def _finish(self) -> Iterator[bytes]:
        yield from self._close()
        said = {"stop_reason": "max_tokens"} if self._lost_tool else self._stop
        stop = _stop(said, tools=len(self._ids))
        if not self._blocks and stop["stop_reason"] not in SPEAK_FOR_THEMSELVES:
            self.empty = True
            self.done = True
            return
        yield from self._start()
        usage = {"output_tokens": 0, **self._usage}
        yield _event("message_delta", delta=stop, usage=usage)
        yield _event("message_stop")
        self.done = True

    def _start(self) -> Iterator[bytes]:
        if self.started:
            return
        self.started = True
        usage = {"input_tokens": 0, **self._usage, "output_tokens": 0}
        yield _event(
            "message_start",
            message={
                "id": self.message_id, "type": "message", "role": "assistant", "content": [],
                "model": self.model, "stop_reason": None, "stop_sequence": None, "usage": usage,
            },
        )  # fmt: skip

    def _start_block(self, block: Json) -> Iterator[bytes]:
        yield from self._start()
        yield self._of_block("content_block_start", content_block=block)

    def _of_block(self, kind: str, **members: Any) -> bytes:
        return _event(kind, index=self._blocks, **members)

    def _count(self, usage: object) -> None:
        self._usage |= counts(usage)


def whole(
    message: Json, message_id: str, model: str, tool_names: Mapping[str, str] = NO_NAMES
) -> Json | None:
    """An answer that is not streamed, by the same rules; None where it says nothing."""
    blocks = list(_blocks(message.get("content"), tool_names))
    content = [block for block in blocks if block]
    ids: list[str] = []
    for block in content:
        if block["type"] == "tool_use":
            block["id"] = _unused(block["id"], ids)
            ids.append(block["id"])
    stop = _stop({"stop_reason": "max_tokens"} if None in blocks else message, tools=len(ids))
    if not content and stop["stop_reason"] not in SPEAK_FOR_THEMSELVES:
        return None
    return {
        "id": message_id, "type": "message", "role": "assistant", "model": model,
        "content": content, **stop,
        "usage": {"input_tokens": 0, "output_tokens": 0, **counts(message.get("usage"))},
    }  # fmt: skip


def _blocks(content: object, tool_names: Mapping[str, str]) -> Iterator[Json | None]:
    """The blocks that are worth sending; None for a tool call that can't be read."""
    for block in content if isinstance(content, list) else ():
        kind = _object(block).get("type")
        if kind == "tool_use":
            given = block.get("input")
            yield tool_use(block, given if isinstance(given, str) else "", tool_names)
        elif kind in _TEXTS and block.get(_TEXTS[kind][0]):
            fields = {"signature": ""} if kind == "thinking" else {}
            yield {"type": kind, kind: block[kind], **fields}


def tool_use(block: Json, text: str, tool_names: Mapping[str, str] = NO_NAMES) -> Json | None:
    """A tool call with its input as an object; None where there is no reading it."""
    given = block.get("input")
    if text.strip():
        try:
            given = msgspec.json.decode(text.encode())
        except UNREADABLE:
            return None
    name, known = block.get("name"), block.get("id")
    if not isinstance(given or {}, dict) or not name or not known:
        return None
    return {
        "type": "tool_use",
        "id": _valid_id(str(known)),
        "name": tool_names.get(str(name)) or _NOT_IN_NAMES.sub("_", str(name))[:LONGEST_NAME],
        "input": given or {},
    }


def _valid_id(known: str) -> str:
    """One that Anthropic takes, should the conversation come back to it. LiteLLM hides Gemini's signatures in ids."""
    bare = known.partition("__thought__")[0]
    return bare if is_tool_id(bare) else tool_id(bare)


def _unused(known: str, ids: Sequence[str]) -> str:
    """Some give the same id to two calls."""
    return tool_id(f"{known} {len(ids)}") if known in ids else known


def _stop(said: Json, *, tools: int) -> Json:
    """Which of the sequences it was, if it was one, has to be told."""
    reason, sequence = stop_reason(said.get("stop_reason"), tools=tools), said.get("stop_sequence")
    if reason == "stop_sequence" and isinstance(sequence, str):
        return {"stop_reason": reason, "stop_sequence": sequence}
    reason = "end_turn" if reason == "stop_sequence" else reason
    return {"stop_reason": reason, "stop_sequence": None}


def stop_reason(said: object, *, tools: int) -> str:
    """The one that fits what was said: `tool_use` if and only if a tool is called."""
    if said == "max_tokens":
        return "max_tokens"
    if tools:
        return "tool_use"
    return said if isinstance(said, str) and said in STOP_REASONS - {"tool_use"} else "end_turn"


def counts(usage: object) -> Json:
    """The tokens told, as far as they are numbers that can be."""
    names: Iterable[str] = (
        "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
    )  # fmt: skip
    told = {name: _object(usage).get(name) for name in names}
    return {name: n for name, n in told.items() if type(n) is int and n >= 0}


def _event(kind: str, **members: Any) -> bytes:
    return encode(kind, msgspec.json.encode({"type": kind, **members}))


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
