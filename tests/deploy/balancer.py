"""HAProxy on loopback with the very file of `deploy/`, and replicas that are scripted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx

from tests.waiting import wait_until

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
GAP = 0.3
"""Seconds between the events of a stream."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Balancer:
    """HAProxy before three replicas; starts and stops with `with`."""

    def __init__(self, replicas: Sequence[str], log: Path) -> None:
        """`replicas` are three HOST:PORT."""
        self.port = free_port()
        self._replicas = {f"NEUROLINK_REPLICA_{n}": each for n, each in enumerate(replicas, 1)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        program = shutil.which("haproxy")
        assert program, "mark the test with real('haproxy')"
        variables = {"NEUROLINK_FRONTEND": f"127.0.0.1:{self.port}", **self._replicas}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-db", "-f", CONFIGURATION],
                env={**os.environ, **variables},
                stdout=log,
                stderr=log,
            )
        wait_until(self.ready, f"HAProxy is ready: {self._log.read_text()}", 20)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(10)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


class ScriptedReplica:
    """Answers `/ready`, streams three events for any other request, and counts those."""

    def __init__(self) -> None:
        replica = self
        self.is_ready = True
        self.served: list[str] = []
        """The paths of requests that have come."""
        self.left = 0
        """Streams whose caller has gone."""
        self.answers = True
        self.silence = 0.0
        """Seconds before the first event."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None: ...

            def do_GET(self) -> None:
                if self.path == "/ready":
                    self.send_response(200 if replica.is_ready else 503)
                    self.send_header("content-length", "0")
                    self.end_headers()
                else:
                    self.do_POST()

            def do_POST(self) -> None:
                replica.served.append(self.path)
                self.rfile.read(int(self.headers.get("content-length", 0)))
                left = bool(replica.silence) and self._is_left(replica.silence)
                replica.left += left
                if left or not replica.answers:
                    self.close_connection = True
                else:
                    self._stream()

            def _is_left(self, seconds: float) -> bool:
                """Wait for the caller to close."""
                self.connection.settimeout(seconds)
                try:
                    return self.connection.recv(1) == b""
                except ConnectionResetError:
                    return True
                except TimeoutError:
                    return False

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("x-replica", str(replica.port))
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for n in range(3):
                    event = f"data: {n}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                    if self.headers.get("x-slow"):
                        time.sleep(GAP)
                self.wfile.write(b"0\r\n\r\n")

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Refuse further connections; streams go on."""
        self._server.shutdown()
        self._server.server_close()
