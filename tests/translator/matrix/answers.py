"""Rows about answers: what a provider may send, and what the client has to get of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.anthropic_stream import Message, validate
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.gemini import Gemini
from tests.lookalikes.ollama import Ollama
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.script import Call, Reply, calls, fail, say, think
from tests.lookalikes.server import Lookalike
from tests.translator.matrix.row import READ, Json
from tests.translator.running import told

Judge = Callable[[httpx.Response], str | None]
OFFERED: Json = {"tools": [READ]}


def _all(lookalike: Lookalike) -> bool:
    return True


def only(*kinds: type[Lookalike]) -> Callable[[Lookalike], bool]:
    """Return whether a target is one of these."""
    return lambda lookalike: isinstance(lookalike, kinds)


def but(*kinds: type[Lookalike]) -> Callable[[Lookalike], bool]:
    """Return whether a target is none of these."""
    return lambda lookalike: not isinstance(lookalike, kinds)


@dataclass(frozen=True)
class Answer:
    """`reply` of the provider, and who looks at what came of it."""

    name: str
    reply: Reply
    judge: Judge
    fields: Json = field(default_factory=dict)
    of: Callable[[Lookalike], bool] = _all
    streams: bool = False
    """It is a matter of streams alone: a whole answer can't be so."""


def judged(row: Answer, answer: httpx.Response) -> str | None:
    """Return what is wrong with what the client got."""
    return row.judge(answer)


def says(text: str, stop: str = "end_turn", thinking: str | None = None) -> Judge:
    """The message has this text, and ends for this reason."""

    def judge(answer: httpx.Response) -> str | None:
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text[:200]}"
        message = told(answer)
        if (message.text, message.stop_reason) != (text, stop):
            return f"{message.text!r}, {message.stop_reason}"
        if thinking is not None and message.thinking not in ("", thinking):
            return f"thought {message.thinking!r}"
        return None

    return judge


def uses(*inputs: Json, text: str = "", stop: str = "tool_use") -> Judge:
    """The message calls the tool with these inputs, by ids of their own."""

    def judge(answer: httpx.Response) -> str | None:
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text[:200]}"
        message = told(answer)
        made = [use["input"] for use in message.tool_uses]
        if made != list(inputs):
            return f"called with {made}"
        if len({use["id"] for use in message.tool_uses}) != len(inputs):
            return "ids come twice"
        if (message.text, message.stop_reason) != (text, stop):
            return f"{message.text!r}, {message.stop_reason}"
        return _no_blank(message)

    return judge


def _no_blank(message: Message) -> str | None:
    texts = [block["text"] for block in message.content if block["type"] == "text"]
    return "a blank text" if any(not each.strip() for each in texts) else None


def fails(*statuses: int) -> Judge:
    """An error with one of these statuses, or, behind words, an error event."""

    def judge(answer: httpx.Response) -> str | None:
        if answer.status_code in statuses:
            return None
        if answer.status_code == 200 and answer.headers["content-type"].startswith("text/event"):
            message = validate(answer.content, allow_error=True, allow_empty=True)
            if message.error:
                return None
        return f"{answer.status_code}, no error: {answer.text[-200:]}"

    return judge


def breaks_off(text: str = "") -> Judge:
    """The words that came, then an error of the kind that is asked again; or such an error alone."""

    def judge(answer: httpx.Response) -> str | None:
        if answer.status_code in (500, 502, 503, 529):
            return None
        if not answer.headers["content-type"].startswith("text/event"):
            return f"ended as if it were whole: {answer.text[-160:]}"
        message = validate(answer.content, allow_error=True, allow_empty=True)
        if not message.error:
            return f"ended as if it were whole: {answer.text[-160:]}"
        if message.error["type"] not in ("overloaded_error", "api_error"):
            return f"broke off with {message.error}"
        return None if text in message.text else f"{message.text!r}"

    return judge


def either(*judges: Judge) -> Judge:
    """One of them is content."""

    def judge(answer: httpx.Response) -> str | None:
        faults = [_judged(each, answer) for each in judges]
        return None if None in faults else faults[0]

    return judge


def _judged(judge: Judge, answer: httpx.Response) -> str | None:
    try:
        return judge(answer)
    except AssertionError as e:
        return f"{type(e).__name__}: {e}"


def filtered(answer: httpx.Response) -> str | None:
    """A refusal, with what was said before it."""
    return says("half", "refusal")(answer)


def silent(answer: httpx.Response) -> str | None:
    """Nothing came, and it is said: by an error, or a refusal."""
    if answer.status_code != 200:
        return None if answer.status_code in (400, 403, 500, 502, 503, 529) else answer.text[:200]
    message = told(answer) if '"refusal"' in answer.text else None
    if message is None:
        return fails()(answer)
    return None if message.stop_reason == "refusal" else f"{message.stop_reason}"


A, B, C = ({"file_path": name * 9} for name in "abc")
_PART: Json = {"file_path": "abcdefghijklmnopqrstuvwxyz"}
_TEXTS = "Hello there, my friend. " * 4
_CHAT = only(ChatServer)


def _reads(*given: Json, **more: Any) -> Reply:
    return calls(*(Call("Read", each) for each in given), **more)


