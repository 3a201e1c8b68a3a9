"""A receiver of webhooks on loopback: it answers each request by the next act, by the last one from then on."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.waiting import wait_until

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers["content-length"]))
        self.server.take(self)(self)

    do_GET = do_POST

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


def status(code: int, **headers: str) -> Act:
    return lambda handler: handler.answer(code, **headers)


def hang(handler: Handler) -> None:
    """Say nothing until the end."""
    handler.server.ended.wait(60)


def close(handler: Handler) -> None:
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send a head that never ends, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
    while not handler.server.ended.wait(0.02):
        handler.wfile.write(b"x")


def endless(handler: Handler) -> None:
    """Send a body that never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    while not handler.server.ended.is_set():
        handler.wfile.write(b"x" * 65_536)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, acts: list[Act]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.acts = acts
        self.ended = threading.Event()
        self.requests: list[Handler] = []
        self.times: list[float] = []

    def take(self, request: Handler) -> Act:
        self.requests.append(request)
        self.times.append(time.monotonic())
        return self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]

    def handle_error(self, *args: object) -> None: ...


class Receiver:
    """Starts and stops with `with`."""

    def __init__(self, *acts: Act, certificate: Path | None = None) -> None:
        """`certificate`: speaks TLS, as localhost."""
        self._server = _Server(list(acts) or [status(204)])
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def requests(self) -> list[Handler]:
        return self._server.requests

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.requests]

    def wait(self, count: int) -> list[dict[str, Any]]:
        """The events, once so many requests have come."""
        wait_until(lambda: len(self.requests) >= count, f"{count} events, not {self.events}")
        return self.events
