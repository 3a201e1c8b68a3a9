"""OpenAI's look-alike, asked as its API reference says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.script import Call, call, calls, fail, say, think

Json = dict[str, Any]

READ: Json = {
    "type": "function",
    "function": {
        "name": "Read",
        "parameters": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}},
            "required": ["file_path"],
        },
    },
}
USER: Json = {"role": "user", "content": "hi"}


def called(*ids: str) -> Json:
    function = {"name": "Read", "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": i, "type": "function", "function": function} for i in ids],
    }


def answered(identity: str, text: str = "done") -> Json:
    return {"role": "tool", "tool_call_id": identity, "content": text}


@pytest.fixture
def openai() -> Iterator[OpenAIChat]:
    with OpenAIChat(most_tokens=1000) as openai:
        yield openai


def ask(openai: OpenAIChat, *messages: Json, **body: Any) -> httpx.Response:
    return httpx.post(
        f"{openai.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": list(messages) or [USER], **body},
        headers={"authorization": "Bearer test-key"},
    )


def message(response: httpx.Response) -> Json:
    assert response.status_code == 200, response.text
    choice: Json = response.json()["choices"][0]
    return {**choice, **choice["message"]}


def chunks(response: httpx.Response) -> list[Json]:
    assert response.status_code == 200, response.text
    *events, done, nothing = response.text.split("\n\n")
    assert (done, nothing) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def deltas(response: httpx.Response) -> list[Json]:
    return [choice["delta"] for chunk in chunks(response) for choice in chunk["choices"]]


def test_a_text_is_answered_by_a_text(openai: OpenAIChat) -> None:
    assert message(ask(openai))["content"] == "You said: hi"


def test_a_tool_that_is_offered_is_called(openai: OpenAIChat) -> None:
    answer = message(ask(openai, tools=[READ]))
    (made,) = answer["tool_calls"]
    assert made["function"] == {"name": "Read", "arguments": '{"file_path": "sandbox"}'}
    assert answer["finish_reason"] == "tool_calls"


def test_a_result_is_quoted(openai: OpenAIChat) -> None:
    answer = message(ask(openai, USER, called("call_1"), answered("call_1", "42"), tools=[READ]))
    assert answer["content"] == "The tool said: 42"


def test_a_text_streams_in_pieces(openai: OpenAIChat) -> None:
    said = [d["content"] for d in deltas(ask(openai, stream=True)) if d.get("content")]
    assert len(said) > 1
    assert "".join(said) == "You said: hi"


def test_arguments_stream_in_pieces(openai: OpenAIChat) -> None:
    openai.script.add(calls(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"})))
    made = [d["tool_calls"][0] for d in deltas(ask(openai, stream=True)) if "tool_calls" in d]
    assert [c["id"] for c in made if "id" in c] == ["call_1x0", "call_1x1"]
    second = [c["function"]["arguments"] for c in made if c["index"] == 1]
    assert len(second) > 2
    assert json.loads("".join(second)) == {"file_path": "b"}


def test_calls_may_come_in_one_chunk(openai: OpenAIChat) -> None:
    openai.script.add(calls(Call("Read"), Call("Read"), calls_come="together"))
    (made,) = [d["tool_calls"] for d in deltas(ask(openai, stream=True)) if "tool_calls" in d]
    assert [(c["index"], c["function"]["arguments"]) for c in made] == [(0, "{}"), (1, "{}")]


def test_calls_may_come_in_turns(openai: OpenAIChat) -> None:
    both = (Call("Read", {"a": "long enough"}), Call("Read", {"b": 2}))
    openai.script.add(calls(*both, calls_come="interleaved"))
    made = [d["tool_calls"][0] for d in deltas(ask(openai, stream=True)) if "tool_calls" in d]
    assert [c["index"] for c in made][:4] == [0, 1, 0, 1]
    for index, wanted in enumerate(both):
        parts = [c["function"]["arguments"] for c in made if c["index"] == index]
        assert json.loads("".join(parts)) == wanted.arguments


def test_usage_comes_where_it_is_asked_for(openai: OpenAIChat) -> None:
    without = chunks(ask(openai, stream=True))
    assert not any("usage" in chunk for chunk in without)
    *others, last = chunks(ask(openai, stream=True, stream_options={"include_usage": True}))
    assert last["usage"]["completion_tokens"] == 5
    assert all(chunk["usage"] is None for chunk in others)


@pytest.mark.parametrize(("finish", "reason"), [("length", "length"), ("filter", "content_filter")])
def test_it_may_end_early(openai: OpenAIChat, finish: Any, reason: str) -> None:
    openai.script.add(say("half", finish=finish))
    assert message(ask(openai))["finish_reason"] == reason


def test_a_relative_tells_its_reasoning() -> None:
    with OpenAIChat("/api/v1", reasoning="reasoning_content") as deepseek:
        deepseek.script.add(think("hm", "so"))
        url = f"{deepseek.url}/api/v1/chat/completions"
        body = {"model": "deepseek-reasoner", "messages": [USER]}
        answer = httpx.post(url, json=body, headers={"authorization": "Bearer test-key"})
    assert message(answer)["reasoning_content"] == "hm"


def test_an_error_has_openais_form(openai: OpenAIChat) -> None:
    openai.script.add(fail(429, "slow down", retry_after=3))
    answer = ask(openai)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.json()["error"] == {
        "message": "slow down",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def test_an_error_may_come_within_the_stream(openai: OpenAIChat) -> None:
    openai.script.add(say("some words", error_after=2, message="boom"))
    last = ask(openai, stream=True).text.split("\n\n")[-2]
    assert json.loads(last.removeprefix("data: "))["error"]["message"] == "boom"


def test_a_key_is_needed(openai: OpenAIChat) -> None:
    assert httpx.post(f"{openai.url}/v1/chat/completions", json={}).status_code == 401


PNG = "data:image/png;base64,aGk="


def image(url: object, **more: object) -> Json:
    part = {"type": "image_url", "image_url": {"url": url}, **more}
    return {"role": "user", "content": [part]}


GOOD: dict[str, tuple[list[Json], Json]] = {
    "two calls answered in any order": (
        [USER, called("a", "b"), answered("b"), answered("a"), USER],
        {},
    ),
    "an image": ([image(PNG)], {}),
    "an image by URL": ([image("https://example.org/a.png")], {}),
    "a forced tool": (
        [USER],
        {"tools": [READ], "tool_choice": {"type": "function", "function": {"name": "Read"}}},
    ),
    "as many tokens as there are": ([USER], {"max_tokens": 1000}),
}


@pytest.mark.parametrize(("messages", "body"), GOOD.values(), ids=GOOD)
def test_what_openai_takes_is_taken(openai: OpenAIChat, messages: list[Json], body: Json) -> None:
    openai.script.add(call("Read", file_path="a"))
    assert ask(openai, *messages, **body).status_code == 200


def tool(**function: object) -> Json:
    return {"type": "function", "function": {**READ["function"], **function}}


BAD: dict[str, tuple[list[Json], Json, str]] = {
    "a foreign field": ([USER], {"top_k": 1}, "Unrecognized request argument supplied: top_k"),
    "a foreign field of a part": ([image(PNG, cache_control={})], {}, "content.0..cache_control"),
    "a foreign field of a message": ([{**USER, "cache": 1}], {}, r"messages.0..cache"),
    "a foreign field of a tool": ([USER], {"tools": [{**READ, "cache_control": {}}]}, "tools.0"),
    "no messages": ([], {"messages": []}, "empty array"),
    "a foreign role": ([{"role": "model", "content": "x"}], {}, "Invalid value: 'model'"),
    "no model": ([USER], {"model": None}, "model parameter"),
    "a tool of Anthropic's": ([USER], {"tools": [{"type": "bash_20250124"}]}, "bash_20250124"),
    "no parts": ([{"role": "user", "content": []}], {}, r"Invalid 'messages.0..content'"),
    "an image as text alone": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}],
        {},
        "Invalid type for 'messages.0..content.0..image_url'",
    ),
    "arguments as an object": (
        [
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "a", "arguments": {}}}
                ],
            }
        ],
        {},
        "function.arguments'",
    ),
    "no content": ([{"role": "user", "content": None}], {}, "got null"),
    "an image as text": ([{"role": "user", "content": [{"type": "image"}]}], {}, "value: 'image'"),
    "an image without base64": ([image("data:image/png;base64,?")], {}, "base64"),
    "a PDF as an image": ([image("data:application/pdf;base64,aGk=")], {}, "valid URL"),
    "an image from the assistant": ([{**image(PNG), "role": "assistant"}], {}, "image_url"),
    "a call unanswered": ([USER, called("a"), USER], {}, "must be followed by tool messages"),
    "one of two unanswered": ([USER, called("a", "b"), answered("a")], {}, "response messages: b"),
    "an answer to nothing": ([USER, answered("a")], {}, "preceeding message"),
    "an answer too late": ([called("a"), answered("a"), USER, answered("a")], {}, "preceeding"),
    "a long id": ([USER, called("a" * 41), answered("a" * 41)], {}, "maximum length 40"),
    "a name with a dot": ([USER], {"tools": [tool(name="a.b")]}, "does not match pattern"),
    "a long name": ([USER], {"tools": [tool(name="a" * 65)]}, "does not match pattern"),
    "a schema of nothing": ([USER], {"tools": [tool(parameters={})]}, "Invalid schema"),
    "too many tools": ([USER], {"tools": [READ] * 129}, "array too long"),
    "no tools in the list": ([USER], {"tools": []}, "empty array"),
    "a choice without tools": ([USER], {"tool_choice": "auto"}, "only allowed when"),
    "a choice of another tool": (
        [USER],
        {"tools": [READ], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        "not found",
    ),
    "an unknown choice": ([USER], {"tools": [READ], "tool_choice": "any"}, "Invalid value: 'any'"),
    "too many tokens": ([USER], {"max_tokens": 1001}, "too large: 1001"),
    "no tokens": ([USER], {"max_tokens": 0}, "below minimum"),
    "max_tokens for one that reasons": (
        [USER],
        {"model": "gpt-5", "max_tokens": 9},
        "Use 'max_completion_tokens'",
    ),
    "heat for one that reasons": ([USER], {"model": "o3", "temperature": 0}, "'temperature'"),
    "five stops": ([USER], {"stop": list("abcde")}, "array too long"),
    "a foreign tier": ([USER], {"service_tier": "standard_only"}, "Invalid value: 'standard_only'"),
    "a long user": ([USER], {"user": "a" * 65}, "string too long"),
    "metadata that is not stored": ([USER], {"metadata": {"a": "b"}}, "'store' is enabled"),
}


@pytest.mark.parametrize(("messages", "body", "why"), BAD.values(), ids=BAD)
def test_what_openai_refuses_is_refused(
    openai: OpenAIChat, messages: list[Json], body: Json, why: str
) -> None:
    answer = ask(openai, *messages, **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert re.search(why, error["message"]), error["message"]
