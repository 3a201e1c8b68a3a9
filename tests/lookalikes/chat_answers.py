"""Answers of servers that speak OpenAI's Chat Completions, streamed and whole, with their habits."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from tests.lookalikes.chat_dialect import Habits
from tests.lookalikes.script import Call, Json, Reply, pieces
from tests.lookalikes.server import sse

DONE = b"data: [DONE]\n\n"


def streamed(habits: Habits, reply: Reply, body: Json, number: int) -> Iterator[bytes]:
    """Yield the events of a stream."""
    if habits.comment:
        yield habits.comment
    asked = bool((body.get("stream_options") or {}).get("include_usage"))
    apart = habits.usage == "asked" and asked
    for delta, finish in _deltas(habits, reply, number):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        more: Json = {"usage": None} if apart else {}
        if finish and habits.usage == "last":
            more = {"usage": usage(reply)}
        yield sse(chunk(body, number, [choice], more))
    if apart and not reply.no_done:
        yield sse(chunk(body, number, [], {"usage": usage(reply)}))
    if not reply.no_done:
        yield DONE


def whole(habits: Habits, reply: Reply, body: Json, number: int) -> Json:
    """Return a whole answer."""
    message: Json = {"role": "assistant", "content": reply.text or None}
    if habits.refusals:
        message["refusal"] = reply.refusal or None
    if reply.calls:
        message["tool_calls"] = _calls(habits, reply, number)
    if habits.reasoning and reply.thinking:
        message[habits.reasoning] = reply.thinking
    reason = finish_reason(habits, reply)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    answer = chunk(body, number, [choice], {"usage": usage(reply)})
    return answer | {"object": "chat.completion"}


def chunk(body: Json, number: int, choices: list[Json], more: Json) -> Json:
    """Return a chunk of a stream."""
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": choices,
        **more,
    }


def finish_reason(habits: Habits, reply: Reply) -> str | None:
    """Return why the answer ended, in the server's words."""
    if reply.no_finish:
        return None
    if reply.finish_word:
        return reply.finish_word
    calls = reply.calls and reply.finish == "stop" and not reply.says_stop
    return "tool_calls" if calls else habits.finish[reply.finish]


def _deltas(habits: Habits, reply: Reply, number: int) -> Iterator[tuple[Json, str | None]]:
    beside: Json = {"tool_calls": []} if reply.blank_calls else {}
    opening: Json = {"role": "assistant", "content": "" if reply.text else None, **beside}
    yield (opening | {"refusal": None} if habits.refusals else opening), None
    for piece in pieces(reply.thinking) if habits.reasoning else ():
        yield {str(habits.reasoning): piece, "content": None, **beside}, None
    for piece in pieces(reply.text):
        yield {"content": piece, **beside}, None
    for piece in pieces(reply.refusal):
        yield {"refusal": piece}, None
    for delta in _call_deltas(habits, reply, number):
        empty: Json = {"content": ""} if reply.blank_calls else {}
        yield {"tool_calls": delta, **empty}, None
    if not reply.no_finish:
        yield {}, finish_reason(habits, reply)


def _calls(habits: Habits, reply: Reply, number: int) -> list[Json]:
    return [_call(habits, reply, number, i, call) for i, call in enumerate(reply.calls)]


def _call(habits: Habits, reply: Reply, number: int, index: int, call: Call) -> Json:
    own = reply.ids[index] if index < len(reply.ids) else habits.call_id(number, index, call)
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": own, "type": "function", "function": function}


def _call_deltas(habits: Habits, reply: Reply, number: int) -> Iterator[list[Json]]:
    made = [
        {"index": 0 if reply.shares_index else i, **call}
        for i, call in enumerate(_calls(habits, reply, number))
    ]
    if reply.calls_come == "together":
        yield made
        return
    stories = [_story(habits, reply, call) for call in made]
    if reply.calls_come == "interleaved":
        for turn in itertools.zip_longest(*stories):
            yield from ([delta] for delta in turn if delta is not None)
        return
    for story in stories:
        yield from ([delta] for delta in story)


def _story(habits: Habits, reply: Reply, call: Json) -> list[Json]:
    """Return the pieces of a call: its name, then its arguments; or all at once."""
    if habits.whole_calls:
        return [call]
    opened = {**call, "function": {**call["function"], "arguments": ""}}
    again: Json = {"id": call["id"]} if reply.repeats in ("id", "both") else {}
    named = {"name": call["function"]["name"]} if reply.repeats in ("name", "both") else {}
    return [
        opened,
        *(
            {"index": call["index"], **again, "function": {**named, "arguments": piece}}
            for piece in pieces(call["function"]["arguments"])
        ),
    ]


def usage(reply: Reply) -> Json:
    """Return the tokens that are counted."""
    given, made = reply.tokens
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
