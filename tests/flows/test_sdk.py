"""The official SDK as a client, while the first account is limited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import LIMIT, MODEL, Proxy

if TYPE_CHECKING:
    import anthropic  # at run time where it is used: who only collects this file need not wait

ASKED: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 2048,
    "messages": [{"role": "user", "content": "use the tool"}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tools": [
        {
            "name": "weather",
            "description": "The weather of a town.",
            "input_schema": {
                "type": "object",
                "properties": {"town": {"type": "string"}},
                "required": ["town"],
            },
        }
    ],
}


@pytest.fixture
def sdk(proxy: Proxy, sandbox: SandboxServer) -> Iterator[anthropic.Anthropic]:
    import anthropic

    sandbox.script("a", Reply(429))
    with anthropic.Anthropic(
        base_url=proxy.url, api_key="sk-ant-test-mine", max_retries=0, timeout=LIMIT
    ) as client:
        yield client


def check(answer: anthropic.types.Message) -> None:
    """Thinking, text perhaps, and a tool call with its input whole."""
    by_type = {block.type: block for block in answer.content}
    assert by_type["thinking"].signature  # type: ignore[union-attr]
    assert "town" in by_type["tool_use"].input  # type: ignore[union-attr, operator]
    assert answer.stop_reason == "tool_use"
    assert answer.usage.output_tokens > 0


def test_streamed(sdk: anthropic.Anthropic, sandbox: SandboxServer) -> None:
    with sdk.messages.stream(**ASKED) as stream:
        check(stream.get_final_message())
    assert [r.account for r in sandbox.requests] == ["a", "b"]


def test_whole(sdk: anthropic.Anthropic, sandbox: SandboxServer) -> None:
    check(sdk.messages.create(**ASKED))
    assert [r.account for r in sandbox.requests] == ["a", "b"]


def test_text_stream(sdk: anthropic.Anthropic) -> None:
    asked = ASKED | {"messages": [{"role": "user", "content": "hi"}]}
    with sdk.messages.stream(**asked) as stream:
        assert "".join(stream.text_stream)


def test_errors_are_the_sdks_own(sdk: anthropic.Anthropic) -> None:
    import anthropic

    with pytest.raises(anthropic.NotFoundError, match="not served here"):
        sdk.messages.create(**ASKED | {"model": "gpt-9"})


def test_all_limited(sdk: anthropic.Anthropic, sandbox: SandboxServer) -> None:
    import anthropic

    sandbox.script("b", Reply(429))
    with pytest.raises(anthropic.RateLimitError) as caught:
        sdk.messages.create(**ASKED)
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_models(sdk: anthropic.Anthropic) -> None:
    assert MODEL in [model.id for model in sdk.models.list(limit=5)]
    assert sdk.models.retrieve(MODEL).display_name == "Claude Sonnet 4.6"


def test_models_for_openais_sdk(sdk: anthropic.Anthropic) -> None:
    import openai

    with openai.OpenAI(base_url=f"{str(sdk.base_url).rstrip('/')}/v1", api_key="sk-test") as client:
        listed = {model.id: model for model in client.models.list()}
        assert client.models.retrieve(MODEL) == listed[MODEL]
        with pytest.raises(openai.NotFoundError, match="not served here") as caught:
            client.models.retrieve("openai/o9")
        assert caught.value.code == "model_not_found"
    assert (listed[MODEL].object, listed[MODEL].owned_by) == ("model", "anthropic")
    assert listed[MODEL].created > 1.7e9


def test_cut_stream_is_an_error_of_the_sdk(
    sdk: anthropic.Anthropic, sandbox: SandboxServer
) -> None:
    import anthropic

    sandbox.script("b", Reply(cut_after=6))
    with (
        pytest.raises(anthropic.APIStatusError, match="cut off"),
        sdk.messages.stream(**ASKED) as stream,
    ):
        stream.get_final_message()
