"""Catches the code of a login in the browser: a web server on the loopback address of the redirect URI.

https://www.rfc-editor.org/rfc/rfc8252#section-7.3
"""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import AF_INET, AF_INET6
from urllib.parse import parse_qs, urlsplit

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.redact.text import redact

PAGE = b"<!DOCTYPE html><title>NeuroLink</title><p>%s You can close this page."


def can_be_caught(redirect_uri: str) -> bool:
    """Whether the redirect URI leads the browser to this machine."""
    return is_loopback(urlsplit(redirect_uri).hostname or "")


class Callback:
    """Listens on the loopback address of a redirect URI, or on a free port if it has none. Raises `OSError`."""

    def __init__(self, redirect_uri: str) -> None:
        parts = urlsplit(redirect_uri)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "127.0.0.1"
        self._server = _Server((host, parts.port or 0), parts.path or "/")
        port = self._server.server_address[1]
        shown = f"[{parts.hostname}]" if ":" in host else parts.hostname
        self.uri = redirect_uri if parts.port else f"http://{shown}:{port}{parts.path}"

    def __enter__(self) -> Callback:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.server_close()

    @property
    def refused(self) -> str:
        """The error that came instead of a code."""
        return self._server.refused

    def wait(self, state: str, patience: float) -> str | None:
        """Return the code that comes with `state`; None if it is refused, or none comes within `patience` seconds."""
        server = self._server
        server.state = state
        deadline = time.monotonic() + patience
        while not server.code and not server.refused and time.monotonic() < deadline:
            server.handle_request()
        return server.code or None


class _Server(HTTPServer):
    allow_reuse_address = True
    timeout = 0.5

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, _Handler)
        self.path, self.state, self.code, self.refused = path, "", "", ""

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: a browser may go away."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != self.server.path:
            self._answer(404, b"Nothing is here.")
        elif query.get("state") != self.server.state:
            # of an earlier login, or another page's doing: the one under way goes on
            self._answer(400, b"This is not the login that is under way.")
        elif code := query.get("code"):
            self.server.code = code
            self._answer(200, b"Logged in.")
        else:
            self.server.refused = redact(query.get("error", "no code came"))[:100]
            self._answer(400, b"Not logged in.")

    def _answer(self, status: int, text: bytes) -> None:
        body = PAGE % text
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the first line of the request has the code."""
