"""Makes a response of a Messages answer: its events in, the events of OpenAI's Responses API out.

    message_start            response.created, response.in_progress
    content_block_start …    response.output_item.added, the deltas of the item, response.output_item.done
    message_stop             response.completed, or response.incomplete
    error                    error, response.failed

An item is finished when the next one begins or the answer ends: only then it is known whether it is whole. Texts in a
row are one message. `data: [DONE]` does not follow: OpenAI sends it in chat streams only.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai import blocks
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.openai.errors import (
    CUT_OFF,
    SERVER,
    UNREADABLE_EVENT,
    OpenAiError,
    error_in_openai_form,
)
from neurolink_mitm.core.openai.json_text import JsonText, NotJsonError, json_of
from neurolink_mitm.core.openai.responses.body import (
    Body,
    error_members,
    incomplete_reason,
    response_error,
)
from neurolink_mitm.core.openai.responses.calls import NO_INPUT, call_item, id_prefix
from neurolink_mitm.core.openai.responses.client_tools import ClientTool
from neurolink_mitm.core.openai.responses.events import Events, Place
from neurolink_mitm.core.openai.responses.items import (
    COMPLETED,
    INCOMPLETE,
    REFUSAL,
    Item,
    Reasoning,
    Words,
)
from neurolink_mitm.core.response.usage import TokenUsage

_TYPES = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})

_block = msgspec.json.Decoder(blocks.BlockStart)
_ending = msgspec.json.Decoder(blocks.MessageDelta)


class _StopDetails(msgspec.Struct, gc=False):
    explanation: str | None = None


_details = msgspec.json.Decoder(_StopDetails | None)


class WholeMessage(blocks.Ending, kw_only=True, gc=False):
    """An answer that has come whole."""

    content: list[blocks.Block]
    type: str = "message"


class ResponsesStream:
    """Writes one answer."""

    def __init__(self, body: Body, tools: Mapping[str, ClientTool], *, json: bool = False) -> None:
        self.response: bytes | None = None
        """The response object, once it is complete, or as complete as it gets."""
        self.error: OpenAiError | None = None
        """What the answer has ended in, instead."""
        self.done = False
        self._body = body
        self._tools = tools
        self._json = JsonText() if json else None
        self._events = Events()
        self._deltas = blocks.Deltas()
        self._usage = TokenUsage()
        self._refusal = b""
        self._begun = False
        self._item: Item | None = None
        self._items = 0
        """How many items have begun."""
        self._output: list[bytes] = []
        self._has_calls = False
        self._block_index = -1
        """The index of the block whose deltas are of use."""
        self._block_type = ""
        self._call_input = b""
        """The input that stands in the start of a call, until a delta comes."""

    def event(self, name: str, data: bytes) -> bytes:
        """Return the events for one of upstream's."""
        if self.done:
            return b""
        begun = b"" if self._begun else self._begin()
        try:
            if not data.isascii():
                data.decode()  # what is copied is not decoded later
            if name == "content_block_delta":
                return begun + self._delta(data)
            return begun + self._event(name, data)
        except NotJsonError as e:
            return begun + self._fail(OpenAiError(str(e), SERVER))
        except (*UNREADABLE, ValueError):
            return begun + self._fail(UNREADABLE_EVENT)

    def end(self) -> bytes:
        """Return the last events of an answer that upstream has not ended."""
        if self.done:
            return b""
        begun = b"" if self._begun else self._begin()
        return begun + self._fail(CUT_OFF)

    def whole(self, message: WholeMessage, body: bytes) -> bytes:
        """Return the response object for a message that has come whole; `body` is its JSON."""
        self._usage.see_whole(body)
        self._see_ending(message)
        content = message.content
        if self._json:
            self._json = None  # that is for what comes in pieces
            reason = incomplete_reason(self._usage.stop_reason)
            content = _with_json_only(content, cut=reason is not None)
        for block in content:
            self._open(block)
        self._finish()
        return self.response or b""

    def _event(self, name: str, data: bytes) -> bytes:
        if name == "content_block_start":
            start = _block.decode(data)
            return self._open(start.content_block, start.index)
        if name == "error":
            return self._fail(error_in_openai_form(data, None, Api.RESPONSES))
        if name == "message_stop":
            return self._finish()
        self._usage.see_event(name, data)
        if name == "message_delta":
            self._see_ending(_ending.decode(data).delta)
        return b""

    def _begin(self) -> bytes:
        self._begun = True
        response = self._body.at("in_progress")
        created = self._events.of_response(b"response.created", response)
        return b"".join((*created, *self._events.of_response(b"response.in_progress", response)))

    def _open(self, block: blocks.Block, index: int = 0) -> bytes:
        """Begin a block. Its start may have all of it."""
        if block.type not in _TYPES:  # of a tool that Anthropic runs itself
            return b""
        self._block_index, self._block_type = index, block.type
        if block.type == "text":
            return self._text(blocks.words(block.text))
        if block.type == "tool_use":
            return self._call(block)
        text, signature, data = (
            blocks.words(block.thinking),
            blocks.words(block.signature),
            blocks.words(block.data),
        )
        closed = self._close(COMPLETED)
        if data:
            return closed + self._start("rs", partial(Reasoning, redacted=data))
        return closed + self._thinking(text, signature)

    def _delta(self, data: bytes) -> bytes:
        event = self._deltas.read(data)
        if event.index != self._block_index:
            return b""
        delta = event.delta
        if self._block_type == "text":
            return self._text(blocks.words(delta.text))
        if self._block_type == "tool_use":
            return self._arguments(blocks.words(delta.partial_json))
        return self._thinking(blocks.words(delta.thinking), blocks.words(delta.signature))

    def _text(self, text: bytes) -> bytes:
        """Add text. What stands in several blocks in a row is one message."""
        if text and self._json:
            text = blocks.encoded(self._json.feed(blocks.decoded(text)))
        if not text:
            return b""
        begun = b"" if isinstance(self._item, Words) else self._start("msg", Words)
        return begun + self._add(text)

    def _thinking(self, text: bytes, signature: bytes) -> bytes:
        """Add to a block of thinking. One without words and signature is left out: Anthropic wants none back."""
        if not text and not signature:
            return b""
        begun = b"" if isinstance(self._item, Reasoning) else self._start("rs", Reasoning)
        if isinstance(self._item, Reasoning):
            self._item.signature += signature
        return begun + (self._add(text) if text else b"")

    def _call(self, block: blocks.Block) -> bytes:
        whole_input = blocks.encoded(blocks.arguments(block.input))
        name, call_id = (msgspec.json.decode(blocks.name(raw)) for raw in (block.name, block.id))
        tool = self._tools.get(name) or ClientTool(name)
        started = self._start(id_prefix(tool), partial(call_item, call_id=call_id, tool=tool))
        self._call_input, self._has_calls = whole_input, True
        return started

    def _arguments(self, text: bytes) -> bytes:
        if not text:
            return b""
        self._call_input = b""
        return self._add(text)

    def _add(self, text: bytes) -> bytes:
        return self._item.add(text) if self._item else b""

    def _start(self, prefix: str, make: Callable[[Place], Item]) -> bytes:
        closed = self._close(COMPLETED)
        self._item = make(Place(self._events, self._body.item_id(prefix, self._items), self._items))
        self._items += 1
        return closed + self._item.start()

    def _close(self, status: bytes) -> bytes:
        """Finish the item that is open, if there is one."""
        item, self._item = self._item, None
        if item is None:
            return b""
        whole_input, self._call_input = self._call_input, b""
        if status != COMPLETED and whole_input == NO_INPUT:  # none has come, which is another thing
            whole_input = b""
        rest = item.add(whole_input) if whole_input else b""
        events, done = item.finish(status)
        if done:
            self._output.append(done)
        return rest + events

    def _see_ending(self, ending: blocks.Ending) -> None:
        with suppress(*UNREADABLE):  # it may become another thing than today
            details = _details.decode(ending.stop_details)
            self._refusal = blocks.encoded(details.explanation or "") if details else b""

    def _finish(self) -> bytes:
        reason = incomplete_reason(self._usage.stop_reason)
        if self._json:
            self._json.end(cut=reason is not None, optional=self._has_calls)
        events = self._close(INCOMPLETE if reason else COMPLETED) + self._refuse()
        output = b"[%b]" % b",".join(self._output)
        status = "incomplete" if reason else "completed"
        self.response = self._body.at(status, output=output, usage=self._usage, incomplete=reason)
        self.done = True
        name = b"response." + status.encode()
        return b"".join((events, *self._events.of_response(name, self.response)))

    def _refuse(self) -> bytes:
        """Say why the model refuses, if it does."""
        if not self._refusal or self._usage.stop_reason != "refusal":
            return b""
        started = self._start("msg", partial(Words, part=REFUSAL))
        return started + self._add(self._refusal) + self._close(COMPLETED)

    def _fail(self, error: OpenAiError) -> bytes:
        """End in an error: OpenAI sends it twice, and each client reads one of the two."""
        self.error, self.done = error, True
        output = b"[%b]" % b",".join(self._output)
        failed = self._body.at("failed", output=output, error=response_error(error))
        return b"".join((
            self._events.of(b"error", error_members(error)),
            *self._events.of_response(b"response.failed", failed),
        ))  # fmt: skip


def _with_json_only(content: list[blocks.Block], *, cut: bool) -> list[blocks.Block]:
    """Return the content with its JSON in place of the texts. Raises `NotJsonError`."""
    texts = [block for block in content if block.type == "text"]
    text = blocks.decoded(b"".join(blocks.words(block.text) for block in texts))
    called = any(block.type == "tool_use" for block in content)
    json = msgspec.Raw(msgspec.json.encode(json_of(text, cut=cut, optional=called)))
    last = texts[-1] if texts else None
    return [
        blocks.Block("text", json) if block is last else block
        for block in content
        if block is last or block.type != "text"
    ]
