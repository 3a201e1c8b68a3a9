"""Anthropic's own SDK takes the sandbox for Anthropic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.sandbox.asking import KEY, TOKEN

if TYPE_CHECKING:
    import anthropic  # at run time where it is used: who only collects this file need not wait

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city", "days"],
    },
}


@pytest.fixture
def claude(sandbox: SandboxServer) -> Iterator[anthropic.Anthropic]:
    import anthropic

    with anthropic.Anthropic(api_key=KEY, base_url=sandbox.url, max_retries=0, timeout=5) as client:
        yield client


def asked(text: str = "Hello", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return {"model": "claude-sonnet-4-6", "max_tokens": 2000, "messages": messages, **more}


def streamed(claude: anthropic.Anthropic, request: Any) -> Any:
    with claude.messages.stream(**request) as stream:
        return stream.get_final_message()


def created(claude: anthropic.Anthropic, request: Any) -> Any:
    return claude.messages.create(**request)


pytestmark = pytest.mark.parametrize("call", [created, streamed])


def test_text(claude: anthropic.Anthropic, call: Any) -> None:
    message = call(claude, asked())
    assert "Account a (API key) answers" in message.content[0].text
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 1
    assert message.usage.output_tokens > 1


def test_thinking(claude: anthropic.Anthropic, call: Any) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    thought, text = call(claude, asked(thinking=thinking)).content
    assert (thought.type, text.type) == ("thinking", "text")
    assert thought.thinking
    assert thought.signature


def test_tools(claude: anthropic.Anthropic, call: Any) -> None:
    message = call(claude, asked("Use the tool, please.", tools=[TOOL]))
    (block,) = message.content
    assert (block.type, block.name) == ("tool_use", "get_weather")
    assert block.input == {"city": "sandbox", "days": 1}
    assert message.stop_reason == "tool_use"


def test_a_conversation_with_a_tool(claude: anthropic.Anthropic, call: Any) -> None:
    request = asked("Use the tool, please.", tools=[TOOL])
    first = call(claude, request)
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "sunny"}
    request["messages"] += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    assert call(claude, request).content[0].type == "text"


def test_a_rate_limit(sandbox: SandboxServer, claude: anthropic.Anthropic, call: Any) -> None:
    import anthropic

    sandbox.script("a", Reply(429, headers={"retry-after": "2"}))
    with pytest.raises(anthropic.RateLimitError) as limited:
        call(claude, asked())
    assert limited.value.response.headers["retry-after"] == "2"
    assert limited.value.request_id == sandbox.requests[0].request_id


def test_an_error_within(sandbox: SandboxServer, claude: anthropic.Anthropic, call: Any) -> None:
    import anthropic

    sandbox.script("a", Reply(error_after=3))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        call(claude, asked())


def test_a_subscription(sandbox: SandboxServer, call: Any) -> None:
    import anthropic

    beta = {"anthropic-beta": "oauth-2025-04-20"}
    with anthropic.Anthropic(
        auth_token=TOKEN, base_url=sandbox.url, default_headers=beta, timeout=5
    ) as claude:
        message = call(claude, asked())
    assert "Account o (subscription) answers" in message.content[0].text


def test_models_and_counts(claude: anthropic.Anthropic, call: Any) -> None:
    assert call
    models = [model.id for model in claude.models.list()]
    assert "claude-sonnet-4-6" in models
    request = asked()
    del request["max_tokens"]
    assert claude.messages.count_tokens(**request).input_tokens > 0
