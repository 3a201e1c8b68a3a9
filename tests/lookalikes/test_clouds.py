"""Claude on the clouds, and Bedrock's Converse: what they refuse, and how they answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from botocore.eventstream import EventStreamBuffer

from tests.lookalikes.bedrock import Bedrock
from tests.lookalikes.claude_clouds import AzureClaude
from tests.lookalikes.script import Call, Reply, calls, say, think
from tests.lookalikes.vertex import VertexClaude, VertexGemini

Json = dict[str, Any]
USER: Json = {"role": "user", "content": "hi"}
TOOL: Json = {
    "name": "Read",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
USE: Json = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}
ROUND = [
    USER,
    {"role": "assistant", "content": [USE]},
    {"role": "user", "content": [RESULT]},
]
HEADERS = {"authorization": "Bearer test-key", "anthropic-version": "2023-06-01"}


def messages(cloud: Any, *given: Json, stream: bool = False, **body: Any) -> httpx.Response:
    asked = {"max_tokens": 100, "messages": list(given or (USER,)), **body}
    if isinstance(cloud, AzureClaude):
        path = cloud.paths[0]
        asked |= {"model": "claude-x", "stream": stream}
    else:
        path = "/model/anthropic.claude-x-v1%3A0/invoke" + "-with-response-stream" * stream
        asked["anthropic_version"] = "bedrock-2023-05-31"
    return httpx.post(cloud.url + path, json=asked, headers=HEADERS)


@pytest.mark.parametrize(
    ("made", "publisher", "model", "call", "body"),
    [(VertexGemini, "google", "gemini-2.5-flash", "generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
     (VertexClaude, "anthropic", "claude", "rawPredict",
      {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [USER]})],
    ids=["gemini", "claude"],
)  # fmt: skip
def test_vertex_wants_a_token_of_its_own(
    made: Any, publisher: str, model: str, call: str, body: Json
) -> None:
    with made() as vertex:
        url = f"{vertex.url}/v1/projects/p/locations/l/publishers/{publisher}/models/{model}:{call}"
        assert httpx.post(url, json=body, headers=HEADERS).status_code == 401
        token = httpx.post(f"{vertex.url}/token").json()["access_token"]
        answer = httpx.post(url, json=body, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text


@pytest.fixture(params=[AzureClaude, Bedrock], ids=["azure", "bedrock"])
def cloud(request: pytest.FixtureRequest) -> Any:
    with request.param() as cloud:
        yield cloud


def told(cloud: Any, answer: httpx.Response) -> list[Json]:
    """The events of a stream of Messages."""
    assert answer.status_code == 200, answer.text
    if isinstance(cloud, AzureClaude):
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines]
    return [json.loads(base64.b64decode(payload["bytes"])) for _, payload in frames(answer)]


def frames(answer: httpx.Response) -> list[tuple[str, Json]]:
    """What botocore reads: kinds and payloads."""
    buffer = EventStreamBuffer()
    buffer.add_data(answer.content)
    return [
        (str(each.headers.get(":event-type", each.headers.get(":exception-type"))),
         json.loads(each.payload))
        for each in buffer
    ]  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        ([USER], {}),
        (ROUND, {"tools": [TOOL]}),
        ([USER], {"system": [{"type": "text", "text": "a"}]}),
    ],
    ids=["a text", "a round", "a system prompt"],
)
def test_what_they_take(cloud: Any, given: Any) -> None:
    for stream in (True, False):
        assert messages(cloud, *given[0], stream=stream, **given[1]).status_code == 200


THINK = {"type": "enabled", "budget_tokens": 1024}
BAD: dict[str, tuple[list[Json], Json, str]] = {
    "a foreign field": ([USER], {"stop": ["a"]}, "stop: Extra inputs"),
    "a foreign member": ([{**USER, "name": "x"}], {}, "messages.0.name: Extra inputs"),
    "a blank text": ([{"role": "user", "content": " "}], {}, "non-whitespace"),
    "no content": ([{"role": "user", "content": []}], {}, "non-empty content"),
    "a system message": ([{"role": "system", "content": "a"}], {}, 'Unexpected role "system"'),
    "a call unanswered": ([*ROUND[:2], USER], {"tools": [TOOL]}, "without `tool_result`"),
    "an id again": ([*ROUND, *ROUND[1:]], {"tools": [TOOL]}, "ids must be unique"),
    "no tools": (ROUND, {}, "must define tools"),
    "no object": ([USER], {"tools": [{**TOOL, "input_schema": {}}]}, "Input should be 'object'"),
    "a small budget": ([USER], {"thinking": {**THINK, "budget_tokens": 1}}, "1024"),
    "a large budget": ([USER], {"thinking": THINK}, "must be greater than"),
    "forced while thinking": (
        [USER], {"thinking": THINK, "max_tokens": 2000, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "when tool_choice forces"),
    "a loop without thoughts": (
        ROUND, {"thinking": THINK, "max_tokens": 2000, "tools": [TOOL]}, "but found `tool_use`"),
    "thoughts unsigned": (
        [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": ""}]}, USER], {},
        "signature: Field required"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "body", "why"), BAD.values(), ids=BAD)
def test_what_they_refuse(cloud: Any, given: list[Json], body: Json, why: str) -> None:
    answer = messages(cloud, *given, **body)
    assert answer.status_code == 400
    assert why in str(answer.json()), answer.text


def test_a_stream_of_messages(cloud: Any) -> None:
    cloud.script.add(Reply(thinking="hm", text="so", calls=(Call("Read", {"path": "a"}),)))
    events = told(cloud, messages(cloud, tools=[TOOL], stream=True))
    started = [e["content_block"]["type"] for e in events if e["type"] == "content_block_start"]
    assert started == ["thinking", "text", "tool_use"]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_bedrocks_errors_come_as_exceptions() -> None:
    with Bedrock() as bedrock:
        bedrock.script.add(say("some words" * 9, error_after=2, message="boom"))
        kind, payload = frames(messages(bedrock, stream=True))[-1]
    assert (kind, payload["message"]) == ("modelStreamErrorException", "boom")


def converse(bedrock: Bedrock, *given: Json, stream: bool = False, **body: Any) -> httpx.Response:
    path = "/model/amazon.nova-pro-v1%3A0/converse" + "-stream" * stream
    asked = {"messages": list(given), **body}
    return httpx.post(bedrock.url + path, json=asked, headers=HEADERS)


ASKS: Json = {"role": "user", "content": [{"text": "hi"}]}
USES: Json = {
    "role": "assistant",
    "content": [{"toolUse": {"toolUseId": "t1", "name": "Read", "input": {}}}],
}
GIVES: Json = {
    "role": "user",
    "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "42"}]}}],
}
SPEC: Json = {"name": "Read", "inputSchema": {"json": {"type": "object", "properties": {}}}}
CONFIG: Json = {"toolConfig": {"tools": [{"toolSpec": SPEC}]}}


def spec(**more: Any) -> Json:
    return {"toolConfig": {"tools": [{"toolSpec": {**SPEC, **more}}]}}


def test_converse_streams_its_own_events() -> None:
    with Bedrock() as bedrock:
        bedrock.script.add(calls(Call("Read", {"path": "abcdefgh"}), text="So.", thinking="hm"))
        came = frames(converse(bedrock, ASKS, stream=True, **CONFIG))
    kinds = [kind for kind, _ in came]
    assert (kinds[0], kinds[-2:]) == ("messageStart", ["messageStop", "metadata"])
    starts = [p["start"]["toolUse"]["name"] for k, p in came if k == "contentBlockStart"]
    assert starts == ["Read"]
    assert came[-2][1]["stopReason"] == "tool_use"


def test_converse_answers_whole() -> None:
    with Bedrock() as bedrock:
        bedrock.script.add(think("hm", "so"))
        body = converse(bedrock, ASKS).json()
    assert body["output"]["message"]["content"][1] == {"text": "so"}


@pytest.mark.parametrize("given", [[ASKS], [ASKS, USES, GIVES]], ids=["a text", "a round"])
def test_what_converse_takes(given: list[Json]) -> None:
    with Bedrock() as bedrock:
        assert converse(bedrock, *given, **CONFIG).status_code == 200


IMAGE = {"image": {"format": "png", "source": {"bytes": "aGk="}}}
CONVERSE_BAD: dict[str, tuple[list[Json], Json, str]] = {
    "a foreign field": ([ASKS], {"stop": []}, "extraneous key [stop]"),
    "a foreign block": ([{"role": "user", "content": [{"words": "a"}]}], {}, "extraneous key [words]"),
    "a blank text": ([{"role": "user", "content": [{"text": "\n"}]}], {}, "is blank"),
    "no content": ([{"role": "user", "content": []}], {}, "is empty"),
    "the assistant first": ([{**ASKS, "role": "assistant"}], {}, "must start with a user message"),
    "two of the user": ([ASKS, ASKS], {}, "must alternate"),
    "no tools": ([ASKS, USES, GIVES], {}, "toolConfig field must be defined"),
    "a call unanswered": ([ASKS, USES, ASKS], CONFIG, "Expected toolResult blocks"),
    "an answer to nothing": ([GIVES], CONFIG, "exceeds the number"),
    "a long name": ([ASKS], spec(name="x" * 65), "toolSpec.name"),
    "an empty description": ([ASKS], spec(description=""), "toolSpec.description"),
    "no object": ([ASKS], spec(inputSchema={"json": {}}), "one of the following: object"),
    "an odd picture": (
        [{"role": "user", "content": [{"image": {**IMAGE["image"], "format": "bmp"}}]}], {}, "image.format"),
    "a call of a text": (
        [ASKS, {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "Read", "input": "a"}}]},
         GIVES], CONFIG, "toolUse.input is invalid"),
    "a long id": (
        [ASKS, {"role": "assistant", "content": [{"toolUse": {"toolUseId": "x" * 65, "name": "Read", "input": {}}}]}],
        CONFIG, "toolUseId"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "body", "why"), CONVERSE_BAD.values(), ids=CONVERSE_BAD)
def test_what_converse_refuses(given: list[Json], body: Json, why: str) -> None:
    with Bedrock() as bedrock:
        answer = converse(bedrock, *given, **body)
    assert answer.status_code == 400
    assert why in answer.json()["message"], answer.text


def test_a_key_is_needed(cloud: Any) -> None:
    path = (
        cloud.paths[0].format(**{"model:path": "m"})
        if isinstance(cloud, AzureClaude)
        else "/model/m/invoke"
    )
    assert httpx.post(cloud.url + path, json={}).status_code in (401, 403)
