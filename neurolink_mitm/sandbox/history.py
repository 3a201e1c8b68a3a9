"""Checks a conversation's history like Anthropic: signatures of thinking, tool ids, calls and results, blank texts.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from neurolink_mitm.sandbox.errors import ApiError

_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_SERVER_ID = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")
_HAS_BLOCKS = re.compile(
    rb'"(?:thinking|tool_use|server_tool_use|tool_result|text|assistant)"\s*[:,}]'
    rb'|"content"\s*:\s*["[]\s*["\]]'
)
_THINKING = ("thinking", "redacted_thinking")


class Block(msgspec.Struct):
    type: str
    text: str | None = None
    thinking: str = ""
    signature: str | msgspec.UnsetType | None = msgspec.UNSET
    id: str = ""
    tool_use_id: str = ""
    input: Any = None


class Turn(msgspec.Struct):
    role: str
    content: str | list[Block]

    @property
    def blocks(self) -> Sequence[Block]:
        """Return the content blocks; none if the content is a plain text."""
        return () if isinstance(self.content, str) else self.content

    def ids(self, kind: str) -> list[str]:
        return [b.id or b.tool_use_id for b in self.blocks if b.type == kind]


class Thinking(msgspec.Struct):
    type: str = ""


class Conversation(msgspec.Struct):
    """The fields of a request that the checks read."""

    messages: list[Turn]
    thinking: Thinking | None = None


_decoder = msgspec.json.Decoder(Conversation)


def signature_of(thinking: str) -> str:
    """Return the signature by which the sandbox recognises its own thinking."""
    return base64.b64encode(thinking.encode()).decode()


def check_history(body: bytes) -> None:
    """Check the history of a request whose form is valid. Raises ApiError."""
    if not _HAS_BLOCKS.search(body):
        return
    try:
        asked = _decoder.decode(body)
    except msgspec.ValidationError:
        return  # a block of another kind
    turns = [(at, turn) for at, turn in enumerate(asked.messages) if turn.role != "system"]
    ids: set[str] = set()
    for at, turn in turns:
        for number, block in enumerate(turn.blocks):
            _check_block(block, f"messages.{at}.content.{number}")
            if block.type == "tool_use" and block.id in ids:
                raise ApiError(
                    400, f"messages.{at}.content.{number}: `tool_use` ids must be unique"
                )
            ids.update([block.id] if block.type == "tool_use" else ())
    _check_contents(turns)
    for (_, before), (at, turn) in zip([(0, Turn("", "")), *turns], turns, strict=False):
        _check_results(before, turn, at)
    if turns and turns[-1][1].role == "assistant":
        _check_calls(turns[-1][1], (), turns[-1][0])
    if asked.thinking is not None and asked.thinking.type == "enabled":
        _check_loop(turns)


def _check_block(block: Block, at: str) -> None:
    if block.type == "text":
        _check_text(block.text or "")
    if block.type == "tool_use" and not _TOOL_ID.fullmatch(block.id):
        raise ApiError(400, f"{at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if block.type == "tool_use" and not isinstance(block.input, dict):
        raise ApiError(400, f"{at}.tool_use.input: Input should be a valid dictionary")
    if block.type == "server_tool_use" and not _SERVER_ID.fullmatch(block.id):
        raise ApiError(
            400,
            f"{at}.server_tool_use.id: String should match pattern '^srvtoolu_[a-zA-Z0-9_]+$'",
        )
    if block.type == "thinking":
        if not isinstance(block.signature, str):
            raise ApiError(400, f"{at}.thinking.signature: Field required")
        if block.signature != signature_of(block.thinking):
            raise ApiError(400, f"{at}: Invalid `signature` in `thinking` block")


def _check_text(text: str) -> None:
    if not text:
        raise ApiError(400, "messages: text content blocks must be non-empty")
    if text.isspace():
        raise ApiError(400, "messages: text content blocks must contain non-whitespace text")


def _check_contents(turns: Sequence[tuple[int, Turn]]) -> None:
    """A message says something, but for the assistant's last one, which does not end in white space."""
    for at, turn in turns:
        final = (at, turn) == turns[-1] and turn.role == "assistant"
        if not turn.content and not final:
            raise ApiError(
                400,
                f"messages.{at}: all messages must have non-empty content except for the optional"
                " final assistant message",
            )
        if isinstance(turn.content, str) and turn.content:
            _check_text(turn.content)
        text = turn.content if isinstance(turn.content, str) else _last_text(turn)
        if final and text[-1:].isspace():
            raise ApiError(
                400, "messages: final assistant content cannot end with trailing whitespace"
            )


def _last_text(turn: Turn) -> str:
    return (turn.blocks[-1].text or "") if turn.blocks else ""


def _check_results(before: Turn, turn: Turn, at: int) -> None:
    results = turn.ids("tool_result")
    if len(set(results)) < len(results):
        counted = Counter(results)
        again = next(tool_id for tool_id in results if counted[tool_id] > 1)
        raise ApiError(
            400,
            f"messages.{at}: each tool_use must have a single result. Found multiple `tool_result`"
            f" blocks with id: {again}",
        )
    _check_calls(before, results, at - 1)
    called = set(before.ids("tool_use"))
    for tool_id in results:
        if tool_id not in called:
            raise ApiError(
                400,
                f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {tool_id}."
                " Each `tool_result` block must have a corresponding `tool_use` block in the"
                " previous message.",
            )


def _check_calls(turn: Turn, answered: Sequence[str], at: int) -> None:
    there = set(answered)
    missing = [tool_id for tool_id in turn.ids("tool_use") if tool_id not in there]
    if missing:
        raise ApiError(
            400,
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately"
            f" after: {', '.join(missing)}. Each `tool_use` block must have a corresponding"
            " `tool_result` block in the next message.",
        )


def _loop(turns: Sequence[tuple[int, Turn]]) -> Iterator[Turn]:
    """Yield the assistant's turns whose results stand at the end, the last one first."""
    for _, turn in reversed(turns):
        if turn.role == "assistant":
            yield turn
        elif not turn.ids("tool_result"):
            return


def _check_loop(turns: Sequence[tuple[int, Turn]]) -> None:
    """With a thinking budget, calls that are under way have begun with thinking."""
    if len(turns) < 2 or not turns[-1][1].ids("tool_result"):
        return
    at, turn = turns[-2]
    first = turn.blocks[0].type if turn.blocks else "text"
    if not any(each.blocks and each.blocks[0].type in _THINKING for each in _loop(turns)):
        raise ApiError(
            400,
            f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found"
            f" `{first}`. When `thinking` is enabled, a final `assistant` message must start with a"
            " thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks).",
        )
