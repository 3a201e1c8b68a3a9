"""A conversation of ten turns with tools and thinking, which goes to another provider and comes back.

Anthropic's side checks what Anthropic checks: signatures of thinking, ids of tools, calls and their results.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from neurolink_mitm.core.request import json_spans as spans
from tests.anthropic_stream import Message, validate
from tests.flows.fallen import Fallen, Setting
from tests.flows.harness import MODEL
from tests.lookalikes.script import Call, calls, think
from tests.translator.providers import KINDS, READ
from tests.translator.running import Json

THINKING = {
    "budget": {"type": "enabled", "budget_tokens": 1024},
    "adaptive": {"type": "adaptive"},
    "off": {"type": "disabled"},
}
FOREIGN = (
    think(
        "Let me look.",
        "",
        calls=(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"})),
    ),
    think("I have seen it.", "It says so."),
    calls(Call("Read", {"file_path": "c"}), text="One more."),
)
"""What the other provider answers in the turns 4 to 6."""


@dataclass
class Conversation:
    """As Claude Code leads it: it sends all of it again each turn, answers calls, marks the end for the cache."""

    them: Fallen
    thinking: Json
    history: list[Json] = field(default_factory=list)

    def turn(self, words: str) -> Message:
        self.history.append({"role": "user", "content": self._next(words)})
        answer = self.them.ask(
            model=MODEL, max_tokens=4096, tools=[READ], thinking=self.thinking,
            system=[{"type": "text", "text": "You are.", "cache_control": {"type": "ephemeral"}}],
            messages=self.history,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        message = validate(answer.content)
        self.history.append({"role": "assistant", "content": message.content})
        return message

    def _next(self, words: str) -> list[Json]:
        last = self.history[-1]["content"] if self.history else []
        uses = [block for block in last if block["type"] == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": use["id"], "content": "42"} for use in uses
        ]
        return results or [{"type": "text", "text": words}]


def messages_of(body: bytes) -> bytes:
    """The history as it lies in the request, without its closing bracket."""
    span = spans.member(body, spans.root(body), "messages")
    assert span
    return span.of(body)[:-1]


@pytest.mark.real("litellm")
@pytest.mark.parametrize("thinking", THINKING.values(), ids=THINKING)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_ten_turns(through_litellm: Setting, kind: Any, thinking: Json) -> None:
    them = through_litellm(kind)
    talk = Conversation(them, thinking)
    for words in ("use a tool", "go on", "use the tool again"):
        talk.turn(words)
    mine = len(them.sandbox.requests)
    assert [r.status for r in them.sandbox.requests] == [200] * 3

    them.limit()
    them.lookalikes[kind.name].script.add(*FOREIGN)
    for words in ("go on", "what does it say?", "look once more"):
        talk.turn(words)
    assert len(them.lookalikes[kind.name].requests) >= 3
    foreign = [json.dumps(turn) for turn in talk.history[6:12]]
    assert any("tool_use" in turn for turn in foreign)

    them.recover()
    before = len(them.sandbox.requests)
    for words in ("and now?", "use the tool", "go on", "thank you"):
        talk.turn(words)
    back = them.sandbox.requests[before:]
    assert {r.account for r in back} == {"a"}
    assert [r.status for r in back] == [200] * 4, "no turn is refused, not even unseen"
    bodies = [messages_of(r.body) for r in back]
    for earlier, later in itertools.pairwise(bodies):
        assert later.startswith(earlier), "what was sent before is sent again byte for byte"
    first = messages_of(them.sandbox.requests[mine - 1].body)
    assert bodies[0].startswith(first), "Anthropic's own turns are left as they were"
    rows = them.proxy.rows.wait(10)
    assert [row.provider for row in rows] == ["anthropic"] * 3 + [kind.name] * 3 + ["anthropic"] * 4
    assert {row.outcome for row in rows} == {"complete"}


@pytest.mark.parametrize("signature", [None, ""], ids=["null", "empty"])
def test_thinking_of_others_is_dropped_however_a_client_kept_it(
    fallen: Setting, signature: str | None
) -> None:
    them = fallen(KINDS["gemini"])
    foreign = {"type": "thinking", "thinking": "hm", "signature": signature}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [foreign, {"type": "text", "text": "so"}]},
        {"role": "user", "content": "go on"},
    ]
    assert them.served_by(messages=history) == "a"


def test_thinking_without_any_signature_is_dropped(fallen: Setting) -> None:
    them = fallen(KINDS["gemini"])
    foreign = {"type": "thinking", "thinking": "hm"}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [foreign, {"type": "text", "text": "so"}]},
        {"role": "user", "content": "go on"},
    ]
    assert them.served_by(messages=history) == "a"
