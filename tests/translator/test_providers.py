"""The real translator in front of each provider's look-alike, which refuses whatever the provider would refuse."""

from __future__ import annotations

import base64
import re
from typing import Any

import httpx
import pytest

from neurolink_mitm.core.providers.signatures import is_foreign
from tests.anthropic_stream import validate
from tests.lookalikes.gemini import SIGNATURE, Gemini
from tests.lookalikes.ollama import Ollama
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.script import Call, Reply, call, calls, fail, say, think
from tests.translator.providers import KINDS, READ, USER, Provider, serving
from tests.translator.running import Json, Running
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.real("litellm"),
    pytest.mark.timeout(120),
]  # the first test starts the translator

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 32).decode()
IMAGE: Json = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
LONG_NAME = "mcp__a_server_with_a_long_name__" + "x" * 60
WORDS = "Hello there, my friend. " * 4


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def only(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("provider", names, indirect=True, scope="module")


def called(name: str = "Read", known: str = "toolu_01A", **given: Any) -> Json:
    return {"type": "tool_use", "id": known, "name": name, "input": given}


def result(content: Any = "42", known: str = "toolu_01A", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": known, "content": content, **more}


def a_round(*results: Json, uses: tuple[Json, ...] = ()) -> list[Json]:
    """A conversation at whose end a tool has answered."""
    return [
        USER,
        {"role": "assistant", "content": list(uses or (called(file_path="a"),))},
        {"role": "user", "content": list(results)},
    ]


def test_a_text(provider: Provider, stream: bool) -> None:
    message = provider.told(say(WORDS), stream=stream)
    assert [block["type"] for block in message.content] == ["text"]
    assert (message.text, message.stop_reason) == (WORDS, "end_turn")


def test_the_tokens_are_told(provider: Provider, stream: bool) -> None:
    usage = provider.told(say(WORDS, tokens=(110, 7)), stream=stream).usage
    assert (usage["input_tokens"], usage["output_tokens"]) == (110, 7)


def test_the_model_that_answers_is_named(provider: Provider, stream: bool) -> None:
    assert provider.told(say(WORDS), stream=stream).model == provider.kind.model


@pytest.mark.parametrize("given", [{}, {"file_path": "/a/ü\n", "limit": 3}], ids=["none", "some"])
def test_a_call(provider: Provider, stream: bool, given: Json) -> None:
    message = provider.told(call("Read", **given), tools=[READ], stream=stream)
    assert [(t["name"], t["input"]) for t in message.tool_uses] == [("Read", given)]
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize("come", ["apart", "together", "interleaved"])
@pytest.mark.parametrize("text", ["", "I look."], ids=["bare", "after a text"])
def test_parallel_calls(provider: Provider, stream: bool, come: Any, text: str) -> None:
    wanted = [{"file_path": name * 9} for name in "abc"]
    reply = calls(*(Call("Read", given) for given in wanted), calls_come=come, text=text)
    message = provider.told(reply, tools=[READ], stream=stream)
    assert [use["input"] for use in message.tool_uses] == wanted
    assert len({use["id"] for use in message.tool_uses}) == 3
    assert (message.text, message.stop_reason) == (text, "tool_use")


def test_a_call_whose_reason_is_said_to_be_stop(provider: Provider, stream: bool) -> None:
    reply = calls(Call("Read", {"file_path": "a"}), says_stop=True)
    assert provider.told(reply, tools=[READ], stream=stream).stop_reason == "tool_use"


def test_a_result_goes_back_with_the_id_of_its_call(provider: Provider, stream: bool) -> None:
    (use,) = provider.told(tools=[READ], stream=stream).tool_uses
    assert re.fullmatch("[a-zA-Z0-9_-]+", use["id"])
    messages = a_round(result(known=use["id"]), uses=(use,))
    assert "42" in provider.told(messages=messages, tools=[READ], stream=stream).text


def test_results_of_parallel_calls(provider: Provider) -> None:
    uses = (called(known="toolu_1", file_path="a"), called(known="toolu_2", file_path="b"))
    messages = a_round(result("one", "toolu_1"), result("two", "toolu_2"), uses=uses)
    provider.told(messages=messages, tools=[READ], stream=True)
    assert provider.received.index('"one') < provider.received.index('"two')


def test_a_result_that_is_an_error_says_so(provider: Provider) -> None:
    provider.told(messages=a_round(result("no file", is_error=True)), tools=[READ])
    assert "[the tool failed] no file" in provider.received


def test_a_result_with_an_image(provider: Provider) -> None:
    content = [{"type": "text", "text": "see"}, IMAGE]
    provider.told(messages=a_round(result(content)), tools=[READ])
    assert PNG in provider.received


def test_a_long_name_of_a_tool_is_the_clients_again_in_the_answer(
    provider: Provider, stream: bool
) -> None:
    tools = [{**READ, "name": LONG_NAME}]
    (use,) = provider.told(tools=tools, stream=stream).tool_uses
    assert use["name"] == LONG_NAME
    messages = a_round(result(known=use["id"]), uses=(use,))
    assert "42" in provider.told(messages=messages, tools=tools, stream=stream).text
    assert LONG_NAME not in provider.received


@pytest.mark.parametrize(
    "thinking",
    [{"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 99999},
     {"type": "adaptive"}, {"type": "disabled"}],
    ids=["enabled", "too much", "adaptive", "disabled"],
)  # fmt: skip
def test_thinking_that_is_asked_for(provider: Provider, stream: bool, thinking: Json) -> None:
    message = provider.told(think("I wonder.", "So it is."), thinking=thinking, stream=stream)
    assert message.text == "So it is."
    if message.thinking:
        assert message.thinking == "I wonder."
        signature = message.content[0]["signature"]  # by which it is known when it comes back
        assert not signature or is_foreign(signature)


@only("gemini")
@pytest.mark.parametrize("kept", ["all", "calls"])
@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "disabled"}])
def test_the_signature_of_a_call_goes_back(
    provider: Provider, stream: bool, kept: str, thinking: Json
) -> None:
    """By the block of thinking before the call, or by the id of the call."""
    reply = calls(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"}))
    message = provider.told(reply, tools=[READ], thinking=thinking, stream=stream)
    said = message.content if kept == "all" else message.tool_uses
    results = [result(known=use["id"]) for use in message.tool_uses]
    messages = [USER, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
    provider.told(messages=messages, tools=[READ], thinking=thinking, stream=stream)
    parts = provider.asked[-1].body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [SIGNATURE, None]


def test_thinking_of_deepseek_and_its_like(translator: Running, stream: bool) -> None:
    class DeepSeek(OpenAIChat):
        def __init__(self) -> None:
            super().__init__(reasoning="reasoning_content")

    with serving(KINDS["chat"].__class__("d", "openai", "r1", DeepSeek, "/v1"), translator) as them:
        message = them.told(think("I wonder.", "So it is."), stream=stream)
    assert (message.thinking, message.text) == ("I wonder.", "So it is.")


def test_an_image(provider: Provider) -> None:
    provider.told(messages=[{"role": "user", "content": [IMAGE, {"type": "text", "text": "?"}]}])
    assert PNG in provider.received


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        ("status", "told", "kind"),
        [(400, 400, "invalid_request_error"), (401, 403, "permission_error"),
         (403, 403, "permission_error"), (404, 400, "not_found_error"),
         (429, 429, "rate_limit_error"), (500, 500, "api_error"), (503, 503, "overloaded_error")],
    )  # fmt: skip
    def test_a_status(
        self, provider: Provider, stream: bool, status: int, told: int, kind: str
    ) -> None:
        answer = provider.answer(fail(status, "because of this"), stream=stream)
        assert (answer.status_code, answer.json()["error"]["type"]) == (told, kind)
        message = answer.json()["error"]["message"]
        assert message.endswith(": because of this")
        assert "litellm" not in message.lower()

    def test_the_time_to_wait(self, provider: Provider, stream: bool) -> None:
        assert (
            provider.answer(fail(429, retry_after=7), stream=stream).headers["retry-after"] == "7"
        )

    @pytest.mark.parametrize("status", [200, 502])
    def test_a_page_of_html(self, provider: Provider, stream: bool, status: int) -> None:
        answer = provider.answer(
            Reply(status=status, body=b"<html><h1>Bad Gateway</h1></html>"), stream=stream
        )
        assert answer.status_code >= 500
        refused(answer)

    def test_a_connection_that_is_closed(self, provider: Provider, stream: bool) -> None:
        answer = provider.answer(Reply(hang_up=True), stream=stream)
        assert answer.status_code >= 500
        refused(answer)

    def test_a_cut_before_the_first_word_is_an_error_with_a_status(
        self, provider: Provider
    ) -> None:
        answer = provider.answer(say(WORDS, cut_after=0), stream=True)
        assert answer.status_code >= 500
        refused(answer)

    @pytest.mark.parametrize("how", ["cut_after", "error_after"])
    def test_a_stream_that_breaks_off_ends_in_an_error_event(
        self, provider: Provider, how: str
    ) -> None:
        # the pause: what has come and was not read is lost by a cut
        reply = say("abcdefg" * 9, pause=0.1, **{how: 8})
        answer = provider.answer(reply, stream=True)
        assert answer.status_code == 200
        message = validate(answer.content, allow_error=True)
        assert message.text
        assert message.error
        assert message.error["type"] == "overloaded_error"
        assert b"scripted failure" not in answer.content

    def test_nothing_but_silence_is_an_error(self, provider: Provider, stream: bool) -> None:
        answer = provider.answer(say(""), stream=stream)
        assert answer.status_code == 502
        refused(answer)

    def test_too_few_tokens(self, provider: Provider, stream: bool) -> None:
        message = provider.told(say("half", finish="length"), stream=stream)
        assert (message.text, message.stop_reason) == ("half", "max_tokens")

    def test_too_few_tokens_within_a_call(self, provider: Provider, stream: bool) -> None:
        reply = calls(Call("Read", {"file_path": "abcdefghijkl"}), finish="length")
        message = provider.told(reply, tools=[READ], stream=stream)
        assert all("file_path" in use["input"] for use in message.tool_uses)

    def test_a_filter_leaves_the_words_before_it(self, provider: Provider, stream: bool) -> None:
        message = provider.told(say("half", finish="filter"), stream=stream)
        if stream or provider.kind.made is not Gemini:  # LiteLLM loses the words
            assert message.text == "half"
        assert message.stop_reason == filtered(provider)

    @only("chat", "responses", "gemini")
    def test_a_filter_without_a_word(self, provider: Provider, stream: bool) -> None:
        message = provider.told(say("", finish="filter"), stream=stream)
        assert (message.content, message.stop_reason) == ([], filtered(provider))

    def test_one_request_is_made_whatever_comes_of_it(self, provider: Provider) -> None:
        before = len(provider.asked)
        provider.answer(fail(503), stream=True)
        assert len(provider.asked) == before + 1

    @pytest.mark.parametrize("slow", [{"delay": 60}, {"silence": 60}], ids=["head", "word"])
    def test_a_client_that_leaves_before_anything_came_ends_the_providers_work(
        self, provider: Provider, slow: Any
    ) -> None:
        before = len(provider.asked)
        provider.lookalike.script.add(say(WORDS, **slow))
        kind, body = provider.kind, {"max_tokens": 9, "messages": [USER], "stream": True}
        with provider.translator.asking(kind.name, kind.model, body):
            wait_until(lambda: len(provider.asked) > before, "the provider is asked")
        provider.lookalike.wait_for_leaving()

    def test_a_client_that_leaves_between_words_ends_the_providers_work(
        self, provider: Provider
    ) -> None:
        provider.lookalike.script.add(say(WORDS, pause=2))
        kind, body = provider.kind, {"max_tokens": 9, "messages": [USER], "stream": True}
        with provider.translator.asked(kind.name, kind.model, body) as answer:
            assert next(answer.iter_raw())
        provider.lookalike.wait_for_leaving()


def filtered(provider: Provider) -> str:
    return "end_turn" if provider.kind.made is Ollama else "refusal"  # it has no filter


def refused(answer: httpx.Response) -> None:
    """An error of Anthropic's form that keeps LiteLLM's words to itself."""
    error = answer.json()["error"]
    assert not re.search("litellm|Traceback|<html|/lib/", error["message"], re.IGNORECASE), error


def test_tokens_are_counted(provider: Provider) -> None:
    def count(text: str) -> int:
        body = {"messages": [{"role": "user", "content": text}]}
        kind = provider.kind
        path = "/v1/messages/count_tokens"
        answer = provider.translator.ask(kind.name, kind.model, body, path)
        return int(answer.json()["input_tokens"])

    assert 0 < count("hi") < count("hi there, how are you today?") < 50
