"""A look-alike of OpenObserve's API, as far as dashboards need it: no OpenObserve ran when this was written.

Its form is that of openobserve/openobserve, src/handler/http/models/dashboards.rs.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

PATH = "/api/default/dashboards"


@dataclass
class OpenObserveLookalike:
    """Starts and stops with `with`. `login` is `user:password`, asked for with each request."""

    login: Callable[[], str]
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_port

    def answer(self, method: str, target: str, login: str, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(target)
        self.asked.append((method, parts.path))
        if parts.path == "/healthz":
            return 200, {"status": "ok"}
        if login != self.login():
            return 401, {"code": 401}
        assert parse_qs(parts.query)["folder"] == ["default"]
        if (method, parts.path) == ("GET", PATH):
            return 200, {"dashboards": [_item(*each) for each in self.dashboards.items()]}
        if (method, parts.path) == ("POST", PATH):
            known = f"d{len(self.asked)}"
            self.dashboards[known] = json.loads(body)
            return 200, {"v5": {"dashboardId": known}, "version": 5, "hash": "1"}
        found = self.dashboards.pop(parts.path.rpartition("/")[2], None)
        return (404, {}) if method != "DELETE" or found is None else (200, {})


def _item(known: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"dashboard_id": known, "title": document["title"], "version": 5, "v5": document}


def _handler(lookalike: OpenObserveLookalike) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            login = self.headers["authorization"] or ""
            plain = base64.b64decode(login.removeprefix("Basic ")).decode()
            status, document = lookalike.answer(self.command, self.path, plain, body)
            data = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *args: object) -> None: ...

    return Handler
