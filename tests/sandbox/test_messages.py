import json
from typing import Any

import pytest

from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.messages import (
    asked_tool,
    last_user_text,
    parse_count,
    parse_messages,
    thinks,
)

TOOLS = [{"name": "Read"}, {"name": "Bash", "input_schema": {"type": "object"}}]


def body(**changes: Any) -> bytes:
    full = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    kept = {key: value for key, value in (full | changes).items() if value is not ...}
    return json.dumps(kept).encode()


def user(*blocks: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        pytest.param(b"{", 400, "not valid JSON", id="not JSON"),
        pytest.param(b'{"model": "\xff"}', 400, "not valid JSON", id="not UTF-8"),
        pytest.param(b"[]", 400, "Expected `object`", id="not an object"),
        pytest.param(body(model=...), 400, "^model: Field required$", id="no model"),
        pytest.param(body(messages=...), 400, "^messages: Field required$", id="no messages"),
        pytest.param(body(max_tokens=...), 400, "^max_tokens: Field required$", id="no limit"),
        pytest.param(body(max_tokens=0), 400, "^max_tokens: ", id="limit of 0"),
        pytest.param(body(messages=[]), 400, "at least one message", id="empty messages"),
        pytest.param(body(stream="yes"), 400, "^stream: Expected `bool`", id="stream: yes"),
        pytest.param(
            body(messages=[{"role": "user"}]), 400, r"^messages\.0\.content: F", id="path"
        ),
        pytest.param(
            body(messages=[{"role": "robot", "content": ""}]), 400, r"^messages\.0\.role", id="role"
        ),
        pytest.param(body(messages=user({"text": "x"})), 400, "type: Field required", id="block"),
        pytest.param(body(model="gpt-4o"), 404, "^model: gpt-4o$", id="someone else's model"),
        pytest.param(
            body(tools=TOOLS, tool_choice={"type": "tool", "name": "X"}), 400, "'X'", id="no tool X"
        ),
    ],
)
def test_a_faulty_request_is_refused(data: bytes, status: int, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        parse_messages(data)
    assert refused.value.status == status


def test_a_count_needs_no_limit() -> None:
    assert parse_count(body(max_tokens=...)).model == "claude-sonnet-4-6"


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        pytest.param([{"role": "user", "content": "words"}], "words", id="string"),
        pytest.param(user({"type": "text", "text": "words"}), "words", id="block"),
        pytest.param(
            user(
                {"type": "text", "text": "words"},
                {"type": "text", "text": "<system-reminder>use a tool\n</system-reminder>\n"},
            ),
            "words",
            id="beside a reminder of Claude Code",
        ),
        pytest.param(
            user({"type": "tool_result", "tool_use_id": "t"}, {"type": "text", "text": "tool"}),
            "",
            id="result of a tool",
        ),
        pytest.param([{"role": "assistant", "content": "tool"}], "", id="prefill"),
        pytest.param(
            [{"role": "user", "content": "words"}, {"role": "system", "content": "tool"}],
            "words",
            id="before a message of the system",
        ),
        pytest.param([{"role": "system", "content": "tool"}], "", id="system only"),
    ],
)
def test_last_user_text(messages: list[dict[str, Any]], text: str) -> None:
    assert last_user_text(parse_messages(body(messages=messages))) == text


@pytest.mark.parametrize(
    ("text", "choice", "name"),
    [
        pytest.param("Use a tool.", None, "Read", id="spoken of"),
        pytest.param("Hello", None, None, id="not spoken of"),
        pytest.param("stools", None, None, id="not as a word"),
        pytest.param("Hello", {"type": "any"}, "Read", id="any is forced"),
        pytest.param("Hello", {"type": "tool", "name": "Bash"}, "Bash", id="one is forced"),
        pytest.param("Use a tool.", {"type": "none"}, None, id="forbidden"),
        pytest.param("Use a tool.", {"type": "auto"}, "Read", id="auto"),
    ],
)
def test_asked_tool(text: str, choice: dict[str, str] | None, name: str | None) -> None:
    messages = [{"role": "user", "content": text}]
    request = parse_messages(body(messages=messages, tools=TOOLS, tool_choice=choice))
    tool = asked_tool(request)
    assert (tool.name if tool else None) == name


@pytest.mark.parametrize(
    ("thinking", "thinking_expected"),
    [
        pytest.param({"type": "enabled", "budget_tokens": 1024}, True, id="enabled"),
        pytest.param({"type": "adaptive"}, True, id="adaptive"),
        pytest.param({"type": "disabled"}, False, id="disabled"),
        pytest.param(None, False, id="absent"),
    ],
)
def test_thinks(thinking: dict[str, Any] | None, thinking_expected: bool) -> None:
    assert thinks(parse_messages(body(thinking=thinking))) is thinking_expected
