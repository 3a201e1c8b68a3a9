from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.providers.chat.messages import BRIDGE, NO_TEXT, chat_messages
from neurolink_mitm.core.providers.signatures import sign
from neurolink_mitm.core.providers.traits import Traits, traits

Json = dict[str, Any]
PNG: Json = {"type": "base64", "media_type": "image/png", "data": "iVBO"}
PDF: Json = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
LINK: Json = {"type": "url", "url": "https://pictures.test/a.png"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def use(known: str = "call_1", name: str = "Read", **given: Any) -> Json:
    return {"type": "tool_use", "id": known, "name": name, "input": given}


def result(content: Any, known: str = "call_1") -> Json:
    return {"type": "tool_result", "tool_use_id": known, "content": content}


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def written(*messages: Json, system: Any = None, traits: Traits | None = None) -> list[Json]:
    return chat_messages(system, messages, traits or Traits())


def test_the_system_prompt_comes_first() -> None:
    assert written(user(text("hi")), system="be good") == [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": "hi"},
    ]


def test_texts_are_one_string() -> None:
    assert written(user(text("a"), text("b"))) == [{"role": "user", "content": "a\n\nb"}]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "image", "source": PNG}, PICTURE),
        ({"type": "image", "source": LINK}, {"type": "image_url", "image_url": {"url": LINK["url"]}}),
        ({"type": "document", "source": PDF},
         {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}}),
    ],
    ids=["picture", "picture by its address", "PDF"],
)  # fmt: skip
def test_what_is_no_text_is_a_part(block: Json, part: Json) -> None:
    (message,) = written(user(text("see"), block))
    assert message["content"] == [text("see"), part]


def test_an_assistant_says_and_calls() -> None:
    (message,) = written(assistant(text("I look."), use(path="ä"), use("call_2", "Write")))
    assert (message["role"], message["content"]) == ("assistant", "I look.")
    first, second = message["tool_calls"]
    assert first == {
        "id": "call_1", "type": "function", "function": {"name": "Read", "arguments": '{"path":"ä"}'},
    }  # fmt: skip
    assert (second["id"], json.loads(second["function"]["arguments"])) == ("call_2", {})


def test_calls_without_a_text_have_null_in_its_place() -> None:
    (message,) = written(assistant(use()))
    assert message["content"] is None


def test_results_follow_their_calls_before_what_else_the_user_says() -> None:
    messages = written(user(text("first"), result("one"), result("two", "call_2"), text("then")))
    assert messages == [
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "user", "content": "first\n\nthen"},
    ]


def test_pictures_of_results_follow_all_results() -> None:
    shown = result([text("see"), {"type": "image", "source": PNG}])
    messages = written(user(shown, result("two", "call_2"), text("then")))
    assert [message["role"] for message in messages] == ["tool", "tool", "user"]
    assert messages[0]["content"].startswith("see\n[")
    assert messages[2]["content"] == [PICTURE, text("then")]


@pytest.mark.parametrize("content", ["", [], None], ids=["empty", "no blocks", "none"])
def test_a_result_is_never_empty(content: Any) -> None:
    assert written(user(result(content)))[0]["content"] == NO_TEXT


def test_a_message_of_which_nothing_is_left_is_left_out() -> None:
    assert written(user(text("a")), assistant(), user()) == [{"role": "user", "content": "a"}]


@pytest.mark.parametrize(
    ("given", "arguments"),
    [({"a": 1}, {"a": 1}), ({}, {}), (None, {}), ("", {}), ("text", {"input": "text"}), ([1], {"input": [1]})],
    ids=["object", "empty", "null", "no text", "text", "list"],
)  # fmt: skip
def test_arguments_are_an_object(given: Any, arguments: Json) -> None:
    (message,) = written(assistant({**use(), "input": given}))
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == arguments


MISTRAL, DEEPSEEK = traits("mistral", "mistral-large"), traits("deepseek", "deepseek-chat")
KIMI, MINIMAX = traits("moonshot", "kimi-k2"), traits("minimax", "MiniMax-M2")
GEMINI, CLAUDE = traits("google-ai", "gemini-3-pro"), traits("azure_ai", "claude-opus-4-6")


def roles(messages: list[Json]) -> list[str]:
    return [message["role"] for message in messages]


