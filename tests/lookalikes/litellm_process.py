"""Asks LiteLLM, which runs in a process of its own (`litellm_driver.py`)."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.anthropic_stream import Message, validate

DRIVER = Path(__file__).with_name("litellm_driver.py")
LIMIT = 60.0
"""Seconds; to import LiteLLM takes up to ten on a busy machine."""
SETTINGS: Mapping[str, Any] = {
    "drop_params": True,
    # else it fetches tokenizers from huggingface.co to count what a stream did not count
    "disable_hf_tokenizer_download": True,
    # else openai/… goes to Responses
    "use_chat_completions_url_for_anthropic_messages": True,
}


@dataclass
class Outcome:
    """What came of a request: a message, a stream, an error; or a stream and then an error."""

    message: dict[str, Any] | None = None
    stream: bytes | None = None
    error: dict[str, Any] | None = None
    items: list[str] = field(default_factory=list)
    """What kind of thing each item of the stream was."""
    times: list[float] = field(default_factory=list)
    """When each came, in seconds since the request."""

    def streamed(self, **allowed: bool) -> Message:
        """The stream, judged."""
        assert self.error is None, self.error
        assert self.stream is not None, self
        return validate(self.stream, **allowed)


class LiteLLM:
    """Starts with `with`; knows nothing of the tester's environment."""

    def __enter__(self) -> Self:
        self._home = tempfile.TemporaryDirectory(prefix="litellm-")
        self._stderr = Path(self._home.name) / "stderr"
        command = [sys.executable, "-W", "ignore", str(DRIVER)]
        pipe = subprocess.PIPE
        environment = {"HOME": self._home.name, "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
        with self._stderr.open("w") as stderr:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=environment
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
        self._home.cleanup()

    def ask(
        self,
        settings: Mapping[str, Any] | None = None,
        /,
        *,
        cancel_after: int | None = None,
        close_after: int | None = None,
        **arguments: Any,
    ) -> Outcome:
        """
        `arguments` for `acreate`, `settings` of the module in place of those above. After so many
        items the stream is left: cancelled while it waits for the next one, or closed.
        """
        assert self._process.stdin
        whole = {**SETTINGS, **(settings or {})}
        leaving = {"cancel_after": cancel_after, "close_after": close_after}
        job = {"settings": whole, "arguments": arguments, **leaving}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._next()
        stream = answer.get("stream")
        return Outcome(
            answer.get("message"),
            None if stream is None else stream.encode(),
            answer.get("error"),
            answer.get("items", []),
            answer.get("times", []),
        )

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _next(self) -> dict[str, Any]:
        line = self._lines.get(timeout=LIMIT)
        assert line, f"LiteLLM ended: {self._stderr.read_text()[-2000:]}"
        value = json.loads(line)
        assert isinstance(value, dict)
        return value