ANSWERS = (
    Answer("answer: a text", say(_TEXTS), says(_TEXTS)),
    Answer("answer: a call", _reads(A), uses(A), OFFERED),
    Answer("answer: a call of nothing", _reads({}), uses({}), OFFERED),
    Answer("answer: calls apart", _reads(A, B, C), uses(A, B, C), OFFERED),
    Answer("answer: calls together", _reads(A, B, C, calls_come="together"), uses(A, B, C), OFFERED),
    Answer("answer: calls in turns", _reads(A, B, C, calls_come="interleaved"), uses(A, B, C), OFFERED),
    Answer("answer: calls that share an index", _reads(A, B, shares_index=True), uses(A, B), OFFERED, _CHAT),
    Answer("answer: calls that repeat the id", _reads(A, B, repeats="id"), uses(A, B), OFFERED, _CHAT),
    Answer("answer: calls that repeat the name", _reads(A, B, repeats="name"), uses(A, B), OFFERED, _CHAT),
    Answer("answer: calls that repeat both", _reads(A, B, repeats="both"), uses(A, B), OFFERED, _CHAT),
    Answer("answer: calls with one id", _reads(A, B, ids=("same", "same")), uses(A, B), OFFERED, _CHAT),
    Answer("answer: calls without an id", _reads(A, B, ids=("", "")), uses(A, B), OFFERED, _CHAT),
    Answer("answer: an odd id", _reads(A, ids=("functions.Read:0",)), uses(A), OFFERED, _CHAT),
    Answer("answer: a text before calls", _reads(A, B, text="I look."), uses(A, B, text="I look."), OFFERED),
    Answer("answer: a blank text before a call", _reads(A, text="\n\n"), uses(A), OFFERED),
    Answer("answer: empty lists beside a text", say("So.", blank_calls=True), says("So."), {}, _CHAT),
    Answer("answer: empty texts beside calls", _reads(A, B, blank_calls=True), uses(A, B), OFFERED, _CHAT),
    Answer("answer: a call that ends in stop", _reads(A, says_stop=True), uses(A), OFFERED),
    Answer("answer: thinking", think("I wonder.", "So."), says("So.", thinking="I wonder."),
           {"thinking": {"type": "adaptive"}}),
    Answer("answer: thinking before a call", _reads(A, thinking="I wonder."), uses(A), OFFERED),
    Answer("answer: too few tokens", say("half", finish="length"), says("half", "max_tokens")),
    Answer("answer: too few tokens within a call", _reads(_PART, finish="length"),
           either(uses(_PART, stop="max_tokens"), says("", "max_tokens"), uses(_PART)), OFFERED),
    Answer("answer: too few tokens for a word", say("", finish="length"), either(says("", "max_tokens"), silent)),
    Answer("answer: a filter", say("half", finish="filter"), filtered, {}, but(Ollama)),
    Answer("answer: a filter before a word", say("", finish="filter"), silent, {}, but(Ollama)),
    Answer("answer: a refusal", Reply(refusal="I won't."), either(says("I won't.", "refusal"), says("I won't.")),
           {}, only(OpenAIChat)),
    Answer("answer: nothing", say(""), silent),
    Answer("answer: nothing but blanks", say("\n\n"), silent),
    Answer("answer: a malformed call", say("", finish_word="MALFORMED_FUNCTION_CALL"), breaks_off(), OFFERED,
           only(Gemini)),
    Answer("answer: a malformed call behind words", say("half", finish_word="MALFORMED_FUNCTION_CALL"),
           breaks_off("half"), OFFERED, only(Gemini)),
    Answer("answer: recitation", say("half", finish_word="RECITATION"), filtered, {}, only(Gemini)),
    Answer("answer: a blocked prompt", Reply(blocked="PROHIBITED_CONTENT"), silent, {}, only(Gemini)),
    Answer("answer: no reason", say("half", no_finish=True), either(says("half"), breaks_off("half")), {}, _CHAT),
    Answer("answer: no reason and no end", say("half" * 9, no_finish=True, no_done=True), breaks_off("half"), {},
           only(ChatServer, Ollama, Gemini, OpenAIResponses), streams=True),
    Answer("answer: calls without a reason or an end", _reads(A, no_finish=True, no_done=True),
           either(breaks_off(), uses(A)), OFFERED, _CHAT, streams=True),
    Answer("answer: no mark of the end", say("half", no_done=True), says("half"), {}, _CHAT),
    Answer("answer: cut", say("some words " * 9, cut_after=6, pause=0.02), breaks_off(), streams=True),
    Answer("answer: cut before a word", say("some words", cut_after=0), breaks_off(), streams=True),
    Answer("answer: an error within", say("some words " * 9, error_after=6, message="boom", pause=0.02),
           breaks_off(), streams=True),
    Answer("answer: hung up", Reply(hang_up=True), fails(500, 502, 503, 529)),
    Answer("answer: a page of HTML", Reply(body=b"<html><h1>Bad Gateway</h1></html>"), fails(500, 502, 503, 529)),
    *(
        Answer(f"answer: status {status}", fail(status, "because of this"), fails(*told))
        for status, told in ((400, (400,)), (401, (400, 403)), (403, (400, 403)), (404, (400, 404)),
                             (413, (400, 413)), (429, (429,)))
    ),
    *(
        Answer(f"answer: status {status}", fail(status, "because of this"), fails(500, 502, 503, 529))
        for status in (500, 502, 503)
    ),
)  # fmt: skip
