"""The ids of tool calls: the form that Anthropic takes, and a new id for one that comes again.

Other providers give ids of other forms, and some begin to count anew in each answer: Kimi `functions.Bash:0`, Grok
`call_0`. Anthropic refuses both: "String should match pattern '^[a-zA-Z0-9_-]+$'", "`tool_use` ids must be unique".
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

LONGEST_ID = 64
"""Characters of an id. Anthropic's API sets no limit; its models on Bedrock take no more."""
_TOOL_ID = re.compile(rf"[a-zA-Z0-9_-]{{1,{LONGEST_ID}}}")
_RANDOM = re.compile(r"(?=[a-zA-Z0-9]{8})[a-zA-Z0-9]*\d[a-zA-Z]")
"""A part of an id by which it is unlikely to come again: letters and digits, mixed."""
_SIGNATURE = "__thought__"
"""Precedes the signature of Gemini's that LiteLLM appends to an id."""


def is_tool_id(text: str) -> bool:
    """Tell whether Anthropic takes `text` for the id of a tool call."""
    return _TOOL_ID.fullmatch(text) is not None


def tool_id(seed: str) -> str:
    """Return an id that Anthropic accepts, always the same for the same `seed`."""
    return f"toolu_{digest(seed)[:24]}"


def digest(seed: str) -> str:
    """Return the digest of which ids are made: 64 hexadecimal digits."""
    return hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True)
class AnswerIds:
    """Gives the tool calls of one answer ids that no other call of the client's has."""

    message_id: str
    """The id of the answer; no other answer has it."""
    taken: set[str]
    """The ids of the history and, as they come, of the answer."""

    def of(self, given: Any) -> str:
        """Return the id of the next call: the provider's own one, unless that is missing, of another form or taken.

        Nor is one kept that looks counted: the history may have been shortened, and a subagent's is another one.
        """
        own = str(given or "").partition(_SIGNATURE)[0]
        name = own
        if not is_tool_id(own) or own in self.taken or not _RANDOM.search(own):
            name = tool_id(f"{self.message_id} {len(self.taken)} {own}")
        self.taken.add(name)
        return name


@dataclass(slots=True)
class UniqueIds:
    """Gives the tool calls of a history unique ids in the order of their coming, and each result that of its call.

    An id that `fits` is kept where it comes first, others are made of a seed. A new id depends on what comes before it
    alone, so it is the same in each request of a session.
    """

    fits: Callable[[str], bool] = is_tool_id
    make: Callable[[str], str] = tool_id
    _taken: set[str] = field(default_factory=set)
    _times: dict[str, int] = field(default_factory=dict)
    _open: dict[str, deque[str]] = field(default_factory=dict)
    """By id: the new ids of the calls of the last turn that have no result yet."""
    _latest: dict[str, str] = field(default_factory=dict)

    def turn(self) -> None:
        """Begin a turn with calls: results answer those of the turn before them."""
        self._open.clear()

    def of_call(self, given: str) -> str:
        """Return the id of the next call."""
        name = self._alone(given)
        while name in self._taken:
            times = self._times[given] = self._times.get(given, 0) + 1
            name = self.make(f"{given} {times}")
        self._taken.add(name)
        self._open.setdefault(given, deque()).append(name)
        self._latest[given] = name
        return name

    def of_result(self, given: str) -> str:
        """Return the id of the first open call of that id; without one, that of the latest such call."""
        if calls := self._open.get(given):
            return calls.popleft()
        return self._latest.get(given) or self._alone(given)

    def _alone(self, given: str) -> str:
        return given if self.fits(given) else self.make(given)


def ids_in(messages: Any) -> set[str]:
    """Return all ids of tools in a history, of whatever form it is."""
    return {
        block[member]
        for block in _blocks(messages)
        for member in ("id", "tool_use_id")
        if isinstance(block.get(member), str)
    }


def _blocks(messages: Any) -> Iterator[dict[str, Any]]:
    for message in _objects(messages):
        yield from _objects(message.get("content"))


def _objects(values: Any) -> Iterable[dict[str, Any]]:
    return (each for each in values if isinstance(each, dict)) if isinstance(values, list) else ()