class TestMistral:
    """https://github.com/avante-corp/avante.nvim/issues/2562"""

    @pytest.mark.parametrize(
        "more", [(text("then"),), ({"type": "image", "source": PNG},)], ids=["words", "picture"]
    )
    def test_the_assistant_speaks_between_results_and_the_user(self, more: tuple[Json]) -> None:
        messages = written(assistant(use()), user(result("one"), *more), traits=MISTRAL)
        assert roles(messages) == ["assistant", "tool", "assistant", "user"]
        assert messages[2] == {"role": "assistant", "content": BRIDGE}

    def test_not_where_the_user_says_nothing(self) -> None:
        messages = written(assistant(use()), user(result("one")), traits=MISTRAL)
        assert roles(messages) == ["assistant", "tool"]

    def test_so_do_its_models_elsewhere(self) -> None:
        elsewhere = traits("openai", "devstral-small", api="chat", own_server=True)
        messages = written(user(result("one"), text("then")), traits=elsewhere)
        assert roles(messages) == ["tool", "assistant", "user"]


@pytest.mark.parametrize(
    ("model", "member"),
    [(MISTRAL, "prefix"), (DEEPSEEK, "prefix"), (KIMI, "partial"), (Traits(), None)],
    ids=["mistral", "deepseek", "kimi", "others"],
)
def test_an_assistant_message_at_the_end_is_continued(model: Traits, member: str | None) -> None:
    messages = written(user(text("a")), assistant(text("b")), traits=model)
    assert set(messages[-1]) - {"role", "content"} == ({member} if member else set())
    assert "role" in messages[0]
    assert set(messages[0]) == {"role", "content"}


def test_xai_wants_a_text_beside_calls() -> None:
    (message,) = written(assistant(use()), traits=traits("xai", "grok-4"))
    assert message["content"] == ""


def thought(words: str, signature: str = "") -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


@pytest.mark.parametrize("model", [DEEPSEEK, KIMI], ids=["deepseek", "kimi"])
class TestReasoning:
    """https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"""

    def test_it_goes_back_with_calls(self, model: Traits) -> None:
        (message,) = written(assistant(thought("hm"), text("I look."), use()), traits=model)
        assert message["reasoning_content"] == "hm"
        assert message["content"] == "I look."

    def test_a_call_of_others_has_a_placeholder(self, model: Traits) -> None:
        (message,) = written(assistant(use()), traits=model)
        assert message["reasoning_content"] == " "

    def test_without_calls_it_is_left_out(self, model: Traits) -> None:
        messages = written(assistant(thought("hm"), text("so")), user(text("then")), traits=model)
        assert messages[0] == {"role": "assistant", "content": "so"}


def test_minimax_gets_its_thinking_in_tags() -> None:
    (message,) = written(assistant(thought("hm"), text("so")), traits=MINIMAX)
    assert message == {"role": "assistant", "content": "<think>\nhm\n</think>\n\nso"}


class TestGemini:
    """https://ai.google.dev/gemini-api/docs/thought-signatures"""

    def test_a_call_gets_the_signature_before_it(self) -> None:
        blocks = (text("I look."), thought("", sign("gemini", "S")), use(), use("call_2"))
        (message,) = written(assistant(*blocks), traits=GEMINI)
        first, second = message["tool_calls"]
        assert first["provider_specific_fields"] == {"thought_signature": "S"}
        assert "provider_specific_fields" not in second

    def test_what_it_thought_itself_is_not_sent(self) -> None:
        (message,) = written(
            assistant(thought("hm", sign("gemini", "")), text("so")), traits=GEMINI
        )
        assert message == {"role": "assistant", "content": "so"}


class TestClaude:
    @pytest.mark.parametrize("signature", ["true", sign("claude", "true")], ids=["here", "there"])
    def test_its_thinking_goes_back_with_its_signature(self, signature: str) -> None:
        (message,) = written(assistant(thought("hm", signature), use()), traits=CLAUDE)
        assert message["thinking_blocks"] == [thought("hm", "true")]

    @pytest.mark.parametrize("data", ["sealed", sign("claude", "sealed")], ids=["here", "there"])
    def test_so_does_what_is_sealed(self, data: str) -> None:
        sealed = {"type": "redacted_thinking", "data": data}
        (message,) = written(assistant(sealed, text("so")), traits=CLAUDE)
        assert message["thinking_blocks"] == [{"type": "redacted_thinking", "data": "sealed"}]

    def test_a_message_of_thinking_alone_is_left_out(self) -> None:
        assert written(assistant(thought("hm", "true")), traits=CLAUDE) == []
