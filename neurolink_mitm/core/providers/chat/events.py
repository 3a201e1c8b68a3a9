"""Translates an answer in OpenAI's chat form to Anthropic's events, for `stream.ProviderStream` to put in order.

What comes is the JSON of a provider, or of LiteLLM in its place, and may be anything.
https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.providers.chat import ends
from neurolink_mitm.core.providers.chat.calls import Calls, ToolCall
from neurolink_mitm.core.providers.chat.think import ThinkTags
from neurolink_mitm.core.providers.signatures import sign
from neurolink_mitm.core.providers.surrogates import Halves, mended

Json = dict[str, Any]

_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking")
"""Where servers put thinking; those that have several put the same words there."""
_CUT = "the answer broke off"
_UNREADABLE = "a tool call has no name, or arguments that are no JSON object"


@dataclass(slots=True)
class ChatEvents:
    """Takes the chunks of a stream; gives loose events of Anthropic's form.

    Tool calls are given at the end, whole. Where one can't be read, the answer ends in an error, since asking again
    helps; but if it reached its limit of tokens, the call was only cut off, and the rest is given.
    """

    own_thinking: str = ""
    """The mark with which thinking is signed (`Traits.own_thinking`), so that it is handed back to its author."""
    stop_sequences: Collection[str] = ()
    """Those of the request."""
    _kind: str = ""
    """The type of the block that is open."""
    _blank: list[str] = field(default_factory=list)
    """White space that came where no text block is open."""
    _calls: Calls = field(default_factory=Calls)
    _tags: ThinkTags = field(default_factory=ThinkTags)
    _usage: Json = field(default_factory=dict)
    _meaning: str | None = None
    _sequence: str | None = None
    _refused: bool = False
    _signed: bool = False
    """The model signs its thinking itself."""
    _halves: dict[str, Halves] = field(default_factory=dict)
    """By type of block."""
    _thought: list[str] = field(default_factory=list)
    """The thinking that has no signature yet."""
    _called: bool = False
    _done: bool = False
    """The provider has said that this was all."""
    _over: bool = False

    def feed(self, chunk: Json) -> list[Json]:
        """Take a chunk; return the events for it."""
        return [] if self._over else list(self._see(chunk))

    def end(self, *, done: bool = False) -> list[Json]:
        """Return the last events. `done`: the provider said that this was all, with a finish reason or without."""
        if self._over:
            return []
        self._over = True
        return list(self._end(done=done or self._done))

    def _see(self, chunk: Json) -> Iterator[Json]:
        self._done = self._done or chunk.get("done") is True
        failure = ends.failure(chunk)
        if failure and self._meaning is None:
            self._over = True
            yield failure
            return
        self._usage = ends.latest(self._usage, ends.usage(chunk))
        for choice in ends.choices(chunk):
            delta = choice.get("delta")
            yield from self._delta(delta if isinstance(delta, dict) else _unstreamed(choice))
            self._meaning = ends.graver(self._meaning, ends.meaning(choice))
            self._sequence = ends.stop_sequence(choice, self.stop_sequences) or self._sequence

    def _delta(self, delta: Json) -> Iterator[Json]:
        yield from self._reasoning(delta)
        yield from self._content(delta.get("content"))
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            yield from self._text(refusal)
        if calls := delta.get("tool_calls"):
            self._calls.add(calls)
        if call := delta.get("function_call"):  # what `tool_calls` replaced in 2023
            self._calls.add([{"index": "function_call", "function": call}])
        if self._calls and not self._called:
            self._called = True
            yield {"type": "tool_begins"}

    def _reasoning(self, delta: Json) -> Iterator[Json]:
        blocks = delta.get("thinking_blocks")
        if self.own_thinking and isinstance(blocks, list) and blocks:
            self._signed = True
            for block in filter(_is_object, blocks):
                yield from self._thinking_block(block)
            return
        words = next(filter(None, (_words(delta.get(name)) for name in _REASONING)), "")
        yield from self._say("thinking", words or _details(delta.get("reasoning_details")))

    def _thinking_block(self, block: Json) -> Iterator[Json]:
        """Give thinking of Claude's on a cloud, with its signature."""
        data, signature = block.get("data"), block.get("signature")
        if block.get("type") == "redacted_thinking":
            if data and isinstance(data, str):
                yield from self._open(
                    "redacted_thinking", data=sign(self.own_thinking, mended(data))
                )
                self._kind = ""
            return
        words = _words(block.get("thinking"))
        if not signature or words != "".join(
            self._thought
        ):  # which LiteLLM says again beside the signature
            yield from self._say("thinking", words)
            self._thought.append(words)
        if signature and isinstance(signature, str):
            self._thought.clear()
            yield from self._open("thinking", thinking="")
            yield self._signature(signature)
            self._kind = ""  # what follows is another block of thinking

    def _content(self, content: object) -> Iterator[Json]:
        """Give text; Mistral's content may be a list of parts, some of them thinking."""
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, dict) and part.get("type") == "thinking":
                yield from self._say("thinking", _words(part.get("thinking")))
            elif words := _words(part):
                yield from self._tagged(self._tags.feed(words))

    def _tagged(self, pieces: Iterator[tuple[str, str]]) -> Iterator[Json]:
        for kind, words in pieces:
            yield from self._text(words) if kind == "text" else self._say("thinking", words)

    def _text(self, words: str) -> Iterator[Json]:
        """Give text; hold white space back where no text block is open, since Anthropic refuses blank text."""
        if self._kind != "text":
            self._blank.append(words)
            if not words.strip():
                return
            words = "".join(self._blank)
            self._blank.clear()
        yield from self._say("text", words)

    def _say(self, kind: str, words: str) -> Iterator[Json]:
        if words := self._halves.setdefault(kind, Halves()).feed(words):
            yield from self._open(kind, **{kind: ""})
            delta = {"type": f"{kind}_delta", kind: words}
            yield {"type": "content_block_delta", "delta": delta}

    def _open(self, kind: str, **members: str) -> Iterator[Json]:
        if self._kind != kind:
            yield from self._close()
            self._kind = kind
            yield _begin(kind, **members)

    def _close(self) -> Iterator[Json]:
        if self._kind == "thinking" and self.own_thinking and not self._signed:
            yield self._signature("")
        self._kind = ""

    def _before(self, signature: str) -> Iterator[Json]:
        """Give Gemini's signature of a call in a block of thinking before it: clients hand those back unchanged."""
        if signature and self.own_thinking:
            yield _begin("thinking", thinking="")
            yield self._signature(signature)

    def _signature(self, signature: str) -> Json:
        delta = {"type": "signature_delta", "signature": sign(self.own_thinking, mended(signature))}
        return {"type": "content_block_delta", "delta": delta}

    def _end(self, *, done: bool) -> Iterator[Json]:
        meaning = self._meaning or ("end_turn" if done else None)
        yield from self._tagged(self._tags.end())
        yield from self._close()
        calls = self._calls.whole()
        broken = any(call.input is None for call in calls)
        if meaning in (None, ends.FAILED) or (broken and meaning not in ("max_tokens", "refusal")):
            words = _UNREADABLE if broken and meaning not in (None, ends.FAILED) else _CUT
            yield ends.error_event(words)
            return
        stop = "refusal" if self._refused or meaning == "refusal" else meaning
        for call in calls if stop != "refusal" else ():
            if call.input is not None:
                yield from self._before(call.signature)
                yield from _tool_use(call)
        yield {"type": "content_block_stop"}
        reason = "stop_sequence" if self._sequence and stop == "end_turn" else stop
        delta = {"stop_reason": reason, "stop_sequence": self._sequence}
        yield {"type": "message_delta", "delta": delta, "usage": self._usage}
        yield {"type": "message_stop"}


