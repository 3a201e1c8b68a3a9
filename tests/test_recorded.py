"""What the recordings have to show is in them, and nothing else of the machine that they were made on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.claude import claude_traits
from tests.lookalikes.anthropic_form import check_messages
from tests.recorded import recorded

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def kinds(value: Any) -> set[str]:
    """Return each `type` within a body."""
    match value:
        case dict():
            own = {value["type"]} if isinstance(value.get("type"), str) else set()
            return own.union(*map(kinds, value.values()))
        case list():
            return set().union(*map(kinds, value))
    return set()


def test_each_form_is_there() -> None:
    assert {each.tool for each in recorded(CHAT).values()} == {
        "Aider",
        "Continue CLI",
        "Open Interpreter",
    }
    assert {each.tool for each in recorded(RESPONSES).values()} == {"Codex CLI", "Continue CLI"}
    found = set[str]().union(*(kinds(each.body) for each in recorded().values()))
    codex = {"custom", "namespace", "web_search", "tool_search", "additional_tools"}
    assert codex < found, codex - found


def test_nothing_else_is_in_them() -> None:
    text = json.dumps([vars(each) for each in recorded().values()])
    paths = set(re.findall(r"(?<![\w/])/(?:tmp|root|home|work|var)/[\w/.-]*", text))
    assert {path for path in paths if not path.startswith("/home/user/")} == set()
    assert set(re.findall(r"Bearer [^\"]+", text)) == {"Bearer sk-nl-unused"}


@pytest.mark.parametrize("name", recorded(CHAT))
def test_chat_requests_of_tools_are_served(name: str) -> None:
    """Those of responses: `tests/core/openai/responses/test_request.py`."""
    request = recorded(CHAT)[name]
    made = json.loads(chat_request(request.content, claude_traits).body)
    check_messages(made, frozenset({"model"}))
    assert len(made.get("tools", ())) == len(request.body.get("tools", ()))
    assert made.get("stream", False) is request.body.get("stream", False)
