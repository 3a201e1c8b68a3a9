from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.chat.calls import CallForm
from neurolink_mitm.core.response.sse import SseReader
from tests.core.openai.answers import CALL, message, streamed, text
from tests.core.openai.chat.chunks import written

PATCH = {**CALL, "name": "patch", "input": {"input": 'say "é"\n\\'}}
CUSTOM = ChatAnswer("gpt-5", calls=CallForm(customs=frozenset({"patch"})))
OLD = ChatAnswer("gpt-4", calls=CallForm(functions=True))


def both(answer: ChatAnswer, *content: Any) -> list[Any]:
    """The answer whole and joined from its chunks: both as finish reason, content and the calls of either form."""
    said = message(*content, stop_reason="tool_use")
    whole = json.loads(answer.whole(json.dumps(said).encode(), "r", 1))["choices"][0]
    chunks = [json.loads(e.data) for e in SseReader().feed(written(streamed(said), answer))[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    joined = (chunks[-1]["choices"][0]["finish_reason"], join(deltas))
    return [(whole["finish_reason"], {k: whole["message"].get(k) for k in joined[1]}), joined]


def join(deltas: list[Any]) -> Any:
    calls: dict[int, Any] = {}
    old: dict[str, str] = {}
    for delta in deltas:
        for call in delta.get("tool_calls", ()):
            known = calls.setdefault(call.pop("index"), call)
            for kind in ({"function", "custom"} & call.keys()) if known is not call else ():
                add(known[kind], call[kind])
        add(old, delta.get("function_call", {}))
    return {"function_call": old or None, "tool_calls": list(calls.values()) or None}


def add(known: dict[str, str], more: dict[str, str]) -> None:
    for name, value in more.items():
        known[name] = known.get(name, "") + value


def test_a_custom_tool_gets_a_text() -> None:
    call = {"id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": 'say "é"\n\\'}}
    assert (
        both(CUSTOM, text("a"), PATCH)
        == [("tool_calls", {"function_call": None, "tool_calls": [call]})] * 2
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param({"input": ""}, "", id="empty"),
        pytest.param({}, "", id="nothing"),
        pytest.param({"code": "x"}, "x", id="another member"),
        pytest.param({"a": 1, "b": 2}, '{"a": 1, "b": 2}', id="another form"),
    ],
)
def test_the_text_of_a_custom_tool_is_searched(given: Any, told: str) -> None:
    for _, found in both(CUSTOM, {**PATCH, "input": given}):
        assert found["tool_calls"][0]["custom"]["input"] == told


def test_functions_beside_custom_tools() -> None:
    for _, found in both(CUSTOM, CALL, PATCH):
        assert [call["type"] for call in found["tool_calls"]] == ["function", "custom"]


def test_the_old_form_has_one_call() -> None:
    call = {"name": "read", "arguments": json.dumps(CALL["input"])}
    assert (
        both(OLD, CALL, {**CALL, "id": "toolu_2", "name": "other"})
        == [("function_call", {"function_call": call, "tool_calls": None})] * 2
    )
    empty = {"name": "read", "arguments": "{}"}
    for _, found in both(OLD, {**CALL, "input": {}}):
        assert found["function_call"] == empty
