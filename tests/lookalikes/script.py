"""What a look-alike answers: the same words for all providers, which each puts into its own form.

    with OpenAIChat() as openai:
        openai.script.add(say("hello"), fail(429, retry_after=3), call("Read", file_path="a"))

What is not scripted is answered by what is asked: see `default`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from neurolink_mitm.sandbox.schema import example

Json = dict[str, Any]
Finish = Literal["stop", "length", "filter"]
Repeats = Literal["", "id", "name", "both"]
PIECE = 7
"""Characters of a text, or of a call's arguments, that come in one event."""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One answer. Seconds where it waits; counts of events where it ends too early."""

    text: str = ""
    thinking: str = ""
    calls: Sequence[Call] = ()
    calls_come: Literal["apart", "together", "interleaved"] = "apart"
    """Each after the other; all in one event, as Gemini, Ollama and vLLM do; or in turns of pieces."""
    finish: Finish = "stop"
    says_stop: bool = False
    """The reason is `stop` even where tools are called, as with some servers that speak OpenAI's."""
    finish_word: str | None = None
    """The provider's own word for why it ended, in place of its word for `finish`."""
    no_finish: bool = False
    """No reason is told; with `no_done`, the stream just stops, as when a worker dies behind a balancer."""
    no_done: bool = False
    """The mark of the end is missing: `[DONE]`, `response.completed`, `message_stop`, `done`."""
    refusal: str = ""
    """What a model of OpenAI's says in place of a text."""
    blocked: str = ""
    """Why the prompt itself is refused, within a 200: Gemini's `blockReason`."""
    ids: Sequence[str] = ()
    """Of the calls, in place of the provider's own."""
    repeats: Repeats = ""
    """What each piece of a call says again."""
    shares_index: bool = False
    """All calls come as number 0, told apart by their ids alone."""
    blank_calls: bool = False
    """Each piece of a text has an empty list of calls beside it, and each of a call an empty text."""
    status: int = 200
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """In place of the provider's own form, whatever the status: a page of HTML, nonsense."""
    tokens: tuple[int, int] = (11, 5)
    """Of the input and of the output."""
    delay: float = 0
    """Before the head of the answer."""
    silence: float = 0
    """Between the head and the first event."""
    pause: float = 0
    """Between two events."""
    cut_after: int | None = None
    """The connection is closed after so many events (0: after the head), or after the last."""
    hang_up: bool = False
    """The connection is closed in place of an answer."""
    error_after: int | None = None
    """An error in the provider's form comes after so many events, and nothing follows it."""


def say(text: str, **more: Any) -> Reply:
    return Reply(text=text, **more)


def call(name: str, /, **arguments: Any) -> Reply:
    return Reply(calls=(Call(name, arguments),))


def calls(*both: Call, **more: Any) -> Reply:
    """Tools called in parallel."""
    return Reply(calls=both, **more)


def think(thinking: str, text: str, **more: Any) -> Reply:
    return Reply(thinking=thinking, text=text, **more)


def fail(
    status: int, message: str = "scripted failure", *, retry_after: int | None = None
) -> Reply:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return Reply(status=status, message=message, headers=headers)


@dataclass(frozen=True)
class Asked:
    """What is asked, as far as the default answer depends on it."""

    tools: Sequence[tuple[str, Json]] = ()
    """Names and schemas."""
    text: str = ""
    result: str | None = None
    """Of a tool, where that is the last thing in the conversation."""


def default(asked: Asked) -> Reply:
    """A call of the first tool; where a result comes back, or no tool is offered, a text."""
    if asked.result is not None:
        return say(f"The tool said: {asked.result}")
    if asked.tools:
        name, schema = asked.tools[0]
        return Reply(calls=(Call(name, example(schema)),))
    return say(f"You said: {asked.text}")


class Script:
    """A queue of answers, filled by the test and emptied by the look-alike, in two threads."""

    def __init__(self) -> None:
        self._replies: deque[Reply] = deque()
        self._lock = threading.Lock()

    def add(self, *replies: Reply) -> None:
        with self._lock:
            self._replies.extend(replies)

    def next(self, asked: Asked) -> Reply:
        with self._lock:
            if self._replies:
                return self._replies.popleft()
        return default(asked)


def pieces(text: str, size: int = PIECE) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
