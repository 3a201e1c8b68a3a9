"""Answers of OpenAI's Responses API as they come: items, and the events of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]


def said(text: str, *, id_: str = "msg_1", refusal: bool = False, **more: Any) -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if refusal:
        part = {"type": "refusal", "refusal": text}
    return {
        "type": "message",
        "id": id_,
        "role": "assistant",
        "status": "completed",
        "content": [part],
        **more,
    }


def called(name: str = "ls", *, id_: str = "fc_1", arguments: Any = None, **more: Any) -> Json:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    call = {
        "type": "function_call",
        "id": id_,
        "call_id": f"call_{id_}",
        "name": name,
        "arguments": text,
    }
    return {**call, "status": "completed", **more}


def thought(*summary: str, id_: str = "rs_1", encrypted: str | None = "gAAA") -> Json:
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": id_, "summary": parts, "encrypted_content": encrypted}


def searched(id_: str = "ws_1") -> Json:
    return {
        "type": "web_search_call",
        "id": id_,
        "status": "completed",
        "action": {"type": "search"},
    }


def pieces(text: str, size: int = 5) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def events_of(item: Json, place: int) -> list[Json]:
    """All events of an item, as the API reference shows them."""
    at: Json = {"output_index": place}
    begun = {**item, "status": "in_progress"}
    for name, empty in (("content", []), ("summary", []), ("arguments", "")):
        if name in begun:
            begun[name] = empty
    tell = {"message": _message, "function_call": _call, "reasoning": _reasoning}.get(item["type"])
    between = list(tell(item)) if tell else []
    return [
        {"type": "response.output_item.added", "item": begun, **at},
        *({**event, "item_id": item["id"], **at} for event in between),
        {"type": "response.output_item.done", "item": item, **at},
    ]


def _message(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["content"]):
        at = {"content_index": index}
        name, kind = (
            ("refusal", "refusal") if part["type"] == "refusal" else ("text", "output_text")
        )
        yield {"type": "response.content_part.added", "part": {**part, name: ""}, **at}
        for piece in pieces(part[name]):
            yield {"type": f"response.{kind}.delta", "delta": piece, **at}
        yield {"type": f"response.{kind}.done", name: part[name], **at}
        yield {"type": "response.content_part.done", "part": part, **at}


def _call(item: Json) -> Iterator[Json]:
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", "delta": piece}
    yield {"type": "response.function_call_arguments.done", "arguments": item["arguments"]}


def _reasoning(item: Json) -> Iterator[Json]:
    for index, part in enumerate(item["summary"]):
        at = {"summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}, **at}
        for piece in pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", "delta": piece, **at}
        yield {"type": "response.reasoning_summary_text.done", "text": part["text"], **at}
        yield {"type": "response.reasoning_summary_part.done", "part": part, **at}


USAGE: Json = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 107,
}


def response(items: Sequence[Json], **more: Any) -> Json:
    return {"id": "resp_1", "object": "response", "status": "completed", "error": None,
            "incomplete_details": None, "output": copy.deepcopy(list(items)), "usage": USAGE, **more}  # fmt: skip


def incomplete(items: Sequence[Json], reason: str | None) -> Json:
    return response(items, status="incomplete", incomplete_details={"reason": reason})


def story(whole: Json) -> list[Json]:
    """The events of a response, one item after the other."""
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    told = [event for place, item in enumerate(whole["output"]) for event in events_of(item, place)]
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        *told,
        {"type": f"response.{whole['status']}", "response": whole},
    ]
