"""LiteLLM in front of the look-alikes: what the translator can rely on, and what it has to mend.

The second kind tells of LiteLLM's flaws. When such a test fails after an upgrade, a flaw is gone:
the mending in the translator may go too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.anthropic_stream import BrokenStream
from tests.lookalikes.gemini import Gemini
from tests.lookalikes.litellm_process import LiteLLM, Outcome
from tests.lookalikes.ollama import Ollama
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.script import Call, Reply, call, calls, fail, say, think
from tests.lookalikes.server import Lookalike

pytestmark = [
    pytest.mark.real("litellm"),
    pytest.mark.timeout(120),
]  # the first test imports LiteLLM

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}
READ: Json = {
    "name": "Read",
    "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "limit": {"type": ["integer", "null"]}},
        "required": ["file_path"],
        "additionalProperties": False,
    },
}
THINK: Json = {"thinking": {"type": "adaptive"}, "max_tokens": 4000}


@dataclass
class Provider:
    """A look-alike, and what LiteLLM has to be told to reach it."""

    lookalike: Lookalike
    model: str
    base: str
    litellm: LiteLLM
    responses: bool = False

    def ask(self, *, stream: bool = True, **more: Any) -> Outcome:
        settings = {"use_chat_completions_url_for_anthropic_messages": not self.responses}
        arguments = {"max_tokens": 100, "messages": [USER], "max_retries": 0, **more}
        return self.litellm.ask(
            settings,
            model=self.model,
            api_base=self.lookalike.url + self.base,
            api_key="test-key",
            stream=stream,
            **arguments,
        )

    def answer(self, reply: Reply, **more: Any) -> Outcome:
        self.lookalike.script.add(reply)
        return self.ask(**more)


MADE: dict[str, tuple[type[Lookalike], str, str, bool]] = {
    "chat": (OpenAIChat, "openai/gpt-5", "/v1", False),
    "responses": (OpenAIResponses, "openai/gpt-5", "/v1", True),
    "gemini": (Gemini, "gemini/gemini-2.5-flash", "/v1beta", False),
    "ollama": (Ollama, "ollama_chat/qwen3", "", False),
}
ALL = list(MADE)


@pytest.fixture(scope="module")
def litellm() -> Iterator[LiteLLM]:
    with LiteLLM() as litellm:
        yield litellm


@pytest.fixture(params=ALL)
def provider(request: pytest.FixtureRequest, litellm: LiteLLM) -> Iterator[Provider]:
    made, model, base, responses = MADE[request.param]
    with made() as lookalike:
        yield Provider(lookalike, model, base, litellm, responses)
        lookalike.assert_no_anthropic_credentials()


def only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("provider", names, indirect=True)


but_gemini = only("chat", "responses", "ollama")
but_responses = only("chat", "gemini", "ollama")


class TestAnswers:
    """What can be relied on: the stream is valid, the message is what was said."""

    def test_a_text(self, provider: Provider) -> None:
        message = provider.answer(say("Hello there, my friend.")).streamed()
        assert (message.text, message.stop_reason) == ("Hello there, my friend.", "end_turn")

    def test_each_item_is_one_event(self, provider: Provider) -> None:
        assert set(provider.answer(say("Hello there")).items) == {"bytes"}

    def test_events_come_as_they_are_made(self, provider: Provider) -> None:
        """Text that takes a second to be written is not held back until its end."""
        times = provider.answer(say("abcdefg" * 5, pause=0.2)).times
        assert times[-1] - times[3] > 0.4

    def test_who_is_cancelled_while_waiting_leaves_the_provider_too(
        self, provider: Provider
    ) -> None:
        provider.answer(say("abcdefg" * 9, pause=0.5), cancel_after=3)
        provider.lookalike.wait_for_leaving()

    def test_tokens_are_counted_in_message_delta(self, provider: Provider) -> None:
        usage = provider.answer(say("Hello")).streamed().usage
        assert (usage["input_tokens"], usage["output_tokens"]) == (11, 5)

    @pytest.mark.parametrize("arguments", [{}, {"file_path": "/a/ü", "limit": 3}])
    def test_a_call(self, provider: Provider, arguments: Json) -> None:
        message = provider.answer(call("Read", **arguments), tools=[READ]).streamed()
        assert [(t["name"], t["input"]) for t in message.tool_uses] == [("Read", arguments)]
        assert message.stop_reason == "tool_use"

    def test_text_and_two_calls(self, provider: Provider) -> None:
        both = calls(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"}), text="So.")
        message = provider.answer(both, tools=[READ]).streamed()
        assert [b["type"] for b in message.content] == ["text", "tool_use", "tool_use"]
        assert [t["input"]["file_path"] for t in message.tool_uses] == ["a", "b"]

    def test_a_round_of_tools(self, provider: Provider) -> None:
        """The result goes back with the id that the call came with, and is understood."""
        called = provider.ask(tools=[READ]).streamed()
        (made,) = called.tool_uses
        block = {k: made[k] for k in ("type", "id", "name", "input")}
        result = {"type": "tool_result", "tool_use_id": made["id"], "content": "42"}
        messages = [
            USER,
            {"role": "assistant", "content": [block]},
            {"role": "user", "content": [result]},
        ]
        answer = provider.ask(tools=[READ], messages=messages).streamed()
        assert answer.text.startswith("The tool said:")
        assert "42" in answer.text

    def test_too_few_tokens(self, provider: Provider) -> None:
        assert provider.answer(say("half", finish="length")).streamed().stop_reason == "max_tokens"

    @pytest.mark.parametrize("stream", [True, False])
    def test_one_request_is_made_even_if_it_fails(self, provider: Provider, stream: bool) -> None:
        assert provider.answer(fail(503), stream=stream).error
        assert len(provider.lookalike.requests) == 1

    def test_whole_messages(self, provider: Provider) -> None:
        outcome = provider.answer(call("Read", file_path="a"), tools=[READ], stream=False)
        assert outcome.message
        (made,) = [b for b in outcome.message["content"] if b["type"] == "tool_use"]
        assert made["input"] == {"file_path": "a"}
        assert outcome.message["stop_reason"] == "tool_use"

    @only("gemini", "ollama")
    def test_thinking(self, provider: Provider) -> None:
        message = provider.answer(think("I wonder.", "So it is."), **THINK).streamed()
        assert [b["type"] for b in message.content] == ["thinking", "text"]
        assert message.thinking == "I wonder."

    def test_thinking_of_deepseek_and_its_like(self, litellm: LiteLLM) -> None:
        with OpenAIChat(reasoning="reasoning_content") as lookalike:
            asked = Provider(lookalike, "openai/my-reasoner", "/v1", litellm)
            message = asked.answer(think("I wonder.", "So it is."), **THINK).streamed()
        assert message.thinking == "I wonder."

    def test_a_summary_of_thinking_where_it_is_asked_for(self, litellm: LiteLLM) -> None:
        with OpenAIResponses() as lookalike:
            asked = Provider(lookalike, "openai/gpt-5", "/v1", litellm, responses=True)
            thinking = {"type": "enabled", "budget_tokens": 2000, "summary": "auto"}
            message = asked.answer(
                think("I wonder.", "So it is."), thinking=thinking, max_tokens=4000
            ).streamed()
        assert message.thinking == "I wonder."

    @only("chat", "gemini")
    def test_a_long_name_is_shortened_and_comes_back_long(self, provider: Provider) -> None:
        name = "mcp__server__" + "x" * 60
        message = provider.ask(tools=[{**READ, "name": name}]).streamed()
        assert [t["name"] for t in message.tool_uses] == [name]


class TestErrors:
    @pytest.mark.parametrize("status", [400, 401, 413, 429, 503])
    @pytest.mark.parametrize("stream", [True, False])
    def test_the_status_is_told(self, provider: Provider, stream: bool, status: int) -> None:
        error = provider.answer(fail(status), stream=stream).error
        assert error
        assert error["status"] == status

    @but_gemini
    def test_they_come_before_the_stream(self, provider: Provider) -> None:
        assert provider.answer(fail(429)).stream is None

    @but_gemini
    def test_the_time_to_wait_is_told(self, provider: Provider) -> None:
        error = provider.answer(fail(429, retry_after=7)).error
        assert error
        assert error["headers"]["retry-after"] == "7"

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_hang_up_is_an_error(self, provider: Provider, stream: bool) -> None:
        error = provider.answer(Reply(hang_up=True), stream=stream).error
        assert error
        assert error["status"] == 500

    @but_responses
    @pytest.mark.parametrize(
        "reply",
        [
            # a pause: what has come, but was not read yet, is lost with the connection
            say("some words " * 9, cut_after=4, pause=0.05),
            say("some words " * 9, error_after=4, message="boom"),
        ],
        ids=["cut", "error"],
    )
    def test_what_breaks_off_raises(self, provider: Provider, reply: Reply) -> None:
        outcome = provider.answer(reply)
        assert outcome.stream
        assert b"content_block_delta" in outcome.stream
        assert b"message_stop" not in outcome.stream
        assert outcome.error


class TestFlaws:
    """What the translator has to mend."""

    @only("gemini")
    def test_geminis_errors_come_behind_message_start(self, provider: Provider) -> None:
        outcome = provider.answer(fail(429, retry_after=7))
        assert outcome.stream
        assert outcome.stream.startswith(b"event: message_start")
        assert outcome.error

    def test_message_start_comes_before_anything_did(self, provider: Provider) -> None:
        outcome = provider.answer(say("never", cut_after=0))
        assert outcome.stream
        assert outcome.stream.startswith(b"event: message_start")
        assert outcome.stream.count(b"event: ") == 1

    @only("responses")
    @pytest.mark.parametrize(
        "reply",
        [
            say("some words " * 9, cut_after=6),
            say("some words " * 9, error_after=6, message="boom"),
            Reply(body=b"<html>", headers={"content-type": "text/html"}),
        ],
        ids=["cut", "error", "HTML"],
    )
    def test_responses_break_off_without_a_word(self, provider: Provider, reply: Reply) -> None:
        outcome = provider.answer(reply)
        assert outcome.error is None
        assert outcome.stream
        assert b"message_stop" not in outcome.stream

    @but_responses
    def test_html_is_an_answer_of_nothing(self, provider: Provider) -> None:
        page = Reply(body=b"<html>", headers={"content-type": "text/html"})
        message = provider.answer(page).streamed(allow_empty=True)
        assert (message.text, message.usage["output_tokens"]) == ("", 0)

    @but_responses
    def test_an_empty_answer_has_an_empty_block(self, provider: Provider) -> None:
        message = provider.answer(say("")).streamed(allow_empty=True)
        assert message.content == [{"type": "text", "text": ""}]

    def test_a_refusal_is_none(self, provider: Provider) -> None:
        message = provider.answer(say("half", finish="filter")).streamed()
        assert message.stop_reason in ("end_turn", "max_tokens")

    @only("responses", "gemini", "ollama")
    def test_too_few_tokens_for_a_call_go_unsaid(self, provider: Provider) -> None:
        half = Reply(calls=(Call("Read", {"file_path": "a"}),), finish="length")
        assert provider.answer(half, tools=[READ]).streamed().stop_reason == "tool_use"

    @but_responses
    def test_calls_in_one_event_are_run_together(self, provider: Provider) -> None:
        both = calls(Call("Read", {"a": 1}), Call("Read", {"a": 2}), calls_come="together")
        outcome = provider.answer(both, tools=[READ])
        with pytest.raises(BrokenStream, match="input of block 0 is no JSON"):
            outcome.streamed()

    @only("chat")
    def test_calls_in_turns_of_pieces_are_mixed_up(self, provider: Provider) -> None:
        both = calls(Call("Read", {"a": 1}), Call("Read", {"a": 2}), calls_come="interleaved")
        outcome = provider.answer(both, tools=[READ])
        with pytest.raises(BrokenStream, match="is no JSON"):
            outcome.streamed()

    @only("chat")
    def test_a_call_of_a_server_that_says_stop_ends_the_turn(self, provider: Provider) -> None:
        outcome = provider.answer(calls(Call("Read"), says_stop=True), tools=[READ])
        with pytest.raises(BrokenStream, match="end_turn"):
            outcome.streamed()

    @only("chat")
    def test_a_stream_that_is_closed_runs_on_at_the_provider(self, provider: Provider) -> None:
        provider.answer(say("abcdefg" * 3, pause=0.1), close_after=3)
        provider.lookalike.wait_for_end()
        assert not provider.lookalike.requests[-1].left

    @only("chat")
    def test_enabled_thinking_goes_to_responses_all_the_same(self, provider: Provider) -> None:
        provider.ask(thinking={"type": "enabled", "budget_tokens": 2000}, max_tokens=4000)
        assert provider.lookalike.requests[-1].path == "/v1/responses"

    @only("gemini")
    def test_a_signature_hangs_on_the_block_of_a_call(self, provider: Provider) -> None:
        (made,) = provider.ask(tools=[READ]).streamed().tool_uses
        assert "signature" in made["provider_specific_fields"]

    @only("chat")
    @pytest.mark.parametrize(
        "field",
        ["betas", "mcp_servers", "speed", "top_k", "cache_control", "something_new"],
    )
    def test_anthropics_fields_leak(self, provider: Provider, field: str) -> None:
        leaking: Json = {field: 5}
        error = provider.ask(**leaking).error
        assert error
        assert f"Unrecognized request argument supplied: {field}" in error["message"]

    @only("chat")
    def test_a_long_user_id_is_not_cut(self, provider: Provider) -> None:
        error = provider.ask(metadata={"user_id": "u" * 150}).error
        assert error
        assert "'user': string too long" in error["message"]

    @only("chat", "responses")
    def test_thinking_of_the_past_leaks(self, provider: Provider) -> None:
        thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
        past = {"role": "assistant", "content": [thought, {"type": "text", "text": "so"}]}
        error = provider.ask(messages=[USER, past, USER]).error
        assert error
        assert error["status"] == 400

    @only("gemini")
    def test_thinking_of_the_past_becomes_text(self, provider: Provider) -> None:
        thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
        past = {"role": "assistant", "content": [thought, {"type": "text", "text": "so"}]}
        provider.ask(messages=[USER, past, USER])
        parts = provider.lookalike.last["contents"][1]["parts"]
        assert {"thoughtSignature": "c2ln", "text": "hm"} in parts

    def test_that_a_tool_failed_is_lost(self, provider: Provider) -> None:
        made = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no file"}
        asked = [
            provider.ask(
                tools=[READ],
                messages=[
                    USER,
                    {"role": "assistant", "content": [made]},
                    {"role": "user", "content": [{**result, **failed}]},
                ],
            )
            for failed in ({}, {"is_error": True})
        ]
        assert [outcome.error for outcome in asked] == [None, None]
        chats = [r.body for r in provider.lookalike.requests if not r.path.endswith("/show")]
        assert chats[0] == chats[1]

    def test_a_document_of_text_is_lost(self, provider: Provider) -> None:
        source = {"type": "text", "media_type": "text/plain", "data": "THE DOCUMENT"}
        content = [{"type": "text", "text": "see"}, {"type": "document", "source": source}]
        assert provider.ask(messages=[{"role": "user", "content": content}]).error is None
        assert b"THE DOCUMENT" not in provider.lookalike.requests[-1].raw

    @only("chat", "responses", "gemini")
    def test_a_call_without_its_result_is_refused(self, provider: Provider) -> None:
        made = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
        past = {"role": "assistant", "content": [made]}
        error = provider.ask(messages=[USER, past, USER], tools=[READ]).error
        assert error
        assert error["status"] == 400

    @only("responses")
    def test_a_long_name_is_refused(self, provider: Provider) -> None:
        error = provider.ask(tools=[{**READ, "name": "x" * 65}]).error
        assert error
        assert error["status"] == 400

    def test_deepseek_gets_anthropics_form(self, litellm: LiteLLM) -> None:
        with OpenAIChat() as lookalike:
            Provider(lookalike, "deepseek/deepseek-chat", "", litellm).ask()
            assert lookalike.requests[-1].path == "/anthropic/v1/messages"