def _unstreamed(choice: Json) -> Json:
    """Return the message of an answer that is not streamed after all. All its calls are whole."""
    message = choice.get("message")
    delta: Json = dict(message) if isinstance(message, dict) else {}
    if isinstance(calls := delta.get("tool_calls"), list):
        delta["tool_calls"] = [
            {**each, "index": n} for n, each in enumerate(calls) if _is_object(each)
        ]
    return delta


def _tool_use(call: ToolCall) -> Iterator[Json]:
    yield _begin("tool_use", id=call.id, name=call.name, input=call.input)
    yield {"type": "content_block_stop"}


def _begin(kind: str, **members: Any) -> Json:
    return {"type": "content_block_start", "content_block": {"type": kind, **members}}


def _words(value: object) -> str:
    """Return the words of a string, a part of text, or a list of such parts."""
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, list):
        return "".join(part if isinstance(part, str) else _part(part) for part in value)
    return value if isinstance(value, str) else ""


def _part(value: object) -> str:
    text = value.get("text") if isinstance(value, dict) else ""
    return text if isinstance(text, str) else ""


def _details(value: object) -> str:
    """Return the words of OpenRouter's `reasoning_details`."""
    parts = filter(_is_object, value) if isinstance(value, list) else ()
    return "".join(
        part[name]
        for part in parts
        for name in ("text", "summary")
        if isinstance(part.get(name), str)
    )


def _is_object(value: object) -> bool:
    return isinstance(value, dict)
