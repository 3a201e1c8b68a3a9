"""What Codex reads of a streamed response, and what it does about the end.

Written from https://github.com/openai/codex: `codex-rs/codex-api/src/sse/responses.rs` (events) and
`codex-rs/protocol/src/models.rs` (items). It drops an event, or an item, of which it can't read a member.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest

from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.client_tools import ClientTool, ToolKind
from neurolink_mitm.core.openai.responses.request import responses_request
from neurolink_mitm.core.openai.responses.stored import Memory
from neurolink_mitm.core.response.sse import SseReader
from tests.core.openai.answers import THINKING, events, message, text
from tests.recorded import Recorded, recorded
from tests.responses_stream import validate

Json = dict[str, Any]


class Text(msgspec.Struct, tag="output_text"):
    text: str


class SummaryText(msgspec.Struct, tag="summary_text"):
    text: str


class Message(msgspec.Struct, tag="message"):
    role: str
    content: list[Text]
    id: str | None = None


class Reasoning(msgspec.Struct, tag="reasoning"):
    id: str
    summary: list[SummaryText]
    encrypted_content: str | None = None


class FunctionCall(msgspec.Struct, tag="function_call"):
    name: str
    arguments: str
    call_id: str
    namespace: str | None = None


class CustomToolCall(msgspec.Struct, tag="custom_tool_call"):
    call_id: str
    name: str
    input: str
    status: str | None = None


class Exec(msgspec.Struct, tag="exec"):
    command: list[str]
    timeout_ms: int | None = None
    working_directory: str | None = None
    env: dict[str, str] | None = None
    user: str | None = None


class LocalShellCall(msgspec.Struct, tag="local_shell_call"):
    call_id: str | None
    status: Literal["completed", "in_progress", "incomplete"]
    action: Exec


class ToolSearchCall(msgspec.Struct, tag="tool_search_call"):
    call_id: str | None
    execution: str
    arguments: Any


Item = Message | Reasoning | FunctionCall | CustomToolCall | LocalShellCall | ToolSearchCall


class Details(msgspec.Struct):
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None


class Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class Incomplete(msgspec.Struct):
    reason: str


class Response(msgspec.Struct):
    id: str
    usage: Usage | None = None
    error: Error | None = None
    incomplete_details: Incomplete | None = None
    end_turn: bool | None = None


class Event(msgspec.Struct):
    type: str
    response: Response | None = None
    item: Item | None = None
    item_id: str | None = None
    call_id: str | None = None
    delta: str | None = None
    summary_index: int | None = None
    content_index: int | None = None


_event = msgspec.json.Decoder(Event)


def codex(body: bytes) -> Iterator[tuple[str, Any]]:
    """Yield what Codex makes of a stream; the last is `completed`, or the error that it ends in."""
    error = "stream closed before response.completed"
    for each in SseReader().feed(body):
        event = _event.decode(each.data)
        kind = event.type.removeprefix("response.")
        if kind in ("output_item.added", "output_item.done"):
            assert event.item
            yield kind, event.item
        elif kind == "custom_tool_call_input.delta":
            assert event.item_id
            yield kind, event.delta
        elif kind.startswith("reasoning_summary_"):
            assert event.summary_index is not None
            yield kind, event.delta
        elif kind in ("created", "output_text.delta"):
            yield kind, event.delta
        elif event.response and kind == "completed":
            yield kind, event.response
            return
        elif event.response and event.response.error:
            error = _REACTIONS.get(event.response.error.code or "", "retried")
        elif event.response and event.response.incomplete_details:
            error = f"retried: {event.response.incomplete_details.reason}"
    yield "error", error


_REACTIONS = {
    "context_length_exceeded": "compacts",
    "insufficient_quota": "gives up",
    "invalid_prompt": "gives up",
    "server_is_overloaded": "gives up",
    "slow_down": "gives up",
}
"""By the code of the error; Codex asks again after any other."""

TOOLS: dict[str, ToolKind] = {
    "apply_patch": "custom",
    "local_shell": "local_shell",
    "tool_search": "tool_search",
}
ANSWER = ResponsesAnswer(
    "claude-x",
    tools={
        **{name: ClientTool(name, kind=kind) for name, kind in TOOLS.items()},
        "mcp__find": ClientTool("find", namespace="mcp"),
    },
)


def read(sent: Iterator[tuple[str, Json]]) -> list[tuple[str, Any]]:
    stream = ANSWER.stream("req_nl_0a1b", 0)
    body = b"".join([stream.event(name, msgspec.json.encode(data)) for name, data in sent])
    return list(codex(body + stream.end()))


def call(name: str, arguments: Json) -> Json:
    return {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": arguments}


def test_codex_reads_every_item() -> None:
    content = [
        THINKING,
        text("I look."),
        call("exec_command", {"cmd": "ls"}),
        call("mcp__find", {}),
        call("apply_patch", {"input": "*** Begin Patch"}),
        call("local_shell", {"command": ["ls"], "timeout_ms": 5}),
        call("tool_search", {"query": "x"}),
    ]
    seen = read(events(message(*content, stop_reason="tool_use"), 100))
    assert [kind for kind, _ in seen[:6]] == [
        "created", "output_item.added", "reasoning_summary_part.added",
        "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done",
    ]  # fmt: skip
    reasoning, said, *calls = [item for kind, item in seen if kind == "output_item.done"]
    assert reasoning.encrypted_content
    assert (said.role, said.content) == ("assistant", [Text("I look.")])
    assert calls == [
        FunctionCall("exec_command", '{"cmd": "ls"}', "toolu_exec_command"),
        FunctionCall("find", "{}", "toolu_mcp__find", "mcp"),
        CustomToolCall("toolu_apply_patch", "apply_patch", "*** Begin Patch", "completed"),
        LocalShellCall("toolu_local_shell", "completed", Exec(["ls"], 5, env={})),
        ToolSearchCall("toolu_tool_search", "client", {"query": "x"}),
    ]
    assert ("custom_tool_call_input.delta", "*** Begin Patch") in seen
    kind, completed = seen[-1]
    assert kind == "completed"
    assert completed.usage.input_tokens_details.cached_tokens == 200
    assert completed.usage.output_tokens_details.reasoning_tokens == 7


@pytest.mark.parametrize(
    ("last", "reaction"),
    [
        pytest.param([], "retried", id="cut"),
        pytest.param(["overloaded_error"], "retried", id="overloaded"),
        pytest.param(["rate_limit_error"], "retried", id="limited"),
        pytest.param(["api_error"], "retried", id="broken"),
    ],
)
def test_codex_asks_again_where_that_may_help(last: list[str], reaction: str) -> None:
    sent = list(events(message(text("half"))))[:-3]
    errors = [("error", {"error": {"type": kind, "message": "no"}}) for kind in last]
    assert read(iter([*sent, *errors]))[-1] == ("error", reaction)


def test_codex_is_told_why_a_response_is_incomplete() -> None:
    seen = read(events(message(text("half"), stop_reason="max_tokens")))
    assert seen[-1] == ("error", "retried: max_output_tokens")


SENT = {name: each for name, each in recorded("/v1/responses").items() if each.body}


@pytest.mark.parametrize("request_", SENT.values(), ids=SENT)
def test_what_tools_really_send_is_repeated_as_the_schema_says(request_: Recorded) -> None:
    traits = claude_traits("claude-sonnet-4-6")
    asked = responses_request(request_.content, lambda model: traits, Memory().of("", 0))
    stream = asked.answer.stream("req_nl_0a1b", 0)
    sent = events(message(THINKING, text("hi")))
    body = b"".join([stream.event(name, msgspec.json.encode(data)) for name, data in sent])
    made = validate(body).body
    assert made["tools"] == request_.body.get("tools", [])
