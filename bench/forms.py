"""The forms of a request, by API: the same conversation as a Messages request and as a chat completion of OpenAI's."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from bench import payloads
from bench.payloads import JsonObject, Kind, Pace

_CHAT_HEAD = (
    "POST /v1/chat/completions HTTP/1.1\r\n"
    "host: 127.0.0.1:{port}\r\n"
    "accept: application/json\r\n"
    "accept-encoding: gzip, deflate, br, zstd\r\n"
    "authorization: Bearer sk-test-caller\r\n"
    "content-type: application/json\r\n"
    "user-agent: OpenAI/Python 2.54.0\r\n"
    "x-session-id: {session}\r\n"
    "x-stainless-arch: x64\r\n"
    "x-stainless-async: async:asyncio\r\n"
    "x-stainless-lang: python\r\n"
    "x-stainless-os: Linux\r\n"
    "x-stainless-package-version: 2.54.0\r\n"
    "x-stainless-read-timeout: 600\r\n"
    "x-stainless-retry-count: 0\r\n"
    "x-stainless-runtime: CPython\r\n"
    "x-stainless-runtime-version: 3.13.0\r\n"
    "connection: keep-alive\r\n"
    "content-length: {length}\r\n\r\n"
)
_DATA = b"data: "
_DONE = b"[DONE]"


@dataclass(frozen=True)
class Form:
    """How a request is written, and what must come back of it."""

    request: Callable[[int, Kind, Pace, str], bytes]
    """Takes port, kind, pace and session."""
    expected: Callable[[Kind, Pace], bytes]
    read: Callable[[bytes], bytes]
    """Makes of an answer's body what is `expected`."""


def _chat_request(port: int, kind: Kind, pace: Pace, session: str) -> bytes:
    body = json.dumps(_chat_fields(kind, pace, session), separators=(",", ":")).encode()
    return _CHAT_HEAD.format(port=port, session=session, length=len(body)).encode() + body


def _chat_fields(kind: Kind, pace: Pace, session: str) -> JsonObject:
    """Return the conversation of the Messages request; a few kilobytes more are the names of chat's fields."""
    fields = json.loads(payloads.request_body(kind, pace, session))
    system = [{"role": "system", "content": block["text"]} for block in fields["system"]]
    return {
        "model": fields["model"],
        "messages": [*system, *fields["messages"]],
        "tools": [_function(tool) for tool in fields["tools"]],
        "max_tokens": fields["max_tokens"],
        "stream": fields["stream"],
    }


def _function(tool: JsonObject) -> JsonObject:
    parameters = tool.pop("input_schema")
    return {"type": "function", "function": {**tool, "parameters": parameters}}


def _chat_expected(kind: Kind, pace: Pace) -> bytes:
    return payloads.text(pace).encode() + (b"" if kind == "whole" else _DONE)


def _chat_read(body: bytes) -> bytes:
    """Return the text of an answer, and its end."""
    if not body.startswith(_DATA):
        return str(json.loads(body)["choices"][0]["message"]["content"]).encode()
    datas = [part.removeprefix(_DATA) for part in body.split(b"\n\n") if part.startswith(_DATA)]
    deltas = [json.loads(data)["choices"][0]["delta"] for data in datas if data != _DONE]
    text = "".join(delta.get("content") or "" for delta in deltas)
    return text.encode() + (_DONE if datas[-1] == _DONE else b"")


MESSAGES = Form(payloads.request, payloads.answer, bytes)
CHAT = Form(_chat_request, _chat_expected, _chat_read)
