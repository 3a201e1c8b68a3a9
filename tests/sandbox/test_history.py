from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.history import check_history, signature_of
from tests.linear import assert_linear

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}
THOUGHT: Json = {"type": "thinking", "thinking": "hm", "signature": signature_of("hm")}
TEXT: Json = {"type": "text", "text": "hi"}
USE: Json = {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {"type": "thinking"}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a"}
BUDGET: Json = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
ADAPTIVE: Json = {"thinking": {"type": "adaptive"}}


def said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def answered(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def check(*messages: Json, **more: Any) -> None:
    check_history(json.dumps({"messages": [USER, *messages], **more}).encode())


GOOD: dict[str, tuple[list[Json], Json]] = {
    "words": ([], {}),
    "its own thinking": ([said(THOUGHT, TEXT), USER], BUDGET),
    "a round of tools": ([said(USE), answered(RESULT)], {}),
    "a round that thinks": ([said(THOUGHT, USE), answered(RESULT)], BUDGET),
    "adaptive thinking": ([said(USE), answered(RESULT)], ADAPTIVE),
    "an old round without thinking": ([said(USE), answered(RESULT), said(TEXT), USER], BUDGET),
    "the system between": ([said(USE), {"role": "system", "content": "x"}, answered(RESULT)], {}),
    "text beside the result": ([said(USE), answered(RESULT, TEXT)], {}),
    "an empty message of the assistant's at the end": ([said()], {}),
    "an empty text in a result": (
        [said(USE), answered({**RESULT, "content": [{"type": "text", "text": ""}]})],
        {},
    ),
    "Anthropic's own tool": (
        [said({"type": "server_tool_use", "id": "srvtoolu_1", "name": "x", "input": {}}), USER],
        {},
    ),
    "redacted thinking": ([said({"type": "redacted_thinking", "data": "x"}, TEXT), USER], BUDGET),
}


@pytest.mark.parametrize(("messages", "more"), GOOD.values(), ids=GOOD)
def test_what_anthropic_takes_is_taken(messages: list[Json], more: Json) -> None:
    check(*messages, **more)


BAD: dict[str, tuple[list[Json], Json, str]] = {
    "a foreign signature": ([said({**THOUGHT, "signature": "eA=="}), USER], {},
                            "messages.1.content.0: Invalid `signature` in `thinking` block"),
    "an empty signature": ([said({**THOUGHT, "signature": ""}), USER], {}, "Invalid `signature`"),
    "changed thinking": ([said({**THOUGHT, "thinking": "so"}), USER], {}, "Invalid `signature`"),
    "no signature": ([said({"type": "thinking", "thinking": "hm"}), USER], {},
                     "messages.1.content.0.thinking.signature: Field required"),
    "no signature but null": ([said({**THOUGHT, "signature": None}), USER], {}, "Field required"),
    "an id of another form": ([said({**USE, "id": "a.b"}), USER], {}, "should match pattern"),
    "an empty text": ([said({"type": "text", "text": ""}), USER], {}, "must be non-empty"),
    "a blank text": ([said({"type": "text", "text": "\n\n"}), USER], {}, "must contain non-whitespace text"),
    "a blank text of the user's": ([{"role": "user", "content": " "}], {}, "must contain non-whitespace text"),
    "an id twice": ([said(USE), answered(RESULT), said(USE), answered(RESULT)], {},
                    "messages.3.content.0: `tool_use` ids must be unique"),
    "an id twice in a turn": ([said(USE, USE), answered(RESULT)], {}, "messages.1.content.1: `tool_use` ids must be"),
    "two results": ([said(USE), answered(RESULT, RESULT)], {}, "each tool_use must have a single result"),
    "an input that is no object": ([said({**USE, "input": "{}"}), answered(RESULT)], {}, "valid dictionary"),
    "another server's tool": ([said({"type": "server_tool_use", "id": "call_1"}), USER], {}, "^srvtoolu_"),
    "an empty message": ([said(), USER], {}, "messages.1: all messages must have non-empty content"),
    "an empty string": ([{"role": "assistant", "content": ""}, USER], {}, "must have non-empty content"),
    "white space at the end": ([said({**TEXT, "text": "so "})], {}, "cannot end with trailing whitespace"),
    "white space at the end of a string": ([{"role": "assistant", "content": "so\n"}], {}, "trailing whitespace"),
    "a call without result": ([said(USE), USER], {}, "without `tool_result` blocks"),
    "a call at the end": ([said(USE)], {}, "without `tool_result` blocks"),
    "a result without call": ([answered(RESULT)], {}, "unexpected `tool_use_id`"),
    "tools without thinking": ([said(TEXT, USE), answered(RESULT)], BUDGET,
                               "but found `text`"),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "more", "why"), BAD.values(), ids=BAD)
def test_what_anthropic_refuses_is_refused(messages: list[Json], more: Json, why: str) -> None:
    with pytest.raises(ApiError) as caught:
        check(*messages, **more)
    assert caught.value.status == 400
    assert why in caught.value.message


def test_many_calls_take_no_longer_each() -> None:
    def turn(size: int) -> bytes:
        count = max(1, size // 150)
        calls = (USE | {"id": f"t{n}"} for n in range(count))
        results = (RESULT | {"tool_use_id": f"t{n}"} for n in range(count))
        return json.dumps({"messages": [USER, said(*calls), answered(*results)]}).encode()

    assert_linear(check_history, turn)
