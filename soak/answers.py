"""Judges whether a response is a complete one, or a well-formed error, of the Messages API."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

Ending = Literal["complete", "broken off", "error", "left", "fault", "hung"]

Event = tuple[str, dict[str, Any]]

# A stream as a word: a letter an event, without pings.
_LETTERS = {
    "message_start": "s",
    "content_block_start": "b",
    "content_block_delta": "d",
    "content_block_stop": "e",
    "message_delta": "m",
    "message_stop": "x",
    "error": "!",
}
_WHOLE = re.compile(r"s(bd*e)+mx")
_BROKEN_OFF = re.compile(r"s(bd*e)*(bd*|m)?!")


class AnswerError(Exception):
    """Neither a complete answer nor a well-formed error."""


@dataclass(frozen=True)
class Asked:
    """What the response must match. The model is unique to the request."""

    model: str
    streamed: bool


def judge(asked: Asked, status: int, content_type: str, body: bytes) -> Ending:
    """Return how a response ended. Raises AnswerError."""
    try:
        if content_type.startswith("text/event-stream") and asked.streamed and status == 200:
            return _judge_stream(asked, _events(body))
        if not content_type.startswith("application/json"):
            raise AnswerError(f"{status} with {content_type}")
        return _judge_whole(asked, status, json.loads(body))
    except (ValueError, LookupError, TypeError) as e:
        raise AnswerError(f"{status} {content_type}: {e!r}, at the end {body[-200:]!r}") from e


def _judge_whole(asked: Asked, status: int, body: dict[str, Any]) -> Ending:
    if status >= 400:
        _check_error(body)
        return "error"
    if asked.streamed or status != 200 or body["type"] != "message" or not body["stop_reason"]:
        raise AnswerError(f"{status} is no whole message: {body}")
    _check_message(asked, body, "".join(block["text"] for block in body["content"]))
    return "complete"


def _judge_stream(asked: Asked, events: list[Event]) -> Ending:
    word = "".join(_LETTERS[name] for name, _ in events if name != "ping")
    if not (_WHOLE.fullmatch(word) or _BROKEN_OFF.fullmatch(word)):
        raise AnswerError(f"not a stream of the Messages API: {word}")
    deltas = [data["delta"]["text"] for name, data in events if name == "content_block_delta"]
    _check_message(asked, events[0][1]["message"], "".join(deltas))
    if word.endswith("x"):
        return "complete"
    _check_error(events[-1][1])
    return "broken off"


def _events(body: bytes) -> list[Event]:
    *blocks, rest = body.decode().split("\n\n")
    if rest:
        raise AnswerError(f"the stream ends inside an event: {rest[-200:]}")
    return [_event(block) for block in blocks]


def _event(block: str) -> Event:
    name, data = block.split("\n")
    if not (name.startswith("event: ") and data.startswith("data: ")):
        raise AnswerError(f"not an event: {block[:200]}")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def _check_message(asked: Asked, message: dict[str, Any], text: str) -> None:
    """Check that a message has the request's model, and that its text is the numbers from 0 on."""
    if message["model"] != asked.model:
        raise AnswerError(f"the answer to {message['model']} came to {asked.model}")
    if text != "".join(f"{n} " for n in range(len(text.split()))):
        raise AnswerError(f"words are lost or doubled: {text}")


def _check_error(body: dict[str, Any]) -> None:
    error = body["error"]
    right = body["type"] == "error" and isinstance(error["message"], str)
    if not (right and isinstance(error["type"], str) and error["type"].endswith("_error")):
        raise AnswerError(f"not an error in Anthropic's form: {body}")
