"""Conversations of OpenAI's API that go to another provider and come back, with tools and thinking.

Anthropic's side checks what Anthropic checks: signatures of thinking, ids of tools, calls and their results.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.flows.fallen import Fallen, Setting
from tests.flows.openai_client import CHAT, RESPONSES, Client
from tests.flows.test_fallback_and_back import FOREIGN
from tests.translator.providers import KINDS, READ
from tests.translator.running import Json

FUNCTION = {"name": READ["name"], "parameters": READ["input_schema"]}
Turn = Callable[[str], None]


@dataclass
class Chat:
    """Appends the messages as they come, with their `reasoning_details`."""

    client: Client
    history: list[Json] = field(default_factory=list)

    def turn(self, words: str) -> None:
        calls = self.history[-1].get("tool_calls") if self.history else None
        self.history += [
            {"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in calls or ()
        ] or [{"role": "user", "content": words}]
        answer = self.client.ask(
            CHAT, stream=False, messages=self.history, reasoning_effort="low",
            tools=[{"type": "function", "function": FUNCTION}],
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        self.history.append(answer.json()["choices"][0]["message"])


@dataclass
class Responses:
    """Sends all items again, or (`by_ids`) goes on with the id of the last response."""

    client: Client
    by_ids: bool = False
    history: list[Json] = field(default_factory=list)
    last: Json = field(default_factory=dict)

    def turn(self, words: str) -> None:
        calls = [each for each in self.last.get("output", ()) if each["type"] == "function_call"]
        new: list[Json] = [
            {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
            for call in calls
        ] or [{"role": "user", "content": words}]
        self.history += new
        fields: Json = {"input": self.history, "store": False}
        if self.by_ids:
            fields = {"input": new, "previous_response_id": self.last.get("id")}
        answer = self.client.ask(
            RESPONSES, stream=False, reasoning={"effort": "low", "summary": "auto"},
            tools=[{"type": "function", **FUNCTION}], **fields,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        self.last = answer.json()
        self.history += self.last["output"]


TALKS: dict[str, Callable[[Client], Any]] = {
    "chat": Chat,
    "items": Responses,
    "ids": lambda client: Responses(client, by_ids=True),
}


@pytest.mark.real("litellm")
@pytest.mark.parametrize("name", KINDS)
def test_there_and_back(through_litellm: Setting, name: str) -> None:
    kind = KINDS[name]
    them = through_litellm(kind)
    for form, talk in TALKS.items():
        with Client(them.proxy, them.sandbox) as client:
            client.fresh()
            _there_and_back(them, client, talk(client).turn, kind.name, form)


def _there_and_back(them: Fallen, client: Client, turn: Turn, provider: str, form: str) -> None:
    for words in ("use a tool", "go on", "use the tool again"):
        turn(words)
    them.limit()
    them.lookalikes[provider].script.add(*FOREIGN)
    for words in ("go on", "what does it say?", "look once more"):
        turn(words)
    them.recover()
    before = len(client.seen)
    for words in ("and now?", "use the tool", "go on", "thank you"):
        turn(words)
    back = client.seen[before:]
    assert [(r.account, r.status) for r in back] == [("a", 200)] * 4, f"{form}: a turn is refused"
    first = json.loads(back[0].body)["messages"]
    kinds = [block["type"] for message in first for block in message["content"]]
    assert "thinking" in kinds, f"{form}: Anthropic's thinking is lost: {kinds}"
    rows = client.rows(10)
    assert [row.provider for row in rows] == ["anthropic"] * 3 + [provider] * 3 + ["anthropic"] * 4
    assert {row.outcome for row in rows} == {"complete"}
