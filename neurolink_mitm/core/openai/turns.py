"""The turns of a conversation, as Anthropic takes them: roles alternate, results stand directly behind their calls.

A turn's content is a list of blocks, each as JSON. OpenAI's tools send any order: several messages of one role, results
later than they belong, or not at all.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import string
from neurolink_mitm.core.request.conversation import FOREIGN_SIGNATURE
from neurolink_mitm.core.request.tool_ids import UniqueIds

USER, ASSISTANT = "user", "assistant"
_TOOL_NAME = re.compile(rb'"[a-zA-Z0-9_-]{1,128}"')
_NO_RESULT = rb'{"type":"text","text":"(no result: the call was not run)"}'
_BEGINNING = b'{"type":"text","text":"(the conversation begins)"}'
_GO_ON = b'{"type":"text","text":"Continue exactly where your last message ends. Do not repeat any of it."}'
_THINKING = (b'{"type":"thinking"', b'{"type":"redacted_thinking"')
_FOREIGN = b'"%b' % FOREIGN_SIGNATURE.encode()
_TEXT = b'{"type":"text"'
_PLAIN = (_TEXT, b'{"type":"tool_use"', b'{"type":"image"', b'{"type":"document"')


def tool_name(raw: msgspec.Raw, at: str) -> bytes:
    """Return the JSON of a tool's name. Raises `RequestError` for one that Anthropic refuses."""
    name = bytes(raw)
    if _TOOL_NAME.fullmatch(name):
        return name
    if b"\\" in string(raw, at):
        name = msgspec.json.encode(msgspec.json.decode(name))
        if _TOOL_NAME.fullmatch(name):
            return name
    message = f"Invalid '{at}': does not match ^[a-zA-Z0-9_-]{{1,128}}$"
    raise RequestError(message, at, "invalid_value")


@dataclass(slots=True)
class _Result:
    """The result of a call; not answered: the client has sent none."""

    id: str
    content: list[bytes] = field(default_factory=list)
    answered: bool = False
    failed: bool = False

    def written(self) -> bytes:
        content = self.content if self.answered else [_NO_RESULT]
        error = b',"is_error":true' if self.failed or not self.answered else b""
        listed = b',"content":[%b]' % b",".join(content) if content else b""
        return b'{"type":"tool_result","tool_use_id":"%b"%b%b}' % (self.id.encode(), listed, error)


@dataclass(slots=True)
class Turn:
    """A message of Anthropic's."""

    role: str
    blocks: list[bytes] = field(default_factory=list)
    results: list[_Result] = field(default_factory=list)
    """The results of the calls in `blocks`."""


