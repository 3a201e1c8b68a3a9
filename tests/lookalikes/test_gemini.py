"""Gemini's look-alike, asked as its API reference says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.lookalikes.gemini import SIGNATURE, Gemini
from tests.lookalikes.script import Call, Reply, call, calls, fail, say, think

Json = dict[str, Any]

READ: Json = {
    "name": "Read",
    "parameters": {
        "type": "OBJECT",
        "properties": {"file_path": {"type": "STRING"}},
        "required": ["file_path"],
    },
}
CALL: Json = {"functionCall": {"name": "Read", "args": {}}}
RESULT: Json = {"functionResponse": {"name": "Read", "response": {"content": "42"}}}


def turn(*parts: Json | str, role: str = "user") -> Json:
    return {"role": role, "parts": [{"text": p} if isinstance(p, str) else p for p in parts]}


def model(*parts: Json | str) -> Json:
    return turn(*parts, role="model")


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini(most_tokens=1000) as gemini:
        yield gemini


def ask(
    gemini: Gemini,
    *contents: Json,
    name: str = "gemini-2.5-flash",
    stream: bool = False,
    **body: Any,
) -> httpx.Response:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return httpx.post(
        f"{gemini.url}/v1beta/models/{name}:{method}",
        json={"contents": list(contents) or [turn("hi")], **body},
        headers={"x-goog-api-key": "test-key"},
    )


def parts(response: httpx.Response) -> list[Json]:
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["candidates"][0]["content"]["parts"]
    return found


def chunks(response: httpx.Response) -> list[Json]:
    assert response.status_code == 200, response.text
    *events, nothing = response.text.split("\r\n\r\n")
    assert nothing == ""
    return [json.loads(event.removeprefix("data: ")) for event in events]


def tools(**change: Any) -> Json:
    return {"tools": [{"functionDeclarations": [{**READ, **change}]}]}


def test_a_text_is_answered_by_a_text(gemini: Gemini) -> None:
    assert parts(ask(gemini)) == [{"text": "You said: hi"}]


def test_a_tool_that_is_offered_is_called(gemini: Gemini) -> None:
    (part,) = parts(ask(gemini, **tools()))
    assert part["functionCall"] == {"name": "Read", "args": {"file_path": "sandbox"}}


def test_a_result_is_quoted(gemini: Gemini) -> None:
    (part,) = parts(ask(gemini, turn("hi"), model(CALL), turn(RESULT), **tools()))
    assert part["text"] == "The tool said: {'content': '42'}"


def test_a_text_streams_in_pieces(gemini: Gemini) -> None:
    came = chunks(ask(gemini, stream=True))
    said = [c["candidates"][0]["content"]["parts"][0]["text"] for c in came]
    assert len(said) > 1
    assert "".join(said) == "You said: hi"
    assert [c["candidates"][0].get("finishReason") for c in came] == [None, "STOP"]
    assert came[-1]["usageMetadata"]["candidatesTokenCount"] == 5


def test_calls_come_whole_and_the_first_is_signed(gemini: Gemini) -> None:
    gemini.script.add(calls(Call("Read", {"a": 1}), Call("Read", {"a": 2})))
    first, second = (
        c["candidates"][0]["content"]["parts"][0] for c in chunks(ask(gemini, stream=True))
    )
    assert first["thoughtSignature"] == SIGNATURE
    assert second == {"functionCall": {"name": "Read", "args": {"a": 2}}}


def test_calls_may_come_in_one_chunk(gemini: Gemini) -> None:
    both = (Call("Read", {"a": 1}), Call("Read", {"a": 2}))
    gemini.script.add(calls(*both, text="So.", calls_come="together"))
    text, made = (c["candidates"][0]["content"]["parts"] for c in chunks(ask(gemini, stream=True)))
    assert text == [{"text": "So."}]
    assert [part["functionCall"]["args"] for part in made] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(("tell", "count"), [(True, 2), (False, 1)])
def test_thoughts_are_told_where_they_are_asked_for(gemini: Gemini, tell: bool, count: int) -> None:
    gemini.script.add(think("hm", "so"))
    config = {"thinkingConfig": {"includeThoughts": tell}}
    came = parts(ask(gemini, generationConfig=config))
    assert len(came) == count
    assert came[0].get("thought", False) is tell


@pytest.mark.parametrize(("finish", "reason"), [("length", "MAX_TOKENS"), ("filter", "SAFETY")])
def test_it_may_end_early(gemini: Gemini, finish: Any, reason: str) -> None:
    gemini.script.add(say("half", finish=finish))
    assert ask(gemini).json()["candidates"][0]["finishReason"] == reason


def test_an_error_has_googles_form(gemini: Gemini) -> None:
    gemini.script.add(fail(429, "slow down", retry_after=3))
    error = ask(gemini).json()["error"]
    assert error == {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}


def test_it_counts_tokens(gemini: Gemini) -> None:
    url = f"{gemini.url}/v1beta/models/gemini-2.5-flash:countTokens"
    assert httpx.post(url, json={}).json() == {"totalTokens": 11}


def test_a_key_is_needed(gemini: Gemini) -> None:
    url = f"{gemini.url}/v1beta/models/gemini-2.5-flash:generateContent"
    assert httpx.post(url, json={}).status_code == 403
    assert httpx.post(url, json={}, params={"key": "test-key"}).status_code == 400


def test_an_unknown_method_is_not_found(gemini: Gemini) -> None:
    url = f"{gemini.url}/v1beta/models/gemini-2.5-flash:predict"
    assert httpx.post(url, json={}, headers={"x-goog-api-key": "test-key"}).status_code == 404


def test_gemini_3_wants_its_signature_back(gemini: Gemini) -> None:
    def again(call: Json) -> httpx.Response:
        return ask(gemini, turn("hi"), model(call), turn(RESULT), name="gemini-3-pro-preview")

    assert "missing a thought_signature" in again(CALL).json()["error"]["message"]
    assert again({**CALL, "thoughtSignature": SIGNATURE}).status_code == 200


def test_gemini_3_wants_none_of_turns_gone_by(gemini: Gemini) -> None:
    past = [turn("hi"), model(CALL), turn(RESULT), model("so"), turn("on")]
    assert ask(gemini, *past, name="gemini-3-pro-preview").status_code == 200


@pytest.mark.parametrize("whole", [True, False])
def test_a_blocked_prompt_has_no_candidates(gemini: Gemini, whole: bool) -> None:
    gemini.script.add(Reply(blocked="PROHIBITED_CONTENT"))
    answer = ask(gemini, stream=not whole)
    body = answer.json() if whole else chunks(answer)[0]
    assert body["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}
    assert "candidates" not in body


@pytest.mark.parametrize(
    ("reply", "finish"),
    [(say("", finish_word="MALFORMED_FUNCTION_CALL"), "MALFORMED_FUNCTION_CALL"),
     (say("a", no_finish=True), None)],
)  # fmt: skip
def test_it_may_end_oddly(gemini: Gemini, reply: Reply, finish: str | None) -> None:
    gemini.script.add(reply)
    assert chunks(ask(gemini, stream=True))[-1]["candidates"][0].get("finishReason") == finish


BLOB: Json = {"mimeType": "image/png", "data": "aGk="}
GOOD: dict[str, tuple[list[Json], Json]] = {
    "snake case": (
        [turn({"inline_data": {"mime_type": "image/png", "data": "aGk="}})],
        {"system_instruction": {"parts": [{"text": "a"}]}, "generation_config": {"top_k": 1}},
    ),
    "a PDF": ([turn({"inlineData": {**BLOB, "mimeType": "application/pdf"}})], {}),
    "two calls with two results": ([turn("a"), model(CALL, CALL), turn(RESULT, RESULT)], {}),
    "any JSON schema in its own field": (
        [turn("a")],
        tools(parameters=None, parametersJsonSchema={"type": "object", "$schema": "x"}),
    ),
    "a search": ([turn("a")], {"tools": [{"googleSearch": {}}]}),
}


@pytest.mark.parametrize(("contents", "body"), GOOD.values(), ids=GOOD)
def test_what_gemini_takes_is_taken(gemini: Gemini, contents: list[Json], body: Json) -> None:
    gemini.script.add(call("Read"))
    answer = ask(gemini, *contents, **body)
    assert answer.status_code == 200, answer.text


def schema(**fields: Any) -> Json:
    return tools(parameters={"type": "OBJECT", "properties": {"a": fields}})


BAD: dict[str, tuple[list[Json], Json, str]] = {
    "a foreign field": ([turn("a")], {"metadata": {}}, 'Unknown name "metadata": Cannot find'),
    "a foreign setting": (
        [turn("a")],
        {"generationConfig": {"stop": []}},
        "\"stop\" at 'generation_config'",
    ),
    "a foreign part": ([turn({"image": {}})], {}, r'"image" at .contents.0..parts.0.'),
    "no contents": ([], {"contents": []}, "contents is not specified"),
    "no parts": ([turn()], {}, "parts must not be empty"),
    "an empty part": ([turn({})], {}, "required oneof field 'data'"),
    "two things in a part": ([turn({"text": "a", **CALL})], {}, "required oneof field 'data'"),
    "a foreign role": ([turn("a", role="assistant")], {}, "valid role"),
    "no base64": ([turn({"inlineData": {**BLOB, "data": "?"}})], {}, "Base64 decoding failed"),
    "a call unanswered": ([turn("a"), model(CALL), turn("b")], {}, "number of function response"),
    "one answer for two": ([turn("a"), model(CALL, CALL), turn(RESULT)], {}, "number of function"),
    "an answer to nothing": ([turn(RESULT)], {}, "number of function response"),
    "a call out of turn": ([model("a"), model(CALL), turn(RESULT)], {}, "after a user turn"),
    "a call at the end": ([turn("a"), model(CALL)], {}, "end with a user role"),
    "a name with a slash": ([turn("a")], tools(name="a/b"), "Invalid function name"),
    "a name that starts with 1": ([turn("a")], tools(name="1a"), "Invalid function name"),
    "$schema": ([turn("a")], tools(parameters={"$schema": "x"}), r'"\$schema" at'),
    "additionalProperties": (
        [turn("a")],
        tools(parameters={"type": "OBJECT", "additionalProperties": False}),
        'Unknown name "additionalProperties"',
    ),
    "const, deep": ([turn("a")], schema(anyOf=[{"const": 1}]), "properties.0..value.any_of.0."),
    "a list of types": ([turn("a")], schema(type=["string", "null"]), "cannot start list"),
    "an unknown type": ([turn("a")], schema(type="any"), "parameters.properties.0..value.type"),
    "an array of nothing": ([turn("a")], schema(type="ARRAY"), "items: missing field"),
    "an enum of numbers": ([turn("a")], schema(type="INTEGER", enum=[1]), "TYPE_STRING"),
    "required but not there": (
        [turn("a")],
        tools(parameters={**READ["parameters"], "required": ["b"]}),
        "required.0.: property is not defined",
    ),
    "an object of nothing": (
        [turn("a")],
        tools(parameters={"type": "OBJECT"}),
        "should be non-empty",
    ),
    "a nested object of nothing": (
        [turn("a")],
        schema(type="OBJECT", properties={}),
        r"properties.0..properties: should be non-empty",
    ),
    "a schema of true": (
        [turn("a")],
        tools(parameters={"type": "OBJECT", "properties": {"a": True}}),
        "expected an object",
    ),
    "an empty word": (
        [turn("a")],
        schema(type="STRING", enum=["a", ""]),
        "enum.1.: cannot be empty",
    ),
    "an enum of no type": ([turn("a")], schema(enum=["a"]), "only allowed for STRING type"),
    "a format": ([turn("a")], schema(type="STRING", format="uri"), "only 'enum' and 'date-time'"),
    "a tool twice": (
        [turn("a")],
        {"tools": [{"functionDeclarations": [READ, READ]}]},
        "Duplicate function declaration found: Read",
    ),
    "a choice of nothing": (
        [turn("a")],
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        "set without function_declarations",
    ),
    "names without a choice": (
        [turn("a")],
        {
            **tools(),
            "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["Read"]}},
        },
        "only when the mode is ANY",
    ),
    "JSON beside tools": (
        [turn("a")],
        {**tools(), "generationConfig": {"responseMimeType": "application/json"}},
        "'application/json' is unsupported",
    ),
    "an empty text": ([turn("")], {}, "required oneof field 'data'"),
    "a GIF": ([turn({"inlineData": {**BLOB, "mimeType": "image/gif"}})], {}, "image/gif"),
    "a large budget": (
        [turn("a")],
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 31999}}},
        "between 1 and 24576",
    ),
    "a level before Gemini 3": (
        [turn("a")],
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}},
        "not supported for this model",
    ),
    "six stops": ([turn("a")], {"generationConfig": {"stopSequences": ["a"] * 6}}, "at most 5"),
    "too many tokens": ([turn("a")], {"generationConfig": {"maxOutputTokens": 1001}}, "1001"),
    "budget and level": (
        [turn("a")],
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}},
        "only one of",
    ),
    "an unknown mode": (
        [turn("a")],
        {"toolConfig": {"functionCallingConfig": {"mode": "auto"}}},
        "function_calling_config.mode",
    ),
}


@pytest.mark.parametrize(("contents", "body", "why"), BAD.values(), ids=BAD)
def test_what_gemini_refuses_is_refused(
    gemini: Gemini, contents: list[Json], body: Json, why: str
) -> None:
    answer = ask(gemini, *contents, **body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["status"] == "INVALID_ARGUMENT"
    assert re.search(why, error["message"]), error["message"]
