from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.responses.body import Body, repeated_members, response_id
from tests.openai_schema import validate

DEFAULTS = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
    "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "store": True,
    "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
    "service_tier": "default",
}  # fmt: skip


def body_of(**asked: Any) -> dict[str, Any]:
    repeated = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in asked.items()}
    body: dict[str, Any] = json.loads(
        Body("resp_1", 17, "claude", repeated_members(repeated)).at("in_progress")
    )
    validate("Response", body)
    return body


def test_a_response_has_the_id_of_its_request() -> None:
    assert response_id("req_nl_0a1b") == "resp_0a1b"


def test_members_that_the_request_has_not_are_openai_s_defaults() -> None:
    body = body_of(temperature=None, text=None, tools=None)
    assert {name: body[name] for name in DEFAULTS} == DEFAULTS
    assert (body["id"], body["created_at"], body["model"]) == ("resp_1", 17, "claude")


def test_the_request_is_repeated() -> None:
    asked = {
        "instructions": "Be “brief”.", "max_output_tokens": 5, "metadata": {"a": "b"}, "user": "me",
        "parallel_tool_calls": False, "previous_response_id": "resp_0", "store": False,
        "reasoning": {"effort": "high"}, "temperature": 0.5, "top_p": 0.9, "prompt_cache_key": "k",
        "tool_choice": {"type": "function", "name": "ls"}, "truncation": "auto",
    }  # fmt: skip
    body = body_of(**asked)
    assert {name: body[name] for name in asked} == asked


SCHEMA = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("tool", "added"),
    [
        ({"type": "function", "name": "a"}, {"parameters": None, "strict": None}),
        ({"type": "function", "name": "a", "parameters": SCHEMA}, {"strict": None}),
        ({"type": "function", "name": "a", "parameters": SCHEMA, "strict": True}, {}),
        ({"type": "custom", "name": "a", "format": {"type": "text"}}, {}),
    ],
)
def test_functions_have_all_members(tool: dict[str, Any], added: dict[str, Any]) -> None:
    assert body_of(tools=[tool])["tools"] == [{**tool, **added}]


def test_text_has_all_members() -> None:
    schema = {"type": "json_schema", "name": "a", "schema": SCHEMA}
    assert body_of(text={"verbosity": "low"})["text"] == DEFAULTS["text"] | {"verbosity": "low"}
    assert body_of(text={"format": schema})["text"] == {"format": schema, "verbosity": "medium"}
