"""What the proxy says of itself, asked in milliseconds: for the status line, which Claude Code redraws all the time.

By a socket and `json`, since importing `http.client` alone (with ssl and email behind it) takes a fifth of the time
that the whole line may take, and msgspec and psutil behind `state_file` another.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be asked, not bound to


def read_json(path: str | Path) -> dict[str, Any]:
    """Empty where there is no such file, or none that can be read."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def ask(state: dict[str, Any], limit: float, query: str = "") -> dict[str, Any] | None:
    """`/status` of the proxy that wrote this `proxy-state.json`; None where it does not answer within `limit` seconds.

    `query` is encoded for a URL.

    Raises `ConnectionRefusedError` where there is none any more.
    """
    host, port = HOSTS.get(state.get("host", ""), state.get("host", "")), state.get("port", 0)
    token = state.get("adminToken", "")
    wanted = (
        f"GET /status?{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"x-neurolink-admin: {token}\r\n\r\n"
    )
    try:
        answer = _exchange((host, port), wanted.encode("ascii"), time.monotonic() + limit)
        head, _, body = answer.partition(b"\r\n\r\n")
        return json.loads(body) if head.startswith(b"HTTP/1.1 200 ") else None
    except ConnectionRefusedError:
        raise
    except (OSError, ValueError, RecursionError, TypeError, OverflowError):
        return None


def _exchange(address: tuple[str, int], request: bytes, deadline: float) -> bytes:
    received = b""
    with socket.create_connection(address, timeout=deadline - time.monotonic()) as connection:
        connection.sendall(request)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            data = connection.recv(65536)
            if not data:
                return received
            received += data
