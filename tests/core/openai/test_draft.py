from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.draft import Draft
from neurolink_mitm.core.openai.options import Format, Options
from neurolink_mitm.core.openai.tools import Choice, Tools

MARK = {"cache_control": {"type": "ephemeral"}}
HI = b'{"type":"text","text":"hi"}'
SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}'


def draft(model: str = "claude-opus-4-8", tools: tuple[str, ...] = (), **members: Any) -> Draft:
    traits = claude_traits(model)
    made = Draft(model, traits, Tools(traits), **members)
    for name in tools:
        null = msgspec.Raw(b"null")
        made.tools.function(
            msgspec.Raw(json.dumps(name).encode()), null, null, strict=False, at="at"
        )
    made.turns.say("user", [HI])
    return made


def written(made: Draft) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(made.written())
    return body


def test_the_least_request() -> None:
    assert written(draft()) == {
        "model": "claude-opus-4-8",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", **MARK}]}],
    }


def test_four_marks_at_most() -> None:
    made = draft(tools=("f", "g"), stream=True)
    made.turns.system += [HI, HI]
    for _ in range(3):
        made.turns.say("assistant", [HI])
        made.turns.say("user", [HI, HI])
    body = made.written()
    assert body.count(b'"cache_control"') == 4
    found = json.loads(body)
    assert all(
        MARK["cache_control"] == found[name][-1]["cache_control"] for name in ("system", "tools")
    )
    assert found["stream"] is True


@pytest.mark.parametrize(
    ("model", "choice", "made", "told"),
    [
        ("claude-opus-4-8", Choice(), None, False),
        ("claude-opus-4-8", Choice("none"), {"type": "none"}, False),
        ("claude-opus-4-8", Choice("any"), {"type": "any"}, False),
        ("claude-opus-4-8", Choice("tool", b'"f"'), {"type": "tool", "name": "f"}, False),
        ("claude-opus-5-5", Choice("tool", b'"f"'), None, True),
        ("claude-opus-5-5", Choice("any"), None, True),
    ],
)
def test_the_choice_among_tools(model: str, choice: Choice, made: Any, told: bool) -> None:
    body = written(draft(model, ("f",), choice=choice))
    assert body.get("tool_choice") == made
    assert ("You must call" in json.dumps(body.get("system"))) is told


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        (Choice(), {"type": "auto", "disable_parallel_tool_use": True}),
        (Choice("any"), {"type": "any", "disable_parallel_tool_use": True}),
        (Choice("none"), {"type": "none"}),
    ],
)
def test_one_call_at_a_time(choice: Choice, made: Any) -> None:
    assert written(draft(tools=("f",), choice=choice, parallel=False))["tool_choice"] == made


def test_calls_of_the_history_declare_their_tools() -> None:
    made = draft()
    made.turns.call("x", b'"f"', b"{}")
    made.turns.result("x", [], "at")
    body = written(made)
    assert [tool["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == {"type": "none"}


def test_a_forced_call_excludes_thinking_and_thinking_excludes_sampling() -> None:
    options = Options(effort="high", temperature=0.5)
    forced = written(draft("claude-sonnet-4-6", ("f",), choice=Choice("any"), options=options))
    assert "thinking" not in forced
    assert forced["temperature"] == 0.5
    thinking = written(draft("claude-sonnet-4-6", ("f",), options=options))
    assert thinking["thinking"]["type"] == "adaptive"
    assert thinking["output_config"] == {"effort": "high"}
    assert "temperature" not in thinking


def test_a_schema_beside_an_effort() -> None:
    body = written(draft(options=Options(effort="low", format=Format(SCHEMA))))
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("model", "options", "last"),
    [
        ("claude-sonnet-4-5", Options(), "assistant"),
        ("claude-sonnet-4-5", Options(effort="high"), "user"),
        ("claude-sonnet-4-5", Options(format=Format(SCHEMA)), "user"),
        ("claude-sonnet-4-6", Options(), "user"),
    ],
)
def test_the_last_message_is_the_assistants_where_that_is_taken(
    model: str, options: Options, last: str
) -> None:
    made = draft(model, options=options)
    made.turns.say("assistant", [HI])
    assert written(made)["messages"][-1]["role"] == last
