"""Answers of OpenAI's Responses API: items, and the events in which they come."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from tests.lookalikes.script import Call, Json, Reply, pieces

_INCOMPLETE = {"length": "max_output_tokens", "filter": "content_filter"}


def story(reply: Reply, body: Json, number: int) -> Iterator[Json]:
    """Yield the events of an answer."""
    begun = response(body, number, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    items = output(reply, body, number)
    told = [
        [{**event, "output_index": place} for event in _events(item)]
        for place, item in enumerate(items)
    ]
    apart = reply.calls_come == "apart"
    yield from (
        itertools.chain(*told)
        if apart
        else _in_turns(items, told, together=reply.calls_come == "together")
    )
    if not (reply.no_done and reply.no_finish):
        last = ended(reply, body, number, items)
        yield {"type": f"response.{last['status']}", "response": last}


def _in_turns(items: list[Json], told: list[list[Json]], *, together: bool) -> Iterator[Json]:
    """Yield the events of calls in turns, behind all else; `together`: each call's in a heap, all begun before."""
    calls = [place for place, item in enumerate(items) if item["type"] == "function_call"]
    yield from itertools.chain(*(each for place, each in enumerate(told) if place not in calls))
    if together:
        yield from (told[place][0] for place in calls)
        yield from itertools.chain(*(told[place][1:] for place in calls))
    else:
        turns = itertools.zip_longest(*(told[place] for place in calls))
        yield from (event for turn in turns for event in turn if event)


def ended(reply: Reply, body: Json, number: int, items: list[Json]) -> Json:
    """Return the whole response."""
    given, made = reply.tokens
    if reply.blocked:
        failed = response(body, number, "failed", [])
        return failed | {"error": {"code": "invalid_prompt", "message": reply.blocked}}
    early = reply.finish_word or _INCOMPLETE.get(reply.finish)
    told = response(body, number, "incomplete" if early else "completed", items)
    told["incomplete_details"] = {"reason": early} if early else None
    told["usage"] = {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + made,
    }
    return told


def output(reply: Reply, body: Json, number: int) -> list[Json]:
    """Return the items of an answer."""
    items: list[Json] = []
    if reply.thinking:
        items.append(_reasoning(reply, body, number))
    if reply.text:
        text = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        items.append(_message(number, text))
    if reply.refusal:
        items.append(_message(number, {"type": "refusal", "refusal": reply.refusal}))
    items += [_call(reply, call, number, index) for index, call in enumerate(reply.calls)]
    if items and reply.finish != "stop":
        items[-1] = _half(items[-1])
    return [] if reply.blocked else items


def sealed(number: int) -> str:
    """Return the encrypted content of the reasoning of an answer."""
    return f"gAAAAAB{number:06}=="


def _reasoning(reply: Reply, body: Json, number: int) -> Json:
    told = (body.get("reasoning") or {}).get("summary")
    summary = [{"type": "summary_text", "text": reply.thinking}] if told else []
    item: Json = {"type": "reasoning", "id": f"rs_{number}", "summary": summary}
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        item["encrypted_content"] = sealed(number)
    return item


def _message(number: int, part: Json) -> Json:
    return {
        "type": "message",
        "id": f"msg_{number}",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _call(reply: Reply, call: Call, number: int, index: int) -> Json:
    return {
        "type": "function_call",
        "id": f"fc_{number}x{index}",
        "call_id": reply.ids[index] if index < len(reply.ids) else f"call_{number}x{index}",
        "name": call.name,
        "arguments": json.dumps(call.arguments),
        "status": "completed",
    }


def _half(item: Json) -> Json:
    """Return the last item as it is where an answer is cut off."""
    if item["type"] == "function_call":
        arguments = item["arguments"]
        return {**item, "status": "incomplete", "arguments": arguments[: len(arguments) // 2]}
    return {**item, "status": "incomplete"} if item["type"] == "message" else item


def response(body: Json, number: int, status: str, items: list[Json]) -> Json:
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": body["model"],
        "output": items,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }


def _events(item: Json) -> list[Json]:
    empty = {"content": [], "summary": [], "arguments": ""}
    begun = {**item, **{name: value for name, value in empty.items() if name in item}}
    if "status" in item:
        begun["status"] = "in_progress"
    between = _BETWEEN[item["type"]](item)
    return [
        {"type": "response.output_item.added", "item": begun},
        *({**event, "item_id": item["id"]} for event in between),
        {"type": "response.output_item.done", "item": item},
    ]


def _message_events(item: Json) -> Iterator[Json]:
    part = item["content"][0]
    name, kind = ("refusal", "refusal") if part["type"] == "refusal" else ("text", "output_text")
    at: Json = {"content_index": 0}
    more: Json = {"logprobs": []} if name == "text" else {}
    yield {"type": "response.content_part.added", **at, "part": {**part, name: ""}}
    for piece in pieces(part[name]):
        yield {
            "type": f"response.{kind}.delta",
            **at,
            "delta": piece,
            **more,
            "obfuscation": "x" * 9,
        }
    yield {"type": f"response.{kind}.done", **at, name: part[name], **more}
    yield {"type": "response.content_part.done", **at, "part": part}


def _call_events(item: Json) -> Iterator[Json]:
    for piece in pieces(item["arguments"]):
        yield {
            "type": "response.function_call_arguments.delta",
            "delta": piece,
            "obfuscation": "x" * 9,
        }
    if item["status"] == "completed":
        done = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done", **done}


def _reasoning_events(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["summary"]):
        at = {"summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield {
                "type": "response.reasoning_summary_text.delta",
                **at,
                "delta": piece,
                "obfuscation": "x" * 9,
            }
        yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}


_BETWEEN = {
    "message": _message_events,
    "function_call": _call_events,
    "reasoning": _reasoning_events,
}
