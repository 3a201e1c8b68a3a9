"""Writes the Messages request of a client's request, whichever of OpenAI's forms that has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.openai.cache import mark_turns, marked
from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.options import (
    Options,
    answer_format,
    max_tokens,
    sampling,
    stops,
    thinking,
)
from neurolink_mitm.core.openai.tools import Choice, Tools
from neurolink_mitm.core.openai.turns import Turn, Turns
from neurolink_mitm.core.request.body import BodyIndex, MessagesRequest


@dataclass(slots=True)
class Draft:
    """A request as it is read: everything that the Messages request is made of."""

    model: str
    traits: ClaudeTraits
    tools: Tools
    stream: bool = False
    turns: Turns = field(default_factory=Turns)
    options: Options = Options()  # noqa: RUF009 - frozen
    choice: Choice = Choice()  # noqa: RUF009 - frozen
    parallel: bool = True
    """Whether an answer may have several calls."""
    _tool_count: int = 0

    def written(self) -> bytes:
        """Return the body of the Messages request. Raises `RequestError`."""
        return b"".join(self._pieces())

    def messages_request(self, body: bytes) -> MessagesRequest:
        """Return what reading `body`, which is `written`, would tell."""
        index = BodyIndex(body, acceptable=True if self.turns.are_plain else None)
        return MessagesRequest(self.model, self.stream, self._tool_count, None, index=index)

    def _pieces(self) -> Iterator[bytes]:
        """Yield the pieces of the body: long ones are copied once, when they are joined."""
        options, traits, choice = self.options, self.traits, self._possible_choice()
        forced = choice.forces and traits.forced
        lacks_thinking = self.turns.lacks_thinking()
        thought = thinking(options, traits, forced=forced, lacks_thinking=lacks_thinking)
        form, instruction = answer_format(options, traits, self.tools.narrowing)
        words = (instruction, "" if forced else _must_call(choice))
        self.turns.system += [_text(each) for each in words if each]
        if not thought.is_possible(traits):
            self.turns.forget_thinking()
        turns = self.turns.written(prefill=traits.prefill and not thought.on and form is None)
        mark_turns(turns)
        name, limit = msgspec.json.encode(self.model), max_tokens(options, traits)
        yield b'{"model":%b,"max_tokens":%d' % (name, limit)
        if self.stream:
            yield b',"stream":true'
        yield from thought.written(form)
        yield from sampling(options, traits, thinks=thought.on)
        yield from stops(options)
        if self.turns.system:
            yield from _listed(b',"system":[', marked(self.turns.system))
        if self._tool_count:
            yield b',"tools":['
            yield self.tools.joined(choice)
            yield b"]"
            yield from self._tool_choice(choice, forced=forced)
        yield from _messages(turns)
        yield b"}"

    def _possible_choice(self) -> Choice:
        """Return the choice, once there are tools for it; without any, those of the history are added."""
        choice = self.choice
        listed = self.tools.written(choice)
        if self.turns.called and not listed:
            self.tools.called(self.turns.called)
            listed, choice = self.tools.written(Choice()), Choice("none")
        self._tool_count = len(listed)
        return choice

    def _tool_choice(self, choice: Choice, *, forced: bool) -> Iterator[bytes]:
        kind = choice.kind if forced or not choice.forces else "auto"
        name = b',"name":%b' % choice.name if kind == "tool" else b""
        one = b',"disable_parallel_tool_use":true' if not self.parallel and kind != "none" else b""
        if kind != "auto" or one:
            yield b',"tool_choice":{"type":"%b"%b%b}' % (kind.encode(), name, one)


def _messages(turns: Iterable[Turn]) -> Iterator[bytes]:
    before = b',"messages":['
    for turn in turns:
        yield from _listed(
            b'%b{"role":"%b","content":[' % (before, turn.role.encode()), turn.blocks
        )
        before = b"},"
    yield b"}]"


def _listed(before: bytes, items: Sequence[bytes]) -> Iterator[bytes]:
    """Yield a JSON list that has items; `before` ends in its bracket."""
    for item in items:
        yield before
        yield item
        before = b","
    yield b"]"


def _must_call(choice: Choice) -> str:
    """Return the instruction for a model that refuses a `tool_choice` that forces a call."""
    if not choice.forces:
        return ""
    which = f"the tool {msgspec.json.decode(choice.name)}" if choice.name else "one of the tools"
    return f"You must call {which} now, before you answer in words."


def _text(words: str) -> bytes:
    return b'{"type":"text","text":%b}' % msgspec.json.encode(words)
