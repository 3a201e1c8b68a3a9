"""How tests ask the sandbox."""

import socket
from collections.abc import Callable
from typing import Any

import httpx

KEY = "sk-ant-test-a"
TOKEN = "sk-ant-oat-test-o"
REFRESH = "sk-ant-ort-test-o"

VERSION = {"anthropic-version": "2023-06-01"}
BY_KEY = {"x-api-key": KEY, **VERSION}
BY_TOKEN = {"authorization": f"Bearer {TOKEN}", "anthropic-beta": "oauth-2025-04-20", **VERSION}

Post = Callable[..., httpx.Response]  # the fixture `post`: keywords go into the request
Connect = Callable[..., socket.socket]  # the fixture `connect`, likewise


def message(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


def read_until(connection: socket.socket, end: bytes | None) -> bytes:
    """Up to and with `end`, or to the end of the connection."""
    read = b""
    while (end is None or end not in read) and (data := connection.recv(65536)):
        read += data
    return read
