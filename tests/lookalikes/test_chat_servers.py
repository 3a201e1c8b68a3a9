"""Servers that speak OpenAI's Chat Completions in their own way: what each takes, refuses, and answers."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.lookalikes.azure import Azure
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.deepseek import DeepSeek
from tests.lookalikes.groq import Groq
from tests.lookalikes.kimi import Kimi
from tests.lookalikes.minimax import MiniMax
from tests.lookalikes.mistral import Mistral
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.openrouter import OpenRouter
from tests.lookalikes.script import Call, Reply, call, calls, say, think
from tests.lookalikes.self_hosted import VLLM, LMStudio
from tests.lookalikes.xai import XAI

Json = dict[str, Any]

SERVERS: dict[str, tuple[type[ChatServer], str]] = {
    "openai": (OpenAIChat, "gpt-4o"),
    "mistral": (Mistral, "devstral-medium-latest"),
    "deepseek": (DeepSeek, "deepseek-chat"),
    "kimi": (Kimi, "kimi-k2-turbo-preview"),
    "groq": (Groq, "openai/gpt-oss-120b"),
    "openrouter": (OpenRouter, "openai/gpt-4o"),
    "xai": (XAI, "grok-4"),
    "minimax": (MiniMax, "MiniMax-M2"),
    "vllm": (VLLM, "qwen3"),
    "lmstudio": (LMStudio, "qwen3"),
    "azure": (Azure, "gpt-4o"),
}
USER: Json = {"role": "user", "content": "hi"}
SCHEMA: Json = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
ID = "abcdef123"


def tool(name: str = "Read", schema: Any = SCHEMA) -> Json:
    function = {"name": name, "description": "Reads.", "parameters": schema}
    return {"type": "function", "function": function}


def called(*ids: str, **more: Any) -> Json:
    function = {"name": "Read", "arguments": '{"path": "a"}'}
    made = [{"id": each, "type": "function", "function": function} for each in ids or (ID,)]
    return {"role": "assistant", "content": "", "tool_calls": made, **more}


def result(identity: str = ID, content: Any = "42") -> Json:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def ask(server: ChatServer, model: str, *messages: Json, **body: Any) -> httpx.Response:
    path = server.paths[0].format(deployment=model)
    url = f"{server.url}{path}?api-version=2024-10-21"
    headers = {"authorization": "Bearer test-key"}
    asked = {"model": model, "messages": list(messages or (USER,)), **body}
    return httpx.post(url, json=asked, headers=headers)


@pytest.fixture(params=list(SERVERS.values()), ids=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Any:
    made, model = request.param
    with made() as server:
        yield server, model


GOOD: dict[str, tuple[list[Json], Json]] = {
    "a text": ([USER], {}),
    "a system prompt": ([{"role": "system", "content": "Be brief."}, USER], {}),
    "tools": ([USER], {"tools": [tool()], "tool_choice": "auto", "max_tokens": 100}),
    "a round of tools": ([USER, called(), result()], {"tools": [tool()]}),
    "two calls": (
        [USER, called("abcdef123", "abcdef124"), result("abcdef123"), result("abcdef124")],
        {"tools": [tool()]},
    ),
}


@pytest.mark.parametrize(("messages", "body"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_all_take(server: Any, messages: list[Json], body: Json, stream: bool) -> None:
    answer = ask(*server, *messages, **body, stream=stream)
    assert answer.status_code == 200, answer.text


ROUND = [USER, called(), result()]
MANY = {"tools": [tool(f"t{number}") for number in range(201)]}
JSON_FORM = {"type": "json_schema", "json_schema": {"name": "form", "schema": SCHEMA}}
NAMED = {"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "Read"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}
BAD: dict[str, tuple[str, str, list[Json], Json, str]] = {
    "a long id at OpenAI": ("openai", "", [USER, called("x" * 41), result("x" * 41)], {}, "length 40"),
    "an id twice at OpenAI": ("openai", "", [USER, called("a", "a"), result("a"), result("a")], {}, "Duplicate"),
    "no properties at OpenAI": (
        "openai", "", [USER], {"tools": [tool(schema={"type": "object"})]}, "missing properties"),
    "any of two at OpenAI": ("openai", "", [USER], {"tools": [tool(schema={**SCHEMA, "anyOf": []})]}, "top level"),
    "a list of anything at OpenAI": (
        "openai", "", [USER],
        {"tools": [tool(schema={**SCHEMA, "properties": {"a": {"type": "array"}}})]}, "missing items"),
    "a tuple at OpenAI": (
        "openai", "", [USER],
        {"tools": [tool(schema={**SCHEMA, "properties": {"a": {"type": "array", "items": [{}]}}})]}, "not of type"),
    "an effort of gpt-4o": ("openai", "", [USER], {"reasoning_effort": "low"}, "Unrecognized"),
    "stops of gpt-5": ("openai", "gpt-5", [USER], {"stop": ["a"]}, "'stop' is not supported"),
    "top_p of gpt-5": ("openai", "gpt-5", [USER], {"top_p": 0.5}, "'top_p' does not support"),
    "a loose strict form": (
        "openai", "", [USER], {"response_format": {**JSON_FORM, "json_schema": {
            "name": "form", "schema": SCHEMA, "strict": True}}}, "additionalProperties"),
    "words after a result": ("mistral", "", [*ROUND, USER], {}, "Unexpected role 'user' after role 'tool'"),
    "a long id at Mistral": ("mistral", "", [USER, called("call_1"), result("call_1")], {}, "length of 9"),
    "an own last word": ("mistral", "", [USER, {"role": "assistant", "content": "so"}], {}, "Expected last role"),
    "a foreign member": ("mistral", "", [USER], {"stream_options": {}}, "Extra inputs are not permitted"),
    "a foreign member of a message": (
        "mistral", "", [USER, {"role": "assistant", "content": "a", "reasoning_content": "b"}, USER], {},
        "Extra inputs are not permitted"),
    "an empty own message": ("mistral", "", [USER, {"role": "assistant", "content": ""}, USER], {}, "but not none"),
    "no thoughts at DeepSeek": ("deepseek", "deepseek-reasoner", ROUND, {}, "Missing `reasoning_content`"),
    "a form at DeepSeek": ("deepseek", "", [USER], {"response_format": JSON_FORM}, "unavailable now"),
    "JSON without a word of it": ("deepseek", "", [USER], {"response_format": {"type": "json_object"}}, "'json'"),
    "an image at DeepSeek": ("deepseek", "", [{"role": "user", "content": [IMAGE]}], {}, "unknown variant"),
    "a choice of a thinker": ("deepseek", "deepseek-reasoner", [USER], NAMED, "does not support this tool_choice"),
    "an id again at Kimi": ("kimi", "", [*ROUND, called(), result()], {}, "duplicated"),
    "no thoughts at Kimi": ("kimi", "kimi-k2.5", ROUND, {}, "reasoning_content is missing"),
    "an untyped property at Kimi": (
        "kimi", "", [USER], {"tools": [tool(schema={**SCHEMA, "properties": {"a": {}}})]}, "type is not defined"),
    "a name with a digit first": ("kimi", "", [USER], {"tools": [tool("1st")]}, "must start with a letter"),
    "an empty text at Kimi": ("kimi", "", [{"role": "user", "content": ""}], {}, "must not be empty"),
    "a hot Kimi": ("kimi", "", [USER], {"temperature": 1.5}, "invalid temperature"),
    "a forced call at Kimi": ("kimi", "", [USER], {"tools": [tool()], "tool_choice": "required"}, "Invalid value"),
    "too many tools at Groq": ("groq", "", [USER], MANY, "maximum number of items is 128"),
    "thoughts at Groq": ("groq", "", [USER, called(reasoning_content="x"), result()], {}, "is unsupported"),
    "a foreign member at Groq": ("groq", "", [USER], {"thinking": {}}, "property 'thinking' is unsupported"),
    "a form beside tools at Groq": (
        "groq", "", [USER], {"tools": [tool()], "response_format": JSON_FORM}, "cannot be combined"),
    "parts of a system prompt at Groq": (
        "groq", "", [{"role": "system", "content": [{"type": "text", "text": "a"}]}, USER], {}, "must be a string"),
    "a picture at Groq": ("groq", "", [{"role": "user", "content": [IMAGE]}], {}, "must be a string"),
    "stops of Grok": ("xai", "", [USER], {"stop": ["a"]}, "not supported on this model: stop"),
    "an effort of Grok 4": ("xai", "", [USER], {"reasoning_effort": "low"}, "reasoningEffort"),
    "nothing but calls at xAI": ("xai", "", [USER, called(content=None), result()], {}, "content element"),
    "too many tools at xAI": ("xai", "", [USER], MANY, "maximum length 200"),
    "no parameters at MiniMax": ("minimax", "", [USER], {"tools": [tool(schema=None)]}, "parameters is empty"),
    "a late system prompt at MiniMax": (
        "minimax", "", [USER, {"role": "system", "content": "a"}], {}, "invalid message role: system"),
    "words and words at vLLM": ("vllm", "", [USER, USER], {}, "must alternate"),
    "a choice of nothing at vLLM": ("vllm", "", [USER], {"tool_choice": "auto"}, "must be set"),
    "a named choice at LM Studio": ("lmstudio", "", [USER], NAMED, "Invalid tool_choice type"),
    "JSON at LM Studio": (
        "lmstudio", "", [USER], {"response_format": {"type": "json_object"}}, "must be 'json_schema'"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "model", "messages", "body", "why"), BAD.values(), ids=BAD)
def test_what_each_refuses(
    name: str, model: str, messages: list[Json], body: Json, why: str
) -> None:
    made, usual = SERVERS[name]
    with made() as server:
        answer = ask(server, model or usual, *messages, **body)
    assert answer.status_code in (400, 422)
    assert re.search(why, json.dumps(answer.json()).replace('\\"', '"')), answer.text


@pytest.mark.parametrize(
    ("wants", "told", "later", "status"),
    [("loop", True, False, 200), ("loop", False, False, 400), ("loop", False, True, 200),
     ("always", False, True, 400), ("always", True, True, 200), ("never", True, False, 400)],
)  # fmt: skip
def test_deepseeks_thoughts(wants: Any, told: bool, later: bool, status: int) -> None:
    thoughts = {"reasoning_content": "hm"} if told else {}
    messages = [USER, called(**thoughts), result()]
    messages += [{"role": "assistant", "content": "so"}, USER] if later else []
    with DeepSeek(wants) as server:
        assert ask(server, "deepseek-reasoner", *messages).status_code == status


def events(answer: httpx.Response) -> list[Json]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def deltas(answer: httpx.Response) -> list[Json]:
    return [c["choices"][0]["delta"] for c in events(answer) if c["choices"]]


def streamed(made: type[ChatServer], model: str, reply: Reply) -> httpx.Response:
    with made() as server:
        server.script.add(reply)
        return ask(server, model, stream=True, tools=[tool()])


@pytest.mark.parametrize(
    ("name", "known"),
    [("mistral", "Mi00001x1"), ("kimi", "functions.Read:1"), ("xai", "call_1"),
     ("vllm", "chatcmpl-tool-" + f"{101:032x}"), ("lmstudio", "100000101")],
)  # fmt: skip
def test_ids_have_the_servers_own_form(name: str, known: str) -> None:
    answer = streamed(*SERVERS[name], calls(Call("Read"), Call("Read")))
    ids = [c["id"] for d in deltas(answer) for c in d.get("tool_calls", ()) if "id" in c]
    assert ids[1] == known


def test_ids_of_the_script_go_before() -> None:
    answer = streamed(OpenAIChat, "gpt-4o", Reply(calls=(Call("Read"),), ids=("same",)))
    assert "same" in answer.text


@pytest.mark.parametrize(
    ("reply", "finish", "done"),
    [(say("a"), "stop", True), (say("a", no_finish=True), None, True),
     (say("a", no_finish=True, no_done=True), None, False),
     (say("a", finish_word="insufficient_system_resource"), "insufficient_system_resource", True)],
    ids=["as usual", "no reason", "nothing", "its own word"],
)  # fmt: skip
def test_how_a_stream_ends(reply: Reply, finish: str | None, done: bool) -> None:
    answer = streamed(OpenAIChat, "gpt-4o", reply)
    assert events(answer)[-1]["choices"][0]["finish_reason"] == finish
    assert answer.text.endswith("[DONE]\n\n") == done


@pytest.mark.parametrize("repeats", ["id", "name", "both"])
def test_pieces_may_repeat_what_was_told(repeats: Any) -> None:
    reply = Reply(calls=(Call("Read", {"path": "abcdefghijkl"}),), repeats=repeats)
    later = [d["tool_calls"][0] for d in deltas(streamed(OpenAIChat, "gpt-4o", reply))[2:-1]]
    assert all(("id" in c) == (repeats in ("id", "both")) for c in later)
    assert all(("name" in c["function"]) == (repeats in ("name", "both")) for c in later)


def test_calls_may_share_an_index() -> None:
    reply = calls(Call("Read"), Call("Read"), shares_index=True)
    made = [c for d in deltas(streamed(VLLM, "qwen3", reply)) for c in d.get("tool_calls", ())]
    assert {c["index"] for c in made} == {0}
    assert len({c["id"] for c in made if "id" in c}) == 2


def test_a_refusal_is_no_text() -> None:
    made = deltas(streamed(OpenAIChat, "gpt-4o", Reply(refusal="I can't do that.")))
    assert "".join(d.get("refusal") or "" for d in made) == "I can't do that."
    assert not any(d.get("content") for d in made)


@pytest.mark.parametrize(
    ("name", "member"), [("deepseek", "reasoning_content"), ("openrouter", "reasoning")]
)
def test_thoughts_have_a_member(name: str, member: str) -> None:
    made = deltas(streamed(*SERVERS[name], think("hm", "so")))
    assert "".join(d.get(member) or "" for d in made) == "hm"


def test_usage_comes_with_the_reason_where_nobody_asks() -> None:
    last = events(streamed(Mistral, "m", say("a")))[-1]
    assert (last["usage"]["prompt_tokens"], last["choices"][0]["finish_reason"]) == (11, "stop")


def test_calls_of_mistral_come_whole() -> None:
    made = deltas(streamed(Mistral, "m", call("Read", path="abcdefghijkl")))
    (piece,) = (d["tool_calls"][0] for d in made if "tool_calls" in d)
    assert json.loads(piece["function"]["arguments"]) == {"path": "abcdefghijkl"}


def test_azure_wants_a_version() -> None:
    with Azure() as server:
        url = f"{server.url}/openai/deployments/gpt-4o/chat/completions"
        body = {"messages": [USER]}
        assert httpx.post(url, json=body, headers={"api-key": "k"}).status_code == 404
        url += "?api-version=2024-10-21"
        assert httpx.post(url, json=body, headers={"api-key": "k"}).status_code == 200
