from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.json_text import NotJsonError
from tests.core.openai.answers import CALL, FOUND, REDACTED, SEARCH, THINKING, message, text
from tests.core.openai.chat.chunks import completion

ANSWER = ChatAnswer("gpt-4o")
JSON = ChatAnswer("gpt-4o", json=True)


def whole(*content: Any, answer: ChatAnswer = ANSWER, **more: Any) -> Any:
    body = answer.whole(json.dumps(message(*content, **more)).encode(), "r1", 1_700_000_000)
    return completion(body)


def test_a_completion() -> None:
    assert whole(THINKING, text("Hi "), SEARCH, FOUND, text('"you"'), CALL, stop_reason="tool_use") == {
        "id": "chatcmpl-r1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o",
        "choices": [{
            "index": 0, "logprobs": None, "finish_reason": "tool_calls",
            "message": {
                "role": "assistant", "content": 'Hi "you"', "refusal": None,
                "reasoning_content": THINKING["thinking"],
                "reasoning_details": [
                    {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1",
                     "text": THINKING["thinking"], "signature": THINKING["signature"]}
                ],
                "tool_calls": [{
                    "id": "toolu_1", "type": "function",
                    "function": {"name": "read", "arguments": '{"path": "a \\"b\\".py"}'},
                }],
            },
        }],
        "usage": {
            "prompt_tokens": 3210, "completion_tokens": 42, "total_tokens": 3252,
            "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 3000},
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
    }  # fmt: skip


def test_content_is_null_with_nothing_but_calls() -> None:
    said = whole({**CALL, "input": {}}, stop_reason="tool_use")["choices"][0]["message"]
    assert said["content"] is None
    assert said["tool_calls"][0]["function"]["arguments"] == "{}"


def test_an_answer_without_words_is_empty() -> None:
    said = whole(REDACTED, {"type": "of_tomorrow"})["choices"][0]["message"]
    assert (said["content"], "tool_calls" in said, "reasoning_content" in said) == (
        "",
        False,
        False,
    )


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": "x"}], ids=repr)
def test_usage_that_is_not_reported_is_nought(usage: Any) -> None:
    assert whole(text("a"), usage=usage)["usage"]["total_tokens"] == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"type":"error","error":{"type":"api_error","message":"x"}}', id="an error"),
        pytest.param(b'{"type":"error","content":[]}', id="another type"),
        pytest.param(b'{"content":"words"}', id="content"),
        pytest.param(b'{"content":["words"]}', id="block"),
        pytest.param(b'{"content":[{"type":7}]}', id="type"),
        pytest.param(b'{"content":[{"type":"text","text":["a"]}]}', id="text"),
        pytest.param(b'{"content":[{"type":"tool_use","id":"a","name":null}]}', id="name"),
        pytest.param(b'{"content":[{"type":"tool_use","id":"a","name":"b","input":"c"}]}', id="input"),
        pytest.param(b'{"content":[],"stop_reason":[]}', id="stop reason"),
        pytest.param(b'{"content":[{"type":"text","text":"\xff"}]}', id="no UTF-8"),
        pytest.param(b'{"content":' + b"[" * 5000, id="too deep"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is not for the client
        ANSWER.whole(body, "r", 1)


def test_json_is_all_of_the_text() -> None:
    found = whole(text("Sure:\n```json\n"), text('{"a": "b\n'), text('"}\n```'), answer=JSON)
    assert json.loads(found["choices"][0]["message"]["content"]) == {"a": "b\n"}
    with pytest.raises(NotJsonError, match="I can't"):
        whole(text("I can't."), answer=JSON)


def test_json_may_be_cut_off_or_not_be_there_beside_calls() -> None:
    cut = whole(text('{"a": "b'), answer=JSON, stop_reason="max_tokens")["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ('{"a": "b', "length")
    calling = whole(text("I look"), CALL, answer=JSON, stop_reason="tool_use")["choices"][0]
    assert calling["message"]["content"] is None
