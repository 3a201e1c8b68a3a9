from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.providers.chat_messages import NO_TEXT, chat_messages
from neurolink_mitm.core.providers.traits import Traits

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
