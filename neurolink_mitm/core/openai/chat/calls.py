"""Tool calls in chat's form: of functions, of custom tools, which take a text, and in the form before `tools`.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from neurolink_mitm.core.openai import blocks
from neurolink_mitm.core.openai.blocks import Block
from neurolink_mitm.core.openai.custom_input import CustomInput

_decoded = msgspec.json.Decoder(str)


class StreamedCall(Protocol):
    """A call that is not complete. All methods return a member of a delta, or nothing."""

    def start(self) -> bytes: ...

    def add(self, piece: bytes) -> bytes:
        """Take a piece of the input's JSON, as it stands between the quotes of a string."""

    def end(self) -> bytes:
        """Complete the arguments, which are an object also where none came."""


@dataclass(frozen=True, slots=True)
class CallForm:
    """The form in which the client of one request wants calls."""

    customs: frozenset[str] = frozenset()
    """The names of its custom tools."""
    functions: bool = False
    """It has `functions` instead of `tools`: the form of 2023, with at most one call."""

    @property
    def reason(self) -> str:
        """The finish reason of an answer that calls."""
        return "function_call" if self.functions else "tool_calls"

    def streamed(self, index: int, block: Block) -> StreamedCall:
        """Return the call in `block`, the `index`th of the answer. Raises `ValueError`."""
        if self.functions:
            return _OldCall(block, first=index == 0)
        if self._is_custom(block):
            return _CustomCall(index, block)
        return _FunctionCall(index, block)

    def whole(self, calls: Sequence[Block]) -> bytes:
        """Return the member of a message that has these calls; nothing without any. Raises `ValueError`."""
        if not calls:
            return b""
        if self.functions:
            return b'"function_call":%b' % _function(calls[0])
        return b'"tool_calls":[%b]' % b",".join(map(self._call, calls))

    def _call(self, block: Block) -> bytes:
        identity = blocks.name(block.id)
        if not self._is_custom(block):
            return b'{"id":%b,"type":"function","function":%b}' % (identity, _function(block))
        reader = CustomInput()
        text = reader.feed(blocks.arguments(block.input)) + reader.end()
        members = (identity, blocks.name(block.name), msgspec.json.encode(text))
        return b'{"id":%b,"type":"custom","custom":{"name":%b,"input":%b}}' % members

    def _is_custom(self, block: Block) -> bool:
        return bool(self.customs) and _decoded.decode(blocks.name(block.name)) in self.customs


def _function(block: Block) -> bytes:
    text = msgspec.json.encode(blocks.arguments(block.input))
    return b'{"name":%b,"arguments":%b}' % (blocks.name(block.name), text)


@dataclass(slots=True)
class _FunctionCall:
    index: int
    block: Block
    begun: bool = False

    def start(self) -> bytes:
        function = b'{"name":%b,"arguments":""}' % blocks.name(self.block.name)
        members = (self.index, blocks.name(self.block.id), function)
        return b'"tool_calls":[{"index":%d,"id":%b,"type":"function","function":%b}]' % members

    def add(self, piece: bytes) -> bytes:
        self.begun = self.begun or piece != b""
        added = (self.index, piece)
        return (
            b'"tool_calls":[{"index":%d,"function":{"arguments":"%b"}}]' % added if piece else b""
        )

    def end(self) -> bytes:
        return b"" if self.begun else self.add(_input(self.block))


@dataclass(slots=True)
class _OldCall:
    block: Block
    first: bool
    begun: bool = False

    def start(self) -> bytes:
        if not self.first:
            return b""
        return b'"function_call":{"name":%b,"arguments":""}' % blocks.name(self.block.name)

    def add(self, piece: bytes) -> bytes:
        self.begun = self.begun or piece != b""
        shown = piece if self.first else b""
        return b'"function_call":{"arguments":"%b"}' % shown if shown else b""

    def end(self) -> bytes:
        return b"" if self.begun else self.add(_input(self.block))


@dataclass(slots=True)
class _CustomCall:
    index: int
    block: Block
    begun: bool = False
    reader: CustomInput = field(default_factory=CustomInput)

    def start(self) -> bytes:
        custom = b'{"name":%b,"input":""}' % blocks.name(self.block.name)
        members = (self.index, blocks.name(self.block.id), custom)
        return b'"tool_calls":[{"index":%d,"id":%b,"type":"custom","custom":%b}]' % members

    def add(self, piece: bytes) -> bytes:
        self.begun = self.begun or piece != b""
        return self._text(self.reader.feed(_decoded.decode(b'"%b"' % piece)))

    def end(self) -> bytes:
        whole = "" if self.begun else self.reader.feed(blocks.arguments(self.block.input))
        return self._text(whole + self.reader.end())

    def _text(self, text: str) -> bytes:
        added = (self.index, msgspec.json.encode(text))
        return b'"tool_calls":[{"index":%d,"custom":{"input":%b}}]' % added if text else b""


def _input(block: Block) -> bytes:
    """Return the input that came with the start of a block, as a piece."""
    return msgspec.json.encode(blocks.arguments(block.input))[1:-1]
