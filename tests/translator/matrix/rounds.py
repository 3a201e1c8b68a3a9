"""Rows of several turns: a client calls tools as it is told to, and sends all of it back, as Claude Code does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from tests.anthropic_stream import Message
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.deepseek import DeepSeek
from tests.lookalikes.gemini import SIGNATURE, Gemini
from tests.lookalikes.kimi import Kimi
from tests.lookalikes.script import Call, Reply, calls, say
from tests.lookalikes.server import Lookalike
from tests.translator.matrix.row import READ, Json
from tests.translator.running import told

Ask = Callable[[Json], httpx.Response]


def _all(lookalike: Lookalike) -> bool:
    return True


def _chat(lookalike: Lookalike) -> bool:
    return isinstance(lookalike, ChatServer)


@dataclass(frozen=True)
class Round:
    """`replies` of the provider, one a turn; the last one ends it with a text."""

    name: str
    replies: Sequence[Reply]
    fields: Json = field(default_factory=dict)
    of: Callable[[Lookalike], bool] = _all
    words: str = ""
    """What the user says behind each result."""


def played(row: Round, lookalike: Lookalike, ask: Ask, *, stream: bool) -> str | None:
    """Play the turns; return what is wrong."""
    messages: list[Json] = [{"role": "user", "content": "ASKED"}]
    seen: set[str] = set()
    lookalike.script = type(lookalike.script)()
    lookalike.script.add(*row.replies)
    for turn, reply in enumerate(row.replies):
        fields: Json = {"tools": [READ], "max_tokens": 4000, **row.fields}
        answer = ask({"model": "claude-x", "messages": messages, "stream": stream, **fields})
        if answer.status_code != 200:
            return f"turn {turn}: {answer.status_code} {answer.text[:240]}"
        message = told(answer)
        if fault := _fault(message, reply, seen):
            return f"turn {turn}: {fault}"
        seen |= {use["id"] for use in message.tool_uses}
        messages += _next(message, turn, row.words)
    return _kept(row, lookalike)


def _fault(message: Message, reply: Reply, seen: set[str]) -> str | None:
    made = [use["input"] for use in message.tool_uses]
    if made != [call.arguments for call in reply.calls]:
        return f"called with {made}"
    again = seen & {use["id"] for use in message.tool_uses}
    if again:
        return f"the id {min(again)} came before"
    return None


def _next(message: Message, turn: int, words: str) -> list[Json]:
    """Return the assistant's turn as a client keeps it, and the user's with the results."""
    results: list[Json] = [
        {"type": "tool_result", "tool_use_id": use["id"], "content": f"RESULT{turn}x{at}"}
        for at, use in enumerate(message.tool_uses)
    ]
    said: list[Json] = [{"type": "text", "text": words}] if words else []
    if not results:
        said = [{"type": "text", "text": "MORE"}]
    return [
        {"role": "assistant", "content": [_block(each) for each in message.content]},
        {"role": "user", "content": [*results, *said]},
    ]


_MEMBERS = {
    "text": ("type", "text"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_use": ("type", "id", "name", "input"),
}


def _block(block: Json) -> Json:
    return {name: block[name] for name in _MEMBERS[block["type"]] if name in block}


_ASIDE = ("/api/show", "/token")


def _kept(row: Round, lookalike: Lookalike) -> str | None:
    """All results arrived; who wants its thoughts back got its own."""
    asked = [each for each in lookalike.requests if each.path not in _ASIDE][-1].body
    received = json.dumps(asked)
    for turn, reply in enumerate(row.replies[:-1]):
        for at in range(len(reply.calls)):
            if f"RESULT{turn}x{at}" not in received:
                return f"RESULT{turn}x{at} is missing"
    if isinstance(lookalike, Gemini) and "gemini-3" in lookalike.requests[-1].path:
        calls_made = sum(bool(reply.calls) for reply in row.replies[:-1])
        if received.count(SIGNATURE) != calls_made:
            return f"{received.count(SIGNATURE)} of {calls_made} signatures came back"
    if isinstance(lookalike, DeepSeek | Kimi) and row.replies[0].thinking:
        model = asked["model"]
        wants = "reasoner" in model or "k2.5" in model
        if isinstance(lookalike, DeepSeek) and lookalike.wants == "never":
            wants = False
        if wants and "I wonder 1." not in received:
            return "its own thoughts did not come back"
    return None


def _call(name: str, **more: object) -> Reply:
    return calls(Call("Read", {"file_path": name}), **more)


ROUNDS = (
    Round("rounds: three calls", (_call("a"), _call("b"), _call("c"), say("FINE"))),
    Round("rounds: the same call again", (_call("a"), _call("a"), say("FINE"))),
    Round("rounds: parallel calls", (
        calls(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"})),
        calls(Call("Read", {"file_path": "c"}), Call("Read", {"file_path": "d"})), say("FINE"))),
    Round("rounds: equal parallel calls", (
        calls(Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "a"})), say("FINE"))),
    Round("rounds: words before calls", (_call("a", text="I look."), _call("b", text="Again."), say("FINE"))),
    Round("rounds: blank words before calls", (_call("a", text="\n\n"), _call("b", text="\n"), say("FINE"))),
    Round("rounds: words behind results", (_call("a"), _call("b"), say("FINE")), words="AFTER"),
    Round("rounds: thinking", (_call("a", thinking="I wonder 0."), _call("b", thinking="I wonder 1."), say("FINE")),
          {"thinking": {"type": "adaptive"}}),
    Round("rounds: thinking, then a new question", (
        _call("a", thinking="I wonder 0."), say("So."), _call("b", thinking="I wonder 1."), say("FINE")),
          {"thinking": {"type": "adaptive"}}),
    *(
        Round(f"rounds: {name}", (*(_call(each, ids=(form.replace("N", each),)) for each in "abc"), say("FINE")),
              of=_chat)
        for name, form in (
            ("one id each turn", "functions.Read:0"),
            ("call_0 each turn", "call_0"),
            ("long ids", f"chatcmpl-tool-{'N' * 32}"),
            ("ids that end alike", f"N{'x' * 80}"),
        )
    ),
)  # fmt: skip
