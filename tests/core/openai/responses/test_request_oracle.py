"""LiteLLM reads responses requests as we do, but for what `DIFFERENCES` lists.

It makes chat requests of them, which our own translation takes on to Messages requests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.request import responses_request
from neurolink_mitm.core.openai.responses.stored import Memory

Json = dict[str, Any]
MODEL = "claude-sonnet-4-5"
USER = {"role": "user", "content": "look"}
CALL = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"x":1}'}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "ok"}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
FUNCTION = {"type": "function", "name": "f", "description": "does", "parameters": SCHEMA}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
CUSTOM = {"type": "custom", "name": "c", "description": "says", "format": GRAMMAR}
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def asked(*items: Any, **members: Any) -> Json:
    return {"model": MODEL, "input": list(items) or "look", **members}


def parts(*content: Any, role: str = "user") -> Json:
    return {"type": "message", "role": role, "content": list(content)}


CASES = {
    "a text": asked(),
    "instructions": asked(instructions="be brief"),
    "developer": asked(parts({"type": "input_text", "text": "be"}, role="developer"), USER),
    "an answer": asked(
        USER, parts({"type": "output_text", "text": "a"}, role="assistant"), {**USER, "content": "b"}
    ),
    "an image": asked(parts({"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": PNG})),
    "a file": asked(parts({"type": "input_file", "filename": "a.pdf", "file_data": PDF})),
    "a call": asked(USER, CALL, OUTPUT, tools=[FUNCTION]),
    "two calls": asked(
        USER, CALL, {**CALL, "call_id": "2"}, OUTPUT, {**OUTPUT, "call_id": "2"}, tools=[FUNCTION]
    ),
    "rounds": asked(
        USER, CALL, OUTPUT, {**CALL, "call_id": "2"}, {**OUTPUT, "call_id": "2"}, tools=[FUNCTION]
    ),
    "a message and a call": asked(
        USER, parts({"type": "output_text", "text": "a"}, role="assistant"), CALL, OUTPUT, tools=[FUNCTION]
    ),
    "an output with an image": asked(
        USER, CALL, {**OUTPUT, "output": [{"type": "input_image", "image_url": PNG}]}, tools=[FUNCTION]
    ),
    "an output without its call": asked(USER, OUTPUT),
    "a call without output": asked(USER, CALL, {**USER, "content": "b"}, tools=[FUNCTION]),
    "half arguments": asked(USER, {**CALL, "arguments": '{"x":'}, OUTPUT, tools=[FUNCTION]),
    "a custom call": asked(
        USER, {"type": "custom_tool_call", "call_id": "1", "name": "c", "input": "hi"},
        {**OUTPUT, "type": "custom_tool_call_output"}, tools=[CUSTOM],
    ),
    "OpenAI's reasoning": asked(
        USER, {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gAAA"}, CALL, OUTPUT,
        tools=[FUNCTION],
    ),
    "a namespace": asked(tools=[{"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]}]),
    "hosted tools": asked(tools=[FUNCTION, {"type": "file_search", "vector_store_ids": []}]),
    "required": asked(tools=[FUNCTION], tool_choice="required"),
    "forced": asked(tools=[FUNCTION], tool_choice={"type": "function", "name": "f"}),
    "options": asked(max_output_tokens=50, temperature=0.5, parallel_tool_calls=False, tools=[FUNCTION]),
    "effort": asked(reasoning={"effort": "high"}),
    "a schema": asked(text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}),
    "any JSON": asked(text={"format": {"type": "json_object"}}),
}  # fmt: skip
DIFFERENCES = {
    # Both are refused, each in its client's words.
    "an output without its call": {"": ("input[1].call_id", "messages[1].tool_call_id")},
    "half arguments": {"": ("input[1].arguments", "messages[1].tool_calls[0].function.arguments")},
    # The member is named as OpenAI names it in the item, and in chat.
    "a custom call": {
        "tools.0.description": (
            "says\n\nThe input follows this grammar (lark):\nstart: WORD",
            "says\n\nFormat:\n```lark\nstart: WORD\n```",
        ),
        "tools.0.input_schema.additionalProperties": (False, None),
        "tools.0.input_schema.properties.content.description": (
            None,
            "The c content following the specified format",
        ),
        "tools.0.input_schema.properties.content.type": (None, "string"),
        "tools.0.input_schema.properties.input.type": ("string", None),
        "tools.0.input_schema.required.0": ("input", "content"),
        "messages.1.content.0.input.content": (None, "hi"),
        "messages.1.content.0.input.input": ("hi", None),
    },
    # LiteLLM hands tools on that only OpenAI has.
    "hosted tools": {"": (None, "tools[1].type")},
}
"""Our value and LiteLLM's by the path in the Messages request; of a refused request, its `param`."""


@pytest.mark.real("litellm")
def test_litellm_reads_the_same() -> None:
    found = {}
    for name, case, theirs in zip(CASES, CASES.values(), litellms(), strict=True):
        our, their = dict(leaves(ours(case))), dict(leaves(through_chat(theirs)))
        if "" in their:
            our = {"": our.get("")}
        paths = [path for path in {**our, **their} if our.get(path) != their.get(path)]
        if paths:
            found[name] = {path: (our.get(path), their.get(path)) for path in paths}
    assert found == DIFFERENCES


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{path}.{name}".lstrip("."))
    else:
        yield path, value


def ours(case: Json) -> Any:
    try:
        body = json.dumps(case).encode()
        return compared(responses_request(body, claude_traits, Memory().of("", 0)).body)
    except RequestError as e:
        return e.param


def through_chat(chat: Any) -> Any:
    if isinstance(chat, str):
        return chat
    names = ("custom_llm_provider", "extra_headers", "metadata")
    body = json.dumps({k: v for k, v in chat.items() if k not in names}).encode()
    try:
        return compared(chat_request(body, claude_traits).body)
    except RequestError as e:
        return e.param


def compared(body: bytes) -> Any:
    return json.loads(body.replace(b',"cache_control":{"type":"ephemeral"}', b""))


def litellms() -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.openai.responses.litellm_requests"],
        input=json.dumps(list(CASES.values())), capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[4],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made: list[Any] = json.loads(done.stdout)
    return made
