"""LiteLLM makes the same Messages requests of chat requests, but for what `DIFFERENT` lists."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.errors import RequestError

Json = dict[str, Any]

HI = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgoAAAA="
PDF = "data:application/pdf;base64,JVBERi0xLjQ="
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
STRICT = {**SCHEMA, "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}


def calls(*ids: str, arguments: str = '{"a":"b"}') -> Json:
    function = {"name": "f", "arguments": arguments}
    listed = [{"id": id_, "type": "function", "function": function} for id_ in ids]
    return {"role": "assistant", "content": None, "tool_calls": listed}


def result(id_: str, content: Any = "1") -> Json:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def parts(*listed: Json) -> Json:
    return {"messages": [{"role": "user", "content": list(listed)}]}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def format_(schema: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


ROUND = [HI, calls("call_1", "call_2"), result("call_1"), result("call_2")]
CASES: dict[str, Json] = {
    "hi": {},
    "system": {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, HI]},
    "system later": {"messages": [HI, {"role": "assistant", "content": "a"}, {"role": "system", "content": "b"}, HI]},
    "developer": {"messages": [{"role": "developer", "content": "a"}, HI]},
    "only system": {"messages": [{"role": "system", "content": "a"}]},
    "blank": {"messages": [HI, {"role": "assistant", "content": ""}, HI]},
    "white space at the end": {
        "messages": [HI, {"role": "assistant", "content": "a \n"}], "model": "claude-sonnet-4-5",
    },
    "assistant first": {"messages": [{"role": "assistant", "content": "a"}, HI]},
    "assistant last": {"messages": [HI, {"role": "assistant", "content": "a"}]},
    "one role twice": {"messages": [HI, HI, {"role": "assistant", "content": "a"}, HI]},
    "image": parts(text("a"), {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
    "image by address": parts({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}),
    "file": parts({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}),
    "audio": parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
    "round": {"messages": ROUND, "tools": [TOOL]},
    "round without tools": {"messages": ROUND},
    "results out of order": {"messages": [HI, calls("a", "b"), result("b"), result("a")], "tools": [TOOL]},
    "result late": {"messages": [HI, calls("a"), HI, result("a")], "tools": [TOOL]},
    "call without result": {"messages": [HI, calls("a"), HI], "tools": [TOOL]},
    "id of another form": {"messages": [HI, calls("f.f:0"), result("f.f:0")], "tools": [TOOL]},
    "ids again": {"messages": [HI, calls("a"), result("a"), calls("a"), result("a")], "tools": [TOOL]},
    "no arguments": {"messages": [HI, calls("a", arguments=""), result("a")], "tools": [TOOL]},
    "broken arguments": {"messages": [HI, calls("a", arguments='{"a":'), result("a")], "tools": [TOOL]},
    "empty result": {"messages": [HI, calls("a"), result("a", "")], "tools": [TOOL]},
    "thinking in the history": {
        "messages": [HI, {**calls("a"), "thinking_blocks": [SIGNED], "reasoning_content": "hm"}, result("a")],
        "tools": [TOOL], "reasoning_effort": "low",
    },
    "tool": {"tools": [TOOL]},
    "tool without schema": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "strict tool": {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": STRICT}}]},
    "required": {"tools": [TOOL], "tool_choice": "required"},
    "named": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    "none": {"tools": [TOOL], "tool_choice": "none"},
    "one call": {"tools": [TOOL], "parallel_tool_calls": False},
    "forced and thinking": {"tools": [TOOL], "tool_choice": "required", "reasoning_effort": "high"},
    "forced where it is refused": {"tools": [TOOL], "tool_choice": "required", "model": "claude-opus-5-5"},
    "no limit": {"max_tokens": None},
    "limit": {"max_tokens": 100},
    "newer limit": {"max_completion_tokens": 100, "max_tokens": None},
    "limit beyond the model's": {"max_tokens": 10**6},
    "sampling": {"temperature": 0.5, "model": "claude-sonnet-4-5"},
    "hot": {"temperature": 2, "model": "claude-sonnet-4-5"},
    "sampling twice": {"temperature": 0.5, "top_p": 0.9, "model": "claude-sonnet-4-5"},
    "sampling refused": {"temperature": 0.5, "top_p": 0.9},
    "stop": {"stop": "a"},
    "stops": {"stop": ["a", "\n"]},
    "effort": {"reasoning_effort": "medium"},
    "effort none": {"reasoning_effort": "none"},
    "minimal": {"reasoning_effort": "minimal"},
    "budget": {"reasoning_effort": "medium", "model": "claude-sonnet-4-5"},
    "budget beyond the limit": {"reasoning_effort": "high", "max_tokens": 2000, "model": "claude-sonnet-4-5"},
    "schema": {"response_format": format_(STRICT)},
    "open schema": {"response_format": format_(SCHEMA)},
    "map": {"response_format": format_({"type": "object", "additionalProperties": {"type": "string"}})},
    "schema on an old model": {"response_format": format_(STRICT), "model": "claude-opus-4-0"},
    "any JSON": {"response_format": {"type": "json_object"}},
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
    "stream": {"stream": True, "stream_options": {"include_usage": True}},
}  # fmt: skip
MODEL = "claude-opus-4-8"
MEMBERS = (
    "refused", "max_tokens", "stream", "system", "messages", "tools", "tool_choice", "temperature", "top_p",
    "stop_sequences", "thinking", "output_config",
)  # fmt: skip
DIFFERENT = {
    (
        "no limit",
        "max_tokens",
    ): "32,000: what the model could say at most is reserved, and counts for rate limits",
    ("limit beyond the model's", "max_tokens"): "Anthropic refuses it",
    ("forced where it is refused", "tool_choice"): "Anthropic refuses it on models from Opus 5.5",
    ("forced where it is refused", "system"): "so the model is told",
    ("developer", "refused"): "it is what system is for newer models",
    ("only system", "refused"): "it is what is asked",
    ("blank", "messages"): "no sentence is invented; Anthropic takes two messages of one role",
    ("assistant first", "messages"): "the first message must be the user's",
    ("assistant last", "messages"): "models from 4.6 refuse a prefill",
    ("file", "messages"): "the model is told the name of the file",
    ("audio", "refused"): "what can't be heard is not left out silently",
    ("round without tools", "tools"): "the tools of the history, no invented one",
    ("round without tools", "tool_choice"): "none of which may be called",
    (
        "results out of order",
        "messages",
    ): "in the order of the calls: the same bytes whatever finished first",
    ("result late", "messages"): "results come first, or Anthropic refuses them",
    ("call without result", "messages"): "Anthropic refuses a call without a result",
    ("id of another form", "messages"): "`f.f:0` and `f_f_0` stay two ids",
    ("ids again", "messages"): "Anthropic refuses an id that comes again",
    ("strict tool", "tools"): "the model takes it",
    ("forced and thinking", "thinking"): "Anthropic refuses both together",
    ("forced and thinking", "output_config"): "the effort was that of thinking",
    ("hot", "temperature"): "1 is the most",
    ("sampling twice", "top_p"): "models from 4.1 take only one",
    ("stops", "stop_sequences"): "Anthropic refuses blank ones",
    ("budget", "thinking"): "more room to think",
    ("budget beyond the limit", "thinking"): "Anthropic refuses a budget above the limit",
    ("map", "output_config"): "an object of any names, closed, would be an empty one",
    ("map", "system"): "so the schema is told",
    (
        "schema on an old model",
        "system",
    ): "an instruction: a forced call would exclude tools and thinking",
    ("schema on an old model", "tools"): "as above",
    ("schema on an old model", "tool_choice"): "as above",
    ("any JSON", "system"): "the model is told",
    ("n", "refused"): "the client would wait for the second answer",
    ("logprobs", "refused"): "there are none",
}
"""Case and member: why ours is another one than LiteLLM's, whose bodies also have a stray `json_mode`."""


