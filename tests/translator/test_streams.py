"""What servers send that no look-alike sends: through the real translator, streamed and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.anthropic_stream import validate
from tests.lookalikes.script import Reply
from tests.lookalikes.self_hosted import VLLM
from tests.translator.providers import READ, Kind, Provider, serving
from tests.translator.running import Json, Running, told

pytestmark = [
    pytest.mark.real("litellm"),
    pytest.mark.timeout(120),
]  # the first test starts the translator

OWN_SERVER = Kind("vLLM", "hosted_vllm", "qwen3", VLLM, "/v1")
DONE = b"data: [DONE]\n\n"
STREAM = {"content-type": "text/event-stream"}


@pytest.fixture(scope="module")
def server(translator: Running) -> Iterator[Provider]:
    with serving(OWN_SERVER, translator) as provider:
        yield provider


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def chunk(delta: Json, reason: str | None = None, **more: Any) -> bytes:
    made = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "qwen3",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason, **more}]}  # fmt: skip
    return event(made)


def event(value: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(value, ensure_ascii=False).encode()


def text(words: str) -> bytes:
    return chunk({"content": words})


def call(arguments: Any, **more: Any) -> bytes:
    function = {"name": "Read", "arguments": arguments}
    return chunk({"tool_calls": [{"index": 0, "id": "call_a8B2", "function": function, **more}]})


def error(message: str, **more: Any) -> bytes:
    return event({"error": {"message": message, **more}})


STOP = chunk({}, "stop")
ODD = "a\u2028b\u2029c\x85d [DONE] e"
PART: Json = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
GIVEN = '{"file_path": "a"}'
ANSWERS: dict[str, tuple[list[bytes], str, Any, str]] = {
    "letters that end lines elsewhere": ([text(ODD), STOP, DONE], ODD, [], "end_turn"),
    "only the mark of the end": ([text("so"), DONE], "so", [], "end_turn"),
    "only a reason": ([text("so"), STOP], "so", [], "end_turn"),
    "comments": ([b": PROCESSING\n\n", text("so"), STOP, DONE], "so", [], "end_turn"),
    "a refusal": ([chunk({"refusal": "no"}), STOP, DONE], "no", [], "refusal"),
    "a refusal without a word": ([chunk({}, "content_filter"), DONE], "", [], "refusal"),
    "parts": ([chunk({"content": [PART]}), chunk({"content": [{"type": "text", "text": "so"}]}), STOP],
              "so", [], "end_turn"),
    "tags": ([text("<think>hm</th"), text("ink>\n\nso"), STOP, DONE], "so", [], "end_turn"),
    "an object for arguments": ([call({"file_path": "a"}), STOP, DONE], "", [{"file_path": "a"}], "tool_use"),
    "arguments that come twice": ([call(GIVEN), call(GIVEN), STOP, DONE], "", [{"file_path": "a"}], "tool_use"),
    "an index that is a string": ([call('{"file_path"', index="0"), call(': "a"}', index="0"), STOP],
                                  "", [{"file_path": "a"}], "tool_use"),
    "a call of old": ([chunk({"function_call": {"name": "Read", "arguments": GIVEN}}, "function_call"), DONE],
                      "", [{"file_path": "a"}], "tool_use"),
    "a call that the limit cuts off": ([text("so"), call('{"file_'), chunk({}, "length"), DONE],
                                       "so", [], "max_tokens"),
    "nonsense": ([event({}), event([]), event({"choices": None}), b"data: ping\n\n", text("so"), STOP, DONE],
                 "so", [], "end_turn"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "words", "inputs", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer(
    server: Provider, stream: bool, body: list[bytes], words: str, inputs: list[Json], reason: str
) -> None:
    message = told(answer(server, body, stream=stream))
    assert [use["input"] for use in message.tool_uses] == inputs
    assert (message.text, message.stop_reason) == (words, reason)


FAILURES: dict[str, tuple[list[bytes], int]] = {
    "an end without a reason": ([text("so")], 502),
    "an end without a reason, in a call": ([text("so"), call('{"file_path"')], 502),
    "half a call": ([text("so"), call('{"file_path"'), STOP, DONE], 502),
    "an error": ([text("so"), error("out of memory")], 502),
    "half an event": ([text("so"), b'data: {"choices": [{"delta": {"con\n\n', STOP, DONE], 502),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status"), FAILURES.values(), ids=FAILURES)
def test_an_answer_that_breaks_off(
    server: Provider, stream: bool, body: list[bytes], status: int
) -> None:
    found = answer(server, body, stream=stream)
    if not stream:
        assert found.status_code == status, found.text
        return
    message = validate(found.content, allow_error=True)
    assert (message.text, bool(message.error), message.tool_uses) == ("so", True, [])


@pytest.mark.parametrize(
    ("body", "status"),
    [([error("slow down", code=429)], 429), ([error("slow down", type="rate_limit_error")], 429),
     ([error("broken")], 502), ([text("\n")], 502), ([], 502), ([DONE], 502)],
    ids=["429", "its type", "error", "blank", "nothing", "done"],
)  # fmt: skip
def test_a_failure_before_a_word_has_a_status(
    server: Provider, stream: bool, body: list[bytes], status: int
) -> None:
    found = answer(server, body, stream=stream)
    assert found.status_code == status, found.text


def test_an_answer_that_is_not_streamed_after_all(server: Provider, stream: bool) -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "so"},
        "finish_reason": "stop",
    }
    whole = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "qwen3",
        "choices": [choice],
    }
    headers = {"content-type": "application/json"}
    found = server.answer(Reply(body=json.dumps(whole).encode(), headers=headers), stream=stream)
    assert told(found).text == "so"


def answer(server: Provider, body: list[bytes], *, stream: bool) -> httpx.Response:
    return server.answer(Reply(body=b"".join(body), headers=STREAM), tools=[READ], stream=stream)
