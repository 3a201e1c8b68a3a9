from __future__ import annotations

import json
from typing import Any

from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.claude import claude_traits

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def tools(*messages: Any, **fields: Any) -> list[str]:
    asked = {
        "model": "claude-sonnet-4-5",
        "messages": [{"role": "user", "content": "a"}, *messages],
    }
    body = json.dumps(asked | fields).encode()
    return [tool["name"] for tool in json.loads(chat_request(body, claude_traits).body)["tools"]]


def called(name: str) -> tuple[Any, Any]:
    call = {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
    return (
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": name, "content": "b"},
    )


def test_a_request_gets_nothing_of_another_one_with_the_same_tools() -> None:
    assert tools(*called("first")) == ["first"]
    assert tools(*called("second")) == ["second"]
    mine = {"tools": [{"type": "function", "function": {"name": "t", "parameters": SCHEMA}}]}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    assert tools(*called("third"), **mine, tool_choice=choice) == ["t", "third"]
    assert tools(**mine) == ["t"]
