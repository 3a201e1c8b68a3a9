"""Ollama's look-alike, asked as its API documentation says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lookalikes.ollama import Ollama
from tests.lookalikes.script import Call, call, calls, say, think

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}
READ: Json = {
    "type": "function",
    "function": {
        "name": "Read",
        "parameters": {"type": "object", "properties": {"file_path": {"type": "string"}}},
    },
}


@pytest.fixture
def ollama() -> Iterator[Ollama]:
    with Ollama() as ollama:
        yield ollama


def ask(ollama: Ollama, *messages: Json, **body: Any) -> httpx.Response:
    whole = {"model": "qwen3", "messages": list(messages) or [USER], **body}
    return httpx.post(f"{ollama.url}/api/chat", json=whole)


def message(response: httpx.Response) -> Json:
    assert response.status_code == 200, response.text
    value: Json = response.json()
    return {**value, **value["message"]}


def lines(response: httpx.Response) -> list[Json]:
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def test_a_text_is_answered_by_a_text(ollama: Ollama) -> None:
    assert message(ask(ollama, stream=False))["content"] == "You said: hi"


def test_it_streams_unless_told_otherwise(ollama: Ollama) -> None:
    *others, last = lines(ask(ollama))
    assert "".join(line["message"]["content"] for line in others) == "You said: hi"
    assert len(others) > 1
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 5)
    assert not any(line["done"] for line in others)


def test_a_tool_is_called_with_an_object(ollama: Ollama) -> None:
    (line, _end) = lines(ask(ollama, tools=[READ]))
    function = line["message"]["tool_calls"][0]["function"]
    assert (function["name"], function["arguments"]) == ("Read", {"file_path": "sandbox"})


def test_calls_may_come_in_one_line(ollama: Ollama) -> None:
    ollama.script.add(calls(Call("Read"), Call("Read"), calls_come="together"))
    (line, _end) = lines(ask(ollama, tools=[READ]))
    assert len(line["message"]["tool_calls"]) == 2


def test_a_result_is_quoted(ollama: Ollama) -> None:
    answer = ask(ollama, USER, {"role": "tool", "content": "42"}, tools=[READ], stream=False)
    assert message(answer)["content"] == "The tool said: 42"


@pytest.mark.parametrize(("think_", "told"), [(True, "hm"), (None, "hm"), (False, "")])
def test_thinking_is_told_unless_that_is_off(ollama: Ollama, think_: Any, told: str) -> None:
    ollama.script.add(think("hm", "so"))
    came = lines(ask(ollama, think=think_))
    assert "".join(line["message"].get("thinking", "") for line in came) == told


def test_it_may_end_early(ollama: Ollama) -> None:
    ollama.script.add(say("half", finish="length"))
    assert message(ask(ollama, stream=False))["done_reason"] == "length"


def test_it_shows_its_model(ollama: Ollama) -> None:
    shown = httpx.post(f"{ollama.url}/api/show", json={"model": "qwen3"}).json()
    assert "tools" in shown["capabilities"]
    assert httpx.post(f"{ollama.url}/api/show", json={"model": "other"}).status_code == 404
    assert httpx.get(f"{ollama.url}/api/tags").json()["models"][0]["name"] == "qwen3"
    assert "version" in httpx.get(f"{ollama.url}/api/version").json()


def test_a_foreign_field_is_passed_over(ollama: Ollama) -> None:
    ollama.script.add(call("Read"))
    assert ask(ollama, top_k=1, tools=[{"type": "bash_20250124"}]).status_code == 200


def tool(properties: Any) -> Json:
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": "Read", "parameters": parameters}}


BAD: dict[str, tuple[list[Json], Json, str]] = {
    "another model": ([USER], {"model": "llama3"}, "model 'llama3' not found"),
    "content in parts": ([{"role": "user", "content": []}], {}, "cannot unmarshal array"),
    "an image by URL": ([{**USER, "images": ["https://a"]}], {}, "illegal base64"),
    "arguments as text": (
        [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}],
        {},
        "cannot unmarshal string",
    ),
    "a property of true": ([USER], {"tools": [tool({"a": True})]}, "cannot unmarshal bool"),
    "a nested property of a text": (
        [USER],
        {"tools": [tool({"a": {"type": "object", "properties": {"b": "x"}}})]},
        "cannot unmarshal string",
    ),
    "properties as a list": ([USER], {"tools": [tool([])]}, "cannot unmarshal array"),
    "required as an object": (
        [USER],
        {"tools": [tool({"a": {"type": "object", "required": {}}})]},
        "required of type array",
    ),
    "an enum as a text": (
        [USER],
        {"tools": [tool({"a": {"enum": "x"}})]},
        "cannot unmarshal string",
    ),
    "a format of a number": ([USER], {"format": 1}, "invalid format"),
    "an unknown think": ([USER], {"think": "max"}, "invalid think value"),
}


@pytest.mark.parametrize(("messages", "body", "why"), BAD.values(), ids=BAD)
def test_what_ollama_refuses_is_refused(
    ollama: Ollama, messages: list[Json], body: Json, why: str
) -> None:
    answer = ask(ollama, *messages, **body)
    assert answer.status_code in (400, 404)
    assert why in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "why"),
    [({"tools": [READ]}, "does not support tools"), ({"think": True}, "not support thinking")],
)
def test_a_model_that_can_do_less_says_so(body: Json, why: str) -> None:
    with Ollama(capabilities=("completion",)) as ollama:
        answer = ask(ollama, **body)
    assert answer.status_code == 400
    assert why in answer.json()["error"]
