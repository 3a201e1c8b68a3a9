"""The look-alike of OpenAI's Responses, asked as its API reference says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.script import Call, Reply, call, calls, say, think

Json = dict[str, Any]

READ: Json = {
    "type": "function",
    "name": "Read",
    "parameters": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}},
        "required": ["file_path"],
    },
}
USER: Json = {"role": "user", "content": "hi"}
CALL: Json = {"type": "function_call", "call_id": "c1", "name": "Read", "arguments": "{}"}
OUTPUT: Json = {"type": "function_call_output", "call_id": "c1", "output": "42"}


@pytest.fixture
def openai() -> Iterator[OpenAIResponses]:
    with OpenAIResponses(most_tokens=1000) as openai:
        yield openai


def ask(openai: OpenAIResponses, *items: Json, **body: Any) -> httpx.Response:
    return httpx.post(
        f"{openai.url}/v1/responses",
        json={"model": "gpt-5", "input": list(items) or "hi", **body},
        headers={"authorization": "Bearer test-key"},
    )


def answer(response: httpx.Response) -> Json:
    assert response.status_code == 200, response.text
    value: Json = response.json()
    return value


def events(response: httpx.Response) -> list[Json]:
    """Each with the name that its data has, numbered without gaps."""
    assert response.status_code == 200, response.text
    found = []
    for number, event in enumerate(response.text.strip().split("\n\n")):
        name, data = event.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        assert value["sequence_number"] == number
        found.append(value)
    return found


def test_a_text_is_answered_by_a_text(openai: OpenAIResponses) -> None:
    (item,) = answer(ask(openai))["output"]
    assert item["content"][0]["text"] == "You said: hi"


def test_a_tool_that_is_offered_is_called(openai: OpenAIResponses) -> None:
    (item,) = answer(ask(openai, tools=[READ]))["output"]
    assert (item["type"], item["arguments"]) == ("function_call", '{"file_path": "sandbox"}')


def test_a_result_is_quoted(openai: OpenAIResponses) -> None:
    (item,) = answer(ask(openai, USER, CALL, OUTPUT, tools=[READ]))["output"]
    assert item["content"][0]["text"] == "The tool said: 42"


def test_a_text_streams_in_pieces_that_are_the_whole(openai: OpenAIResponses) -> None:
    came = events(ask(openai, stream=True))
    pieces = [e["delta"] for e in came if e["type"] == "response.output_text.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == "You said: hi"
    assert [e["type"] for e in came if "delta" not in e["type"]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert came[-1]["response"]["usage"]["output_tokens"] == 5


def test_arguments_stream_in_pieces(openai: OpenAIResponses) -> None:
    openai.script.add(calls(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"})))
    came = events(ask(openai, stream=True))
    pieces = [
        e["delta"]
        for e in came
        if e["type"] == "response.function_call_arguments.delta" and e["output_index"] == 1
    ]
    assert len(pieces) > 2
    assert json.loads("".join(pieces)) == {"file_path": "b"}
    assert [i["call_id"] for i in came[-1]["response"]["output"]] == ["call_1x0", "call_1x1"]


def test_reasoning_is_told_where_a_summary_is_asked_for(openai: OpenAIResponses) -> None:
    openai.script.add(think("hm", "so"), think("hm", "so"))
    silent, told = (
        answer(ask(openai, reasoning=reasoning))["output"][0]["summary"]
        for reasoning in ({"effort": "low"}, {"effort": "low", "summary": "auto"})
    )
    assert (silent, told) == ([], [{"type": "summary_text", "text": "hm"}])


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("filter", "content_filter")]
)
def test_it_may_end_early(openai: OpenAIResponses, finish: Any, reason: str) -> None:
    openai.script.add(say("half", finish=finish))
    last = events(ask(openai, stream=True))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": reason}


def test_a_key_is_needed(openai: OpenAIResponses) -> None:
    assert httpx.post(f"{openai.url}/v1/responses", json={}).status_code == 401


def parts(*parts: Json, role: str = "user") -> Json:
    return {"type": "message", "role": role, "content": list(parts)}


FILE: Json = {"type": "input_file", "file_data": "data:application/pdf;base64,aGk="}
FORMAT: Json = {
    "type": "json_schema",
    "name": "answer",
    "schema": {"type": "object"},
    "strict": False,
}
CLOSED: Json = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
THOUGHT: Json = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "gAAAAAB000001==",
}
ENCRYPTED: Json = {"include": ["reasoning.encrypted_content"]}

GOOD: dict[str, tuple[list[Json], Json]] = {
    "an image": ([parts({"type": "input_image", "image_url": "data:image/png;base64,aGk="})], {}),
    "a file": ([parts({**FILE, "filename": "a.pdf"})], {}),
    "a file by its address": (
        [parts({"type": "input_file", "file_url": "https://x.test/a.pdf"})],
        {},
    ),
    "a form": ([USER], {"text": {"format": FORMAT}}),
    "a strict form": ([USER], {"text": {"format": {**FORMAT, "strict": True, "schema": CLOSED}}}),
    "temperature": ([USER], {"model": "gpt-4o", "temperature": 0.5}),
    "what it said": ([parts({"type": "output_text", "text": "a"}, role="assistant"), USER], {}),
    "a forced tool": (
        [USER],
        {"tools": [READ], "tool_choice": {"type": "function", "name": "Read"}},
    ),
    "its own search": ([USER], {"tools": [{"type": "web_search"}]}),
    "output in parts": (
        [USER, CALL, {**OUTPUT, "output": [{"type": "input_text", "text": "4"}]}],
        {},
    ),
}


@pytest.mark.parametrize(("items", "body"), GOOD.values(), ids=GOOD)
def test_what_openai_takes_is_taken(openai: OpenAIResponses, items: list[Json], body: Json) -> None:
    openai.script.add(call("Read", file_path="a"))
    assert ask(openai, *items, **body).status_code == 200


BAD: dict[str, tuple[list[Json], Json, str]] = {
    "a foreign field": ([USER], {"stop": ["a"]}, "Unknown parameter: 'stop'"),
    "a foreign field of an item": ([{**USER, "cache_control": {}}], {}, r"input.0..cache_control"),
    "a foreign field of a tool": ([USER], {"tools": [{**READ, "cache": 1}]}, r"tools.0..cache"),
    "no input": ([], {"input": []}, "parameter: 'input'"),
    "no model": ([USER], {"model": None}, "parameter: 'model'"),
    "a foreign role": ([parts(role="tool")], {}, "Invalid value: 'tool'"),
    "a foreign item": ([{"type": "tool_use"}], {}, "Invalid value: 'tool_use'"),
    "a part of chat": ([parts({"type": "text", "text": "a"})], {}, "Invalid value: 'text'"),
    "an image of nothing": ([parts({"type": "input_image"})], {}, "valid URL"),
    "a call unanswered": ([USER, CALL, USER], {}, "No tool output found for function call c1"),
    "an answer to nothing": ([USER, OUTPUT], {}, "No tool call found"),
    "reasoning without its id": ([{"type": "reasoning", "summary": []}], {}, r"'input.0..id'"),
    "a long name": ([USER], {"tools": [{**READ, "name": "a" * 65}]}, "does not match pattern"),
    "a tool of Anthropic's": ([USER], {"tools": [{"type": "bash_20250124"}]}, "bash_20250124"),
    "a schema of nothing": ([USER], {"tools": [{**READ, "parameters": {}}]}, "Invalid schema"),
    "too many tools": ([USER], {"tools": [READ] * 129}, "array too long"),
    "a choice of another tool": (
        [USER],
        {"tools": [READ], "tool_choice": {"type": "function", "name": "x"}},
        "not found",
    ),
    "an unknown choice": ([USER], {"tools": [READ], "tool_choice": "any"}, "Invalid value: 'any'"),
    "too few tokens": ([USER], {"max_output_tokens": 15}, ">= 16"),
    "too many tokens": ([USER], {"max_output_tokens": 1001}, "<= 1000"),
    "metadata of numbers": ([USER], {"metadata": {"a": 1}}, "Invalid 'metadata.a'"),
    "arguments as an object": (
        [{**CALL, "arguments": {}}],
        {},
        "Invalid type for 'input.0..arguments'",
    ),
    "no content": ([{"role": "user", "content": None}], {}, "Invalid type for 'input.0..content'"),
    "a long user": ([USER], {"user": "a" * 65}, "string too long"),
    "a foreign tier": ([USER], {"service_tier": "standard_only"}, "'standard_only'"),
    "a file without a name": (
        [parts(FILE)],
        {},
        r"Missing required parameter: 'input.0..content.0..filename'",
    ),
    "a file that is no PDF": (
        [parts({**FILE, "filename": "a", "file_data": "data:text/plain;base64,aGk="})],
        {},
        "application/pdf",
    ),
    "a file of nothing": ([parts({"type": "input_file"})], {}, "file_id"),
    "an unknown detail": (
        [parts({"type": "input_image", "image_url": "https://x.test/a.png", "detail": "most"})],
        {},
        "'most'",
    ),
    "the user's words as the model's": (
        [parts({"type": "input_text", "text": "a"}, role="assistant")],
        {},
        "input_text",
    ),
    "a long id": (
        [{**CALL, "call_id": "c" * 65}, {**OUTPUT, "call_id": "c" * 65}],
        {},
        "maximum length 64",
    ),
    "an id of nothing": ([{**CALL, "call_id": ""}, {**OUTPUT, "call_id": ""}], {}, "empty string"),
    "an id of another's": ([{**CALL, "id": "toolu_1"}, OUTPUT], {}, "begins with 'fc'"),
    "a form without a name": (
        [USER],
        {"text": {"format": {**FORMAT, "name": None}}},
        "'text.format.name'",
    ),
    "a strict form that is not": (
        [USER],
        {"text": {"format": {**FORMAT, "strict": True}}},
        "additionalProperties",
    ),
    "a strict tool that is not": (
        [USER],
        {"tools": [{**READ, "strict": True}]},
        "additionalProperties",
    ),
    "temperature of one that thinks": (
        [USER],
        {"temperature": 0.5},
        "'temperature' is not supported",
    ),
    "thinking of one that does not": (
        [USER],
        {"model": "gpt-4o", "reasoning": {"effort": "low"}},
        "'reasoning.effort' is not supported",
    ),
    "its reasoning": (
        [USER],
        {"model": "gpt-4o", **ENCRYPTED},
        "Encrypted content is not supported",
    ),
    "an unknown effort": ([USER], {"reasoning": {"effort": "max"}}, "'max'"),
    "a choice among none": ([USER], {"tool_choice": "required"}, "must be specified with 'tools'"),
    "reasoning without a summary": (
        [{"type": "reasoning", "id": "rs_1"}],
        {},
        r"'input.0..summary'",
    ),
    "reasoning of another": (
        [USER, {**THOUGHT, "encrypted_content": "gXYZ"}, parts(role="assistant")],
        {},
        "could not be verified",
    ),
    "a foreign reasoning": ([USER], {"reasoning": {"budget": 1}}, "reasoning.budget"),
}


@pytest.mark.parametrize(("items", "body", "why"), BAD.values(), ids=BAD)
def test_what_openai_refuses_is_refused(
    openai: OpenAIResponses, items: list[Json], body: Json, why: str
) -> None:
    response = ask(openai, *items, **body)
    assert response.status_code == 400
    message = response.json()["error"]["message"]
    assert re.search(why, message), message


def test_reasoning_comes_encrypted_and_goes_back(openai: OpenAIResponses) -> None:
    openai.script.add(think("hm", "so"))
    given = answer(ask(openai, store=False, **ENCRYPTED))["output"]
    assert given[0]["encrypted_content"]
    answer(ask(openai, USER, *given, USER, store=False))
    openai.forget()
    assert "could not be verified" in ask(openai, USER, *given, USER).text


def test_reasoning_needs_what_follows_it(openai: OpenAIResponses) -> None:
    openai.script.add(think("hm", "so"))
    reasoning, message = answer(ask(openai, **ENCRYPTED))["output"]
    for items in (
        [reasoning],
        [reasoning, USER],
        [message, reasoning, USER],
        [reasoning, reasoning, message],
    ):
        assert "without its required following item" in ask(openai, USER, *items).text


def test_reasoning_that_is_not_stored_can_not_be_named(openai: OpenAIResponses) -> None:
    named = {"type": "reasoning", "id": "rs_1", "summary": []}
    said = parts({"type": "output_text", "text": "so"}, role="assistant")
    refused = ask(openai, USER, named, said, USER, store=False)
    assert (refused.status_code, "not persisted" in refused.text) == (404, True)


def test_an_organisation_that_is_not_verified_sees_no_summaries() -> None:
    with OpenAIResponses(verified=False) as openai:
        assert "must be verified" in ask(openai, reasoning={"summary": "auto"}).text
        answer(ask(openai, reasoning={"effort": "low"}))


@pytest.mark.parametrize("come", ["together", "interleaved"])
def test_calls_come_in_other_orders(openai: OpenAIResponses, come: Any) -> None:
    both = (Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"}))
    openai.script.add(calls(*both, calls_come=come))
    places = [
        event["output_index"] for event in events(ask(openai, stream=True)) if "item_id" in event
    ]
    assert places != sorted(places) or come == "together"


def test_half_a_call_is_incomplete(openai: OpenAIResponses) -> None:
    openai.script.add(calls(Call("Read", {"file_path": "a"}), finish="length"))
    last = events(ask(openai, stream=True))[-1]
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_a_refusal_is_a_part_of_its_own(openai: OpenAIResponses) -> None:
    openai.script.add(Reply(refusal="I can't."))
    came = events(ask(openai, stream=True))
    assert "".join(e["delta"] for e in came if e["type"] == "response.refusal.delta") == "I can't."


def test_a_prompt_may_be_blocked(openai: OpenAIResponses) -> None:
    openai.script.add(Reply(blocked="Flagged."))
    last = events(ask(openai, stream=True))[-1]
    assert (last["type"], last["response"]["error"]["code"]) == (
        "response.failed",
        "invalid_prompt",
    )