@pytest.mark.real("litellm")
def test_litellm_makes_the_same_requests() -> None:
    theirs = dict(zip(CASES, litellms(), strict=True))
    different = {}
    for name, case in CASES.items():
        their, our = told(theirs[name]), told(ours(case))
        for member in MEMBERS:
            refused = member != "refused" and (their.get("refused") or our.get("refused"))
            if not refused and their.get(member) != our.get(member):
                different[name, member] = (their.get(member), our.get(member))
    shown = "\n".join(
        f"{key}: {values}" for key, values in different.items() if key not in DIFFERENT
    )
    assert different.keys() == DIFFERENT.keys(), shown


def request(case: Json) -> Json:
    return {"model": MODEL, "messages": [HI], "max_tokens": 32_000, **case}


def ours(case: Json) -> Any:
    try:
        return json.loads(chat_request(json.dumps(request(case)).encode(), claude_traits).body)
    except RequestError as error:
        return str(error)


def told(body: Any) -> Json:
    """Return the members in one form: texts as blocks, without marks of the cache and what says nothing."""
    if isinstance(body, str):
        return {"refused": True}
    made: Json = _plain(body)
    if "output_format" in made:  # the older name
        made["output_config"] = {"format": made["output_format"]}
    for message in made["messages"]:
        message["content"] = _blocks(message["content"])
    if isinstance(made.get("system"), str):
        made["system"] = _blocks(made["system"])
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _plain(each) for name, each in value.items() if name != "cache_control"}
        if kept.get("type") == "tool_result":
            kept["content"] = _blocks(kept.get("content") or [])
        return {name: each for name, each in kept.items() if (name, each) not in _SAYS_NOTHING}
    return [_plain(each) for each in value] if isinstance(value, list) else value


_SAYS_NOTHING = (("type", "custom"), ("stream", False), ("is_error", False))


def _blocks(content: Any) -> Any:
    return [text(content)] if isinstance(content, str) and content else content or []


def litellms() -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.openai.chat.litellm_requests"],
        input=json.dumps([request(case) for case in CASES.values()]), capture_output=True, text=True,
        timeout=120, cwd=Path(__file__).parents[4],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found
