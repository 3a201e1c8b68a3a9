"""Makes Claude Code's status line from `/status`, within milliseconds: Claude Code redraws it all the time.

Hence a socket and `json`: `http.client` (with ssl and email) and msgspec and psutil behind `state_file` each take a
fifth of the line's time to import. `neurolink_mitm.__main__` comes here without click, which takes all of it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from neurolink_mitm.adapters import home_root
from neurolink_mitm.claude_code import status_text as statusline

if TYPE_CHECKING:
    from pathlib import Path


Secure = Callable[[socket.socket], socket.socket]
"""Shakes hands on a connection. Raises `OSError`."""
HOSTS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - connected to, not bound to


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one if it is missing or can't be read."""
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def ask(state: dict[str, Any], limit: float, query: str = "") -> dict[str, Any] | None:
    """Return `/status` of the proxy that wrote `state`; None if it does not answer within `limit` seconds.

    `query` is encoded for a URL. Raises `ConnectionRefusedError` if the proxy has ended.
    """
    host, port = HOSTS.get(state.get("host", ""), state.get("host", "")), state.get("port", 0)
    token = state.get("adminToken", "")
    request = (
        f"GET /status?{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"x-neurolink-admin: {token}\r\n\r\n"
    )
    fingerprint = (state.get("tls") or {}).get("fingerprint")
    secure = _pinned(fingerprint) if fingerprint else _plain
    try:
        answer = _exchange((host, port), request.encode("ascii"), time.monotonic() + limit, secure)
        head, _, body = answer.partition(b"\r\n\r\n")
        return json.loads(body) if head.startswith(b"HTTP/1.1 200 ") else None
    except ConnectionRefusedError:
        raise
    except (OSError, ValueError, RecursionError, TypeError, OverflowError):
        return None


def _plain(connection: socket.socket) -> socket.socket:
    return connection


def _pinned(fingerprint: str) -> Secure:
    """Return what secures a connection to the owner of one certificate, as `adapters.own_address` does.

    Only where callers speak TLS is its import paid.
    """
    import ssl
    from hashlib import sha256

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def secure(connection: socket.socket) -> socket.socket:
        secured = context.wrap_socket(connection)
        if sha256(secured.getpeercert(binary_form=True) or b"").hexdigest() != fingerprint:
            secured.close()
            raise OSError("the certificate is not that of this home's proxy")
        return secured

    return secure


def _exchange(address: tuple[str, int], request: bytes, deadline: float, secure: Secure) -> bytes:
    received = b""
    plain = socket.create_connection(address, timeout=deadline - time.monotonic())
    with plain, secure(plain) as connection:
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
"""Seconds for the answer of a proxy."""
STDIN_LIMIT = 0.02
"""Seconds for Claude Code's input."""
LONGEST = 256
"""Characters of a model's name, as the proxy takes it."""


def status_line(environ: Mapping[str, str]) -> str:
    """Return the line; a file or an answer of another version raises nothing."""
    try:
        root, url = home_root.find(environ), environ.get(BASE_URL, "")
        return _line(root, _session(), time.time(), url)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "neurolink: neurolink proxy status"


def _line(root: str, session: statusline.Session, now: float, url: str = "") -> str:
    """Return the line of the proxy at `url`, else of the first."""
    states = _states(root)
    states.sort(key=lambda each: not url.endswith(f":{each.get('port')}"))
    for state in states:
        try:
            report = ask(state, STATUS_LIMIT, _query(session.model))
        except ConnectionRefusedError:
            continue
        if report is None:
            return _saved(root, session.model, now)
        proxies = sum(_runs(each.get("pid")) for each in states)
        return statusline.line(report, session, now, proxies)
    return statusline.NOT_RUNNING


def _states(root: str) -> list[dict[str, Any]]:
    """Return the state files of all proxies of this home, the first proxy's first."""
    first = read_json(f"{root}/{home_root.STATE}")
    states = {first.get("pid"): first} if first else {}
    try:
        names = sorted(os.listdir(f"{root}/{home_root.PROXIES}"))
    except OSError:
        names = []
    for name in names:
        state = read_json(f"{root}/{home_root.PROXIES}/{name}")
        if state:
            states.setdefault(state.get("pid"), state)
    return list(states.values())


def _runs(pid: object) -> bool:
    try:
        os.kill(pid, 0) if isinstance(pid, int) else None
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return isinstance(pid, int)


def _saved(root: str, model: str | None, now: float) -> str:
    quotas, cooldowns = (
        read_json(f"{root}/{name}").get("accounts", {})
        for name in (home_root.QUOTAS, home_root.COOLDOWNS)
    )
    return statusline.saved_line(quotas, cooldowns, model, now)


def _query(model: str | None) -> str:
    """Escape each byte: `urllib.parse.quote` takes longer to import than all the rest."""
    name = (model or "").encode("utf-8", "replace")
    return "explain=1" + (f"&model=%{name.hex('%')}" if name else "")


def _session() -> statusline.Session:
    """Return the session from stdin, as far as it is there at once.

    Claude Code names a model with a long context `claude-opus-4-8[1m]`, and requests it without that suffix.
    """
    try:
        document = json.loads(_stdin())
    except (ValueError, RecursionError):
        return statusline.Session()
    model, ident = _text(document, "model", "id"), _text(document, "session_id")
    return statusline.Session(model and model.removesuffix("[1m]")[:LONGEST], ident)


def _text(document: object, *keys: str) -> str | None:
    """Return the text below `keys`, None where there is none."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str) else None


def _stdin() -> bytes:
    """Return what stdin holds, read for `STDIN_LIMIT` seconds at most; nothing of a terminal."""
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