class Turns:
    """Collects system prompt and turns, in the order of the client's messages."""

    def __init__(self) -> None:
        self.system: list[bytes] = []
        self.called: dict[bytes, None] = {}
        """The names of all tools that were called, as JSON, in the order of their first calls."""
        self._turns: list[Turn] = []
        self._ids = UniqueIds()
        self._results: dict[str, tuple[Turn, _Result]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said, not even in the system prompt."""
        return not self._turns and not self.system

    @property
    def are_plain(self) -> bool:
        """Whether they hold nothing but blocks that Anthropic accepts for certain: no thinking, say."""
        blocks = (block for turn in self._turns for block in turn.blocks)
        return all(block.startswith(_PLAIN) for block in blocks)

    def say(self, role: str, blocks: Iterable[bytes]) -> None:
        """Add blocks to a turn of `role`."""
        if blocks := list(blocks):
            self._turn(role).blocks += blocks

    def call(self, client_id: str, name: bytes, input_: bytes) -> None:
        """Add a tool call. `name` is a JSON string, `input_` a JSON object, `client_id` the client's id."""
        turn = self._turn(ASSISTANT)
        if not turn.results:
            self._ids.turn()
        result = _Result(self._ids.of_call(client_id))
        turn.results.append(result)
        self._results[result.id] = (turn, result)
        self.called[name] = None
        block = b'{"type":"tool_use","id":"%b","name":%b,"input":%b}'
        turn.blocks.append(block % (result.id.encode(), name, input_))

    def result(
        self, client_id: str, blocks: Iterable[bytes], at: str, *, failed: bool = False
    ) -> None:
        """Add the result of a call. Raises `RequestError` where there was no such call before."""
        open_call = self._results.get(self._ids.of_result(client_id))
        if open_call is None:
            raise RequestError(
                f"Invalid '{at}': no call before this has the id '{client_id}'", at, "invalid_value"
            )
        turn, result = open_call
        result.answered, result.failed = True, failed
        result.content += blocks
        if self._turns[-1] is turn:
            self._turns.append(Turn(USER))  # what the assistant says next is another turn

    def lacks_thinking(self) -> bool:
        """Tell whether calls are under way that did not begin with thinking.

        Anthropic refuses this where a thinking budget is set: "Expected `thinking` or `redacted_thinking`". Claude
        thinks before the first of several calls in a row, and need not before the others.
        """
        turns = self._turns[:-1] if self._turns and self._turns[-1].role == USER else self._turns
        lacks = False
        for turn in reversed(turns):
            if turn.role == USER:
                if turn.blocks:  # the client's words, not only results
                    break
            elif not turn.results:
                break
            elif turn.blocks[0].startswith(_THINKING):
                return False
            else:
                lacks = True
        return lacks

    def forget_thinking(self) -> None:
        """Remove Anthropic's thinking: a model that does not think may refuse it.

        "When `thinking` is disabled, an `assistant` message in the final position cannot contain `thinking`":
        https://github.com/BerriAI/litellm/issues/18926
        """
        for turn in self._turns:
            if turn.role == ASSISTANT:
                turn.blocks = [each for each in turn.blocks if not _is_anthropics_thinking(each)]

    def written(self, *, prefill: bool) -> list[Turn]:
        """Return the turns; without `prefill` the last one is the user's. Raises `RequestError` without any."""
        turns = list(_with_results(self._turns))
        if not turns:
            if not self.system:
                raise RequestError("Invalid 'messages': none of them has any content", "messages")
            turns = [Turn(USER, self.system)]  # only instructions: they are what is asked
            self.system = []
        if turns[0].role == ASSISTANT:
            turns.insert(0, Turn(USER, [_BEGINNING]))
        last = turns[-1]
        if last.role == ASSISTANT and not (prefill and _strip_end(last)):
            turns.append(Turn(USER, [_GO_ON]))
        return turns

    def _turn(self, role: str) -> Turn:
        if not self._turns or self._turns[-1].role != role:
            self._turns.append(Turn(role))
        return self._turns[-1]


def _is_anthropics_thinking(block: bytes) -> bool:
    """Tell it from text and calls, and from another provider's thinking, which the history sanitizer knows."""
    return block.startswith(_THINKING) and _FOREIGN not in block


def _with_results(turns: Sequence[Turn]) -> Iterator[Turn]:
    """Yield the turns, with results at the beginning of the user's; a turn that says nothing is left out."""
    results: list[bytes] = []
    for turn in turns:
        if turn.role == ASSISTANT:
            if turn.blocks:
                yield turn
            results = [result.written() for result in turn.results]
        elif blocks := [*results, *turn.blocks]:
            yield Turn(USER, blocks)
            results = []
    if results:
        yield Turn(USER, results)


def _strip_end(turn: Turn) -> bool:
    """Remove the white space at the end of an assistant's last turn; tell whether Anthropic can continue the turn."""
    block = turn.blocks[-1]
    if not block.startswith(_TEXT):
        return False
    value = msgspec.json.decode(block)
    if value["text"] != (text := value["text"].rstrip()):
        turn.blocks[-1] = msgspec.json.encode({**value, "text": text})
    return True
