"""The bytes of request and responses: upstream sends them, the client compares them.

The request has the form and size of Claude Code's (two system blocks, 109 tools, about 115 KB,
compact JSON with `stream` last), the responses have the form of Anthropic's.
"""

import json
import re
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

JsonObject = dict[str, Any]
Kind = Literal["streamed", "coalesced", "whole"]
"""`coalesced`: streamed, too, but all events are sent by one write; else each is a packet of its own."""

FAST_MODEL = "claude-sonnet-4-5-20250929"
FAST_EVENTS = 40
REQUEST_BYTES = 115_000
TOOLS = 109

# message_start, content_block_start, ping … content_block_stop, message_delta, message_stop
FRAME_EVENTS = 6

_SLOW_MODEL = re.compile(rb'^\{"model":"claude-slow-(\d+)x(\d+)"')
_TAILS: dict[Kind, bytes] = {
    "streamed": b',"max_tokens":32000,"stream":true}',
    "coalesced": b',"max_tokens":32001,"stream":true}',
    "whole": b',"max_tokens":32000,"stream":false}',
}
_TRANSLATED = re.compile(rb'\{"model":"claude-[^"]+","max_tokens":(\d+),("stream":true)?')
"""The beginning of a request that came in another form: complete where all its bytes have come."""
_TRANSLATED_KINDS: dict[tuple[bytes, bool], Kind] = {
    (b"32000", True): "streamed",
    (b"32001", True): "coalesced",
    (b"32000", False): "whole",
}
_WORDS = "the request goes to the account that has room and the answer streams back as it comes. "


@dataclass(frozen=True)
class Pace:
    """The pace of a stream: events, and the gap between two (0 = as fast as possible)."""

    events: int = FAST_EVENTS
    gap_ms: int = 0

    @property
    def model(self) -> str:
        return f"claude-slow-{self.events}x{self.gap_ms}" if self.gap_ms else FAST_MODEL


def pace_of(body: bytes) -> Pace:
    """Return the pace in a request's model name, which no proxy changes."""
    slow = _SLOW_MODEL.match(body[:64])
    return Pace(int(slow[1]), int(slow[2])) if slow else Pace()


def kind_of(body: bytes) -> Kind | None:
    """Return the kind of response that a request asks for; None if the request is not complete."""
    if translated := _TRANSLATED.match(body[:256]):
        return _TRANSLATED_KINDS.get((translated[1], bool(translated[2])))
    if len(body) < REQUEST_BYTES or not body.startswith(b'{"model":"claude-'):
        return None
    return next((kind for kind, tail in _TAILS.items() if body.endswith(tail)), None)


def request(port: int, kind: Kind, pace: Pace, session: str) -> bytes:
    body = request_body(kind, pace, session)
    head = (
        "POST /v1/messages?beta=true HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        "accept: application/json\r\n"
        "accept-encoding: gzip, deflate, br, zstd\r\n"
        "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14\r\n"
        "anthropic-dangerous-direct-browser-access: true\r\n"
        "anthropic-version: 2023-06-01\r\n"
        "content-type: application/json\r\n"
        "user-agent: claude-cli/2.1.0 (external, cli)\r\n"
        "x-api-key: sk-ant-test-caller\r\n"
        "x-app: cli\r\n"
        f"x-claude-code-session-id: {session}\r\n"
        "x-stainless-lang: js\r\n"
        "x-stainless-retry-count: 0\r\n"
        "x-stainless-runtime: node\r\n"
        "x-stainless-timeout: 600\r\n"
        "connection: keep-alive\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def request_body(kind: Kind, pace: Pace, session: str) -> bytes:
    missing = REQUEST_BYTES - len(_render_body(kind, pace, session, ""))
    return _render_body(kind, pace, session, _prose(max(missing, 0)))


def session_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bench-{number}"))


def _render_body(kind: Kind, pace: Pace, session: str, reminder: str) -> bytes:
    user = f"user_{'ab' * 32}_account_{session_id(0)}_session_{session}"
    fields: JsonObject = {
        "model": pace.model,
        "messages": [{"role": "user", "content": [_text(reminder), _text("say hi")]}],
        "system": [_text("You are Claude Code."), _text(_prose(12_000))],
        "tools": [_tool(number) for number in range(TOOLS)],
        "metadata": {"user_id": user},
    }
    return _compact(fields)[:-1] + _TAILS[kind]


def _tool(number: int) -> JsonObject:
    argument = {"type": "string", "description": _prose(180)}
    return {
        "name": f"mcp__server__tool_{number}",
        "description": _prose(420),
        "input_schema": {
            "type": "object",
            "properties": {"path": argument},
            "required": ["path"],
            "additionalProperties": False,
        },
    }


@cache
def events(pace: Pace) -> tuple[bytes, ...]:
    """Return the SSE events of a streamed response."""
    deltas = [_event("content_block_delta", index=0, delta=_delta(n)) for n in range(_count(pace))]
    block = {"type": "text", "text": ""}
    return (
        _event("message_start", message=_message([], None, output_tokens=1)),
        _event("content_block_start", index=0, content_block=block),
        _event("ping"),
        *deltas,
        _event("content_block_stop", index=0),
        _event("message_delta", delta=_stop(), usage={"output_tokens": len(deltas)}),
        _event("message_stop"),
    )


@cache
def answer(kind: Kind, pace: Pace) -> bytes:
    """Return the body that must reach the client."""
    if kind != "whole":
        return b"".join(events(pace))
    return _compact(_message([_text(text(pace))], "end_turn", output_tokens=_count(pace)))


def text(pace: Pace) -> str:
    """Return the text of a response."""
    return "".join(_delta(number)["text"] for number in range(_count(pace)))


def _count(pace: Pace) -> int:
    return pace.events - FRAME_EVENTS


def _delta(number: int) -> JsonObject:
    return {"type": "text_delta", "text": f"{number}: {_prose(60)}"}


def _stop() -> JsonObject:
    return {"stop_reason": "end_turn", "stop_sequence": None}


def _message(content: list[JsonObject], stop_reason: str | None, output_tokens: int) -> JsonObject:
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": FAST_MODEL,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 12,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 28_000,
            "output_tokens": output_tokens,
        },
    }


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _compact({"type": name, **fields}))


def _text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def _prose(length: int) -> str:
    return (_WORDS * (length // len(_WORDS) + 1))[:length]


def _compact(fields: JsonObject) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
