"""A real redis-server on a free port, which tests stop, kill and start again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

LIMIT = 10.0
"""Seconds that a start may take."""


class RedisServer:
    """Starts and stops with `with`. It keeps nothing: after `kill` and `start` it is empty."""

    def __init__(self, folder: Path, *options: str, ready: bytes = b"+PONG") -> None:
        """`ready` begins the answer to a PING without login."""
        self._folder = folder
        self._options = options
        self._ready = ready
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "mark the test with real('redis')"
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        silent = ["--save", "", "--appendonly", "no", "--logfile", "redis.log"]
        self._process = subprocess.Popen([program, *settings, *silent, *self._options])
        deadline = time.monotonic() + LIMIT
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)

    def hang(self) -> None:
        """Have it answer nothing, with its connections open (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait(LIMIT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith(self._ready)
        except OSError:
            return False
