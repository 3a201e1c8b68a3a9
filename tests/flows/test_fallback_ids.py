"""Ids of tool calls that come again in each answer: the session goes on with the provider, and back at Anthropic."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.flows.fallen import Setting
from tests.flows.test_fallback_and_back import Conversation, messages_of
from tests.lookalikes.kimi import Kimi
from tests.lookalikes.mistral import Mistral
from tests.lookalikes.script import Call, calls, say
from tests.lookalikes.self_hosted import VLLM
from tests.lookalikes.server import Lookalike
from tests.translator.providers import KINDS, Kind
from tests.translator.running import Json

READS = (Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"}))
COUNTED = ("functions.Read:0", "functions.Read:1")
AGAIN = {
    "kimi": (Kind("Kimi", "moonshot", "kimi-k2-0905-preview", Kimi, "/v1"), ()),
    "mistral": (
        Kind("Mistral", "mistral", "mistral-medium-latest", Mistral, "/v1"),
        ("D681PevKs",),
    ),
    "vllm": (Kind("vLLM", "openai", "qwen3", VLLM, "/v1", "chat"), ("call_0", "call_0")),
    "vllm with Kimi": (Kind("vLLM", "openai", "kimi-k2", VLLM, "/v1", "chat"), COUNTED),
}


def ids_of(history: list[Json], kind: str = "tool_use", member: str = "id") -> list[str]:
    blocks = (block for turn in history for block in turn["content"])
    return [block[member] for block in blocks if block["type"] == kind]


def sent_ids(lookalike: Lookalike) -> list[list[str]]:
    """Return the ids of the calls in each request."""
    return [
        [
            call["id"]
            for message in request.body["messages"]
            for call in message.get("tool_calls") or ()
        ]
        for request in lookalike.requests
    ]


@pytest.mark.real("litellm")
@pytest.mark.parametrize(("kind", "given"), AGAIN.values(), ids=AGAIN)
def test_ids_that_come_again_each_turn(
    through_litellm: Setting, kind: Kind, given: tuple[str, ...]
) -> None:
    them = through_litellm(kind)
    talk = Conversation(them, {"type": "disabled"})
    talk.turn("use a tool")
    them.limit()
    lookalike = them.lookalikes[kind.name]
    lookalike.script.add(
        calls(*READS, ids=given),
        calls(READS[0], text="\n\n", ids=given),
        calls(*READS, ids=given),
        say("That is all."),
    )
    for _ in range(4):
        talk.turn("go on")
    made = ids_of(talk.history)
    assert len(set(made)) == len(made) == 6
    assert ids_of(talk.history, "tool_result", "tool_use_id") == made
    texts = ids_of(talk.history, "text", "text")
    assert all(text.strip() for text in texts), "Anthropic would refuse the blank one"

    asked = sent_ids(lookalike)
    assert all(len(set(ids)) == len(ids) for ids in asked)
    assert all(later[: len(ids)] == ids for ids, later in itertools.pairwise(asked)), "stable"

    them.recover()
    before = len(them.sandbox.requests)
    talk.turn("and now?")
    talk.turn("thank you")
    back = them.sandbox.requests[before:]
    assert [r.status for r in back] == [200, 200]
    first, second = (messages_of(r.body) for r in back)
    assert second.startswith(first)


LEFT: dict[str, list[Any]] = {
    "ids": [{"type": "tool_use", "id": "functions.Read:0", "name": "Read", "input": {}}],
    "a blank text": [
        {"type": "text", "text": "\n\n"},
        {"type": "tool_use", "id": "call_0", "name": "Read", "input": '{"file_path": "a"}'},
    ],
    "parallel calls": [{"type": "tool_use", "id": "call_0", "name": "Read", "input": {}}] * 2,
}


@pytest.mark.parametrize("content", LEFT.values(), ids=LEFT)
def test_what_other_proxies_left_is_taken_by_anthropic(fallen: Setting, content: list[Any]) -> None:
    them = fallen(KINDS["gemini"])
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "42"}
        for block in content
        if block["type"] == "tool_use"
    ]
    answered = [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    history = [{"role": "user", "content": "hi"}, *answered, *json.loads(json.dumps(answered))]
    assert them.served_by(messages=history) == "a"
