"""The contract with Claude Code, asked of the real proxy and of gateways that break it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.doctor import contract_gateway
from neurolink_mitm.doctor.contract import ROWS, run
from neurolink_mitm.doctor.contract_gateway import PATIENCE, Gateway
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import Proxy, account

UNJUDGED = {row.id for row in ROWS if row.probe is None}


def states(gateway: Gateway, state: str) -> dict[str, str]:
    """Return the rows in `state`, with what came."""
    return {each.row.id: each.outcome.came for each in run(gateway) if each.outcome.state == state}


def test_the_proxy_holds_every_row(proxy: Proxy) -> None:
    results = list(run(Gateway(proxy.url)))
    assert {r.row.id: r.outcome.came for r in results if r.outcome.state == "failed"} == {}
    assert {r.row.id for r in results if r.outcome.state == "not run"} == UNJUDGED


def test_with_client_keys_it_shows_the_one_it_was_given(sandbox: SandboxServer) -> None:
    config = Config(clients=Clients(api_keys=(Secret("a-client-key"),)))
    with Proxy([account("a", sandbox.url)], config) as proxy:
        assert states(Gateway(proxy.url, "a-client-key"), "failed") == {}
        without = Gateway(proxy.url)
        assert states(without, "not run").keys() >= {"credentials", "model-discovery", "streaming"}


@pytest.mark.parametrize(
    ("label", "reply"), [("a", Reply(429, headers={"retry-after": "60"})), ("o", Reply())]
)
def test_what_can_not_be_judged_is_not_run_and_sends_no_message(
    sandbox: SandboxServer, label: str, reply: Reply
) -> None:
    """All accounts limited; a subscription, which serves Claude Code only."""
    sandbox.script(label, reply)
    token = f"sk-ant-{'oat-' if label == 'o' else ''}test-{label}"
    with Proxy([account(label, sandbox.url, token=token)]) as proxy:
        gateway = Gateway(proxy.url)
        assert states(gateway, "failed") == {}
        assert "streaming" in states(gateway, "not run")
    assert [r.path for r in sandbox.requests if r.path.startswith("/v1/messages?")] == []


class Bad(BaseHTTPRequestHandler):
    """A gateway in front of the sandbox, with one fault."""

    protocol_version = "HTTP/1.0"
    upstream = fault = ""

    def log_message(self, *_: object) -> None: ...

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.fault == "inspects" and b"<script>" in body:
            return self._send(403, {}, b"<html>blocked</html>")
        if self.fault == "redirects" and self.path.startswith("/v1/models"):
            return self._send(301, {"location": "/elsewhere"}, b"")
        if self.fault == "other paths" and self.path == "/v1/messages?beta=true":
            return self._send(404, {}, b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers["x-api-key"] = "sk-ant-test-a"
        headers.pop("authorization", None)
        if self.fault == "strips":
            headers.pop("anthropic-beta", None)
        if self.fault == "pins":
            headers |= {"anthropic-version": "2023-06-01"}
        if self.fault == "allows":
            headers.pop("anthropic-neurolink-contract", None)
        if self.fault == "rewrites":
            body = body.replace(b'"model"', b' "model"').strip()
        headers["content-length"] = str(len(body))
        with closing(HTTPConnection(self.upstream.removeprefix("http://"), timeout=20)) as upstream:
            self._pass_on(upstream, headers, body)

    def _pass_on(self, connection: HTTPConnection, headers: dict[str, str], body: bytes) -> None:
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        names = {n.lower(): v for n, v in answer.headers.items() if n.lower() != "content-length"}
        if answer.status >= 400 and self.fault == "wraps":
            return self._send(answer.status, names, b'{"error": "upstream said no"}')
        self.send_response(answer.status)
        for name, value in names.items():
            if name != "transfer-encoding":
                self.send_header(name, value)
        self.end_headers()
        buffered = b""
        while chunk := answer.read1(65536):
            if self.fault == "drops pings":
                chunk = chunk.replace(b"event: ping", b"event: none")
            if self.fault == "buffers":
                buffered += chunk
            else:
                self.wfile.write(chunk)
        self.wfile.write(buffered)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_HEAD = _forward


@contextmanager
def bad(upstream: str, fault: str) -> Iterator[str]:
    handler = type("Handler", (Bad,), {"upstream": upstream, "fault": fault})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_gateway_that_breaks_it_fails_the_rows_it_breaks(sandbox: SandboxServer) -> None:
    expected = {
        "": set(),
        "strips": {"anthropic-beta"},
        "pins": {"anthropic-version"},
        "allows": {"open-lists"},
        "rewrites": {"body-unchanged", "attribution-block"},
        "wraps": {"messages-path", "errors-unmodified", "unknown-model"},
        "inspects": {"body-inspection"},
        "redirects": {"credentials", "model-discovery", "no-redirects"},
        "other paths": {"messages-path", "streaming", "pings"},
        "buffers": {"streaming"},
        "drops pings": {"pings"},
    }

    def broken(fault: str) -> set[str]:
        with bad(sandbox.url, fault) as url:
            return set(states(Gateway(url), "failed"))

    with ThreadPoolExecutor(4) as threads:  # most of the time is the pauses of streams
        assert dict(zip(expected, threads.map(broken, expected), strict=True)) == expected


def test_nobody_there_is_a_failure() -> None:
    gateway = Gateway("http://127.0.0.1:9")
    assert "no response" in states(gateway, "failed")["messages-path"]


def test_a_silent_gateway_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_gateway, "LIMIT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}")
        came = states(gateway, "failed")
    assert came["messages-path"] == "no response: timed out"
    assert list(came.values()).count("no response: timed out") == PATIENCE
