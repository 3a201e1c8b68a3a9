"""OpenAI's SDK as a client of the Responses API: it checks each answer and event against its own types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import BaseModel

from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.core.openai.answers import message, streamed, text
from tests.flows.harness import LIMIT, MODEL, Proxy, account
from tests.responses_stream import validate

if TYPE_CHECKING:
    import openai  # at run time where it is used: who only collects this file need not wait

TOOL: Any = {
    "type": "function", "name": "weather", "description": "The weather of a town.", "strict": True,
    "parameters": {
        "type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"],
        "additionalProperties": False,
    },
}  # fmt: skip
PATCH = '*** Begin Patch\n+"\U0001f600"\n*** End Patch'


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Proxy, SandboxServer]]:
    with ExitStack() as stack:
        accounts = [Account(name, f"sk-ant-test-{name}") for name in "ab"]
        upstream = stack.enter_context(SandboxServer(accounts))
        proxy = Proxy([account("a", upstream.url), account("b", upstream.url)])
        yield stack.enter_context(proxy), upstream


@pytest.fixture
def sandbox(running: tuple[Proxy, SandboxServer]) -> SandboxServer:
    """Upstream, whose first account is limited once."""
    proxy, upstream = running
    for each in proxy.accounts:
        proxy.runtime.pool.reset(each.key)
        upstream.script(each.label, Reply())
    upstream.script("a", Reply(429))
    return upstream


@pytest.fixture(scope="module")
def client(running: tuple[Proxy, SandboxServer]) -> Iterator[openai.OpenAI]:
    import openai

    with openai.OpenAI(
        base_url=f"{running[0].url}/v1",
        api_key="sk-test",
        max_retries=0,
        timeout=LIMIT,
        _strict_response_validation=True,
    ) as client:
        yield client


def answers(
    sandbox: SandboxServer, *content: Any, stop: str = "end_turn", stream: bool = True
) -> None:
    """Let the second account answer with this."""
    answer = message(*content, stop_reason=stop)
    body = streamed(answer) if stream else json.dumps(answer).encode()
    kind = "text/event-stream" if stream else "application/json"
    sandbox.script("b", Reply(body=body, content_type=kind))


def sent(sandbox: SandboxServer) -> list[Any]:
    """Return the messages of the last request that upstream got."""
    messages: list[Any] = json.loads(sandbox.requests[-1].body)["messages"]
    return messages


def test_a_response(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    made = client.responses.create(model=MODEL, input="hello", instructions="Be brief.")
    assert made.output_text
    assert (made.status, made.instructions, made.model) == ("completed", "Be brief.", MODEL)
    assert made.usage
    assert made.usage.total_tokens > 0
    assert [r.account for r in sandbox.requests[-2:]] == ["a", "b"]


def test_streamed_events(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    with client.responses.create(model=MODEL, input="hi", stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "".join(words) != ""


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        pytest.param(Reply(), "completed", id="good"),
        pytest.param(Reply(cut_after=7), "failed", id="cut"),
        pytest.param(Reply(no_stop=True), "failed", id="no end"),
    ],
)
def test_a_stream_is_as_openai_s_schema_says(
    running: tuple[Proxy, SandboxServer], sandbox: SandboxServer, trouble: Reply, status: str
) -> None:
    sandbox.script("b", trouble)
    asked = {"model": MODEL, "input": "use the tool", "tools": [TOOL], "stream": True}
    answer = httpx.post(f"{running[0].url}/v1/responses", json=asked, timeout=LIMIT)
    assert validate(answer.content).body["status"] == status


def test_the_sdk_s_own_stream(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    asked: Any = {"model": MODEL, "input": "use the tool", "tools": [TOOL]}
    with client.responses.stream(**asked, reasoning={"effort": "low"}) as stream:
        arguments = ""
        for event in stream:
            if event.type == "response.function_call_arguments.delta":
                arguments = event.snapshot
        made = stream.get_final_response()
    reasoning, *_, call = made.output
    assert (reasoning.type, call.type) == ("reasoning", "function_call")
    assert call.arguments == arguments  # type: ignore[union-attr]
    assert "town" in call.parsed_arguments  # type: ignore[union-attr, operator]


class Town(BaseModel):
    name: str
    people: int


def test_an_answer_is_parsed(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    said = text('```json\n{"name": "Ulm", "people": 130000}\n```')
    answers(sandbox, said, stream=False)
    made = client.responses.parse(model=MODEL, input="Ulm?", text_format=Town)
    assert made.output_parsed == Town(name="Ulm", people=130000)
    answers(sandbox, said)
    with client.responses.stream(model=MODEL, input="Ulm?", text_format=Town) as stream:
        assert stream.get_final_response().output_parsed == made.output_parsed


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_thinking_is_kept_over_turns(
    client: openai.OpenAI, sandbox: SandboxServer, stream: bool
) -> None:
    """The sandbox checks the signature of what comes back, as Anthropic does."""
    asked: Any = [{"role": "user", "content": "use the tool"}]
    members: Any = {
        "model": MODEL, "tools": [TOOL], "store": False, "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip

    def respond() -> Any:
        if not stream:
            return client.responses.create(input=asked, **members)
        with client.responses.stream(input=asked, **members) as events:
            return events.get_final_response()

    made = respond()
    asked += made.output
    for item in made.output:
        if item.type == "function_call":
            answer = {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
            asked.append(answer)
    assert respond().output_text
    kinds = [block["type"] for block in sent(sandbox)[1]["content"]]
    assert (kinds[0], kinds[-1]) == ("thinking", "tool_use")


def test_a_conversation_by_ids(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    first = client.responses.create(model=MODEL, input="hi")
    second = client.responses.create(model=MODEL, input="go on", previous_response_id=first.id)
    assert len(sent(sandbox)) == 3
    assert client.responses.retrieve(second.id) == second
    [item] = client.responses.input_items.list(second.id)
    assert item.type == "message"
    client.responses.delete(second.id)


def test_a_custom_tool(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    given = {"input": PATCH}
    call = {"type": "tool_use", "id": "toolu_1", "name": "apply_patch", "input": given}
    answers(sandbox, call, stop="tool_use")
    tools: Any = [{"type": "custom", "name": "apply_patch"}]
    with client.responses.stream(model=MODEL, input="patch it", tools=tools) as stream:
        deltas = [e.delta for e in stream if e.type == "response.custom_tool_call_input.delta"]
        made = stream.get_final_response()
    [item] = made.output
    assert item.type == "custom_tool_call"
    assert (item.call_id, item.input) == ("toolu_1", PATCH)
    assert "".join(deltas) == PATCH


def test_an_answer_that_is_broken_off(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    answers(sandbox, text("half"), stop="max_tokens", stream=False)
    made = client.responses.create(model=MODEL, input="hi", max_output_tokens=16)
    assert made.incomplete_details
    assert made.incomplete_details.reason == "max_output_tokens"
    assert (made.status, made.output_text) == ("incomplete", "half")


def test_errors_are_the_sdks_own(client: openai.OpenAI, sandbox: SandboxServer) -> None:
    import openai

    with pytest.raises(openai.NotFoundError, match="gpt-9") as missing:
        client.responses.create(model="gpt-9", input="hi")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.create(model=MODEL, input=[{"role": "nobody", "content": "hi"}])  # type: ignore[list-item, misc]
    assert wrong.value.param == "input[0].role"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model=MODEL, input="hi", previous_response_id="resp_x")
    assert unknown.value.code == "previous_response_not_found"
    sandbox.script("b", Reply(429))
    with pytest.raises(openai.RateLimitError) as limited:
        client.responses.create(model=MODEL, input="hi")
    assert int(limited.value.response.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    "trouble", [Reply(cut_after=5), Reply(error_after=5, error_type="api_error")]
)
def test_a_stream_that_breaks_is_an_error(
    client: openai.OpenAI, sandbox: SandboxServer, trouble: Reply
) -> None:
    import openai

    sandbox.script("b", trouble)
    with (
        pytest.raises(openai.APIError) as broken,
        client.responses.stream(model=MODEL, input="hi") as stream,
    ):
        stream.get_final_response()
    assert broken.value.code == "server_error"
