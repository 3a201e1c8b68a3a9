"""What the recordings have to show is in them, and nothing else of the machine that they were made on."""

from __future__ import annotations

import json
import re
from typing import Any

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
