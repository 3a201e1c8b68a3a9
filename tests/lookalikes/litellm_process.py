"""Asks LiteLLM, which runs in a process of its own (`litellm_driver.py`)."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.anthropic_stream import Message, validate

DRIVER = Path(__file__).with_name("litellm_driver.py")
LIMIT = 60.0
"""Seconds; to import LiteLLM takes up to ten on a busy machine."""


@dataclass
class Outcome:
    """What came of a request: a message, a stream, an error; or a stream and then an error."""

    message: dict[str, Any] | None = None
    stream: bytes | None = None
    error: dict[str, Any] | None = None
    items: list[str] = field(default_factory=list)

    def streamed(self, **allowed: bool) -> Message:
        """The stream, judged."""
        assert self.error is None, self.error
        assert self.stream is not None, self
        return validate(self.stream, **allowed)


class LiteLLM:
    """Starts with `with`."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-W", "ignore", str(DRIVER)]
        pipe = subprocess.PIPE
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._next() == {"ready": True}
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(LIMIT)
        self._reader.join(LIMIT)
        self._process.stdout.close()

    def ask(self, settings: Mapping[str, Any] | None = None, /, **arguments: Any) -> Outcome:
        """`settings` of the module stay until others are given."""
        assert self._process.stdin
        job = {"settings": dict(settings or {}), "arguments": arguments}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._next()
        stream = answer.get("stream")
        return Outcome(
            answer.get("message"),
            None if stream is None else stream.encode(),
            answer.get("error"),
            answer.get("items", []),
        )

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next(self) -> dict[str, Any]:
        line = self._lines.get(timeout=LIMIT)
        assert line, f"LiteLLM ended with {self._process.poll()}"
        value = json.loads(line)
        assert isinstance(value, dict)
        return value
