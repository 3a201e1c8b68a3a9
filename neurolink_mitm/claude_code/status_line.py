"""What the proxy says of itself, asked in milliseconds: for the status line, which Claude Code redraws all the time.

By a socket and `json`, since importing `http.client` alone (with ssl and email behind it) takes a fifth of the time
that the whole line may take, and msgspec and psutil behind `state_file` another.

The line for Claude Code's status line: what it is made of is gathered here, with imports that take little time.

`neurolink_mitm.__main__` comes here without click, whose import takes as long as all of this.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neurolink_mitm.adapters import home_root
from neurolink_mitm.claude_code import status_text as statusline

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


BASE_URL = "ANTHROPIC_BASE_URL"
STATUS_LIMIT = 0.05
STDIN_LIMIT = 0.02
"""Seconds."""
LONGEST = 256
"""Characters of a model's name, as the proxy takes it."""


def status_line(environ: Mapping[str, str]) -> str:
    """Raises nothing that a file, or an answer, of another version could cause."""
    try:
        root, url = home_root.find(environ), environ.get(BASE_URL, "")
        return _line(root, _model(), time.time(), url)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "neurolink: neurolink proxy status"


def _line(root: str, model: str | None, now: float, url: str = "") -> str:
    """Of the proxy at `url`, where Claude Code goes, or of the first."""
    states = _states(root)
    states.sort(key=lambda each: not url.endswith(f":{each.get('port')}"))
    for state in states:
        try:
            report = ask(state, STATUS_LIMIT, _query(model))
        except ConnectionRefusedError:
            continue
        if report is None:
            return _remembered(root, model, now)
        proxies = sum(_runs(each.get("pid")) for each in states)
        return statusline.line(report, model, now, proxies)
    return statusline.NOT_RUNNING


def _states(root: str) -> list[dict[str, Any]]:
    """The first proxy's, and those of others on the same home."""
    first = read_json(f"{root}/{home_root.STATE}")
    found = {first.get("pid"): first} if first else {}
    try:
        names = sorted(os.listdir(f"{root}/{home_root.PROXIES}"))
    except OSError:
        names = []
    for name in names:
        state = read_json(f"{root}/{home_root.PROXIES}/{name}")
        if state:
            found.setdefault(state.get("pid"), state)
    return list(found.values())


def _runs(pid: object) -> bool:
    try:
        os.kill(pid, 0) if isinstance(pid, int) else None
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return isinstance(pid, int)


def _remembered(root: str, model: str | None, now: float) -> str:
    quotas, cooldowns = (
        read_json(f"{root}/{name}").get("accounts", {})
        for name in (home_root.QUOTAS, home_root.COOLDOWNS)
    )
    return statusline.remembered(quotas, cooldowns, model, now)


def _query(model: str | None) -> str:
    """Each byte escaped: `urllib.parse.quote` takes longer to import than all of this."""
    name = (model or "").encode("utf-8", "replace")
    return "explain=1" + (f"&model=%{name.hex('%')}" if name else "")


def _model() -> str | None:
    """The session's model, as Claude Code says on stdin; None where nobody says anything at once.

    It calls a model with a long context `claude-opus-4-8[1m]`, and asks for it without that.
    """
    try:
        said = json.loads(_stdin())
        model = said["model"]["id"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return model.removesuffix("[1m]")[:LONGEST] if isinstance(model, str) else None


def _stdin() -> bytes:
    """What is there to be read, to its end or for a moment; of a terminal, nothing."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return b""
    received, deadline = b"", time.monotonic() + STDIN_LIMIT
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(descriptor, 65536)
        if not data:
            break
        received += data
    return received
