"""The real translator, in front of look-alikes: one process for all tests, since it takes seconds to start."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.core.providers.translator import (
    MODEL_HEADER,
    PROVIDER_HEADER,
    Access,
    Setup,
    request_fields,
)
from neurolink_mitm.ports import Endpoint
from tests.anthropic_stream import Message, validate

LIMIT = 60.0
"""Seconds; to import LiteLLM takes up to ten on a busy machine."""
KEY = "test-key"
CREDENTIALS = "google.json"

Json = dict[str, Any]


LIGHT = Path(__file__).with_name("light")
"""Where the module lies that takes LiteLLM's place."""


def environment(home: Path, *, light: bool = False) -> dict[str, str]:
    """All that the process gets to see of the tester's; nothing is looked up in the network.

    With `light` it does not import LiteLLM, asks nobody, and is ready soon.
    """
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        # Google's login, for who writes the file; where requests to Bedrock would go
        "GOOGLE_APPLICATION_CREDENTIALS": str(home / CREDENTIALS),
        "VERTEXAI_PROJECT": "look-alike",
        "VERTEXAI_LOCATION": "us-central1",
        "AWS_REGION": "us-east-1",
    }
    path = [str(LIGHT)] * light + [
        os.environ[name] for name in ("PYTHONPATH",) if name in os.environ
    ]
    return own | {"PYTHONPATH": os.pathsep.join(path)}


@dataclass
class Running:
    """Starts and stops with `with`, on an event loop in a thread of its own. A port of the proxy's, too."""

    home: Path
    setups: int = 0
    secret: str = "test-secret-0"
    process: TranslatorProcess = field(init=False)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        log = self.home / "translator.log"
        self.process = TranslatorProcess(log, Setup(self.secret), environment(self.home))
        assert self.run(self.process.wait(LIMIT)), log.read_text()
        return self

    def __exit__(self, *exc: object) -> None:
        self.run(self.process.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT)

    @property
    def endpoint(self) -> Endpoint | None:
        running = self.process.endpoint
        return running and Endpoint(running.port, self.secret)

    async def wait(self, limit: float) -> Endpoint | None:
        return self.endpoint

    def report(self) -> Mapping[str, object]:
        return self.process.report()

    def configure(self, **providers: Access) -> None:
        """Returns once the process knows. A secret of its own tells each setup from the one before."""
        self.setups += 1
        self.secret = f"test-secret-{self.setups}"
        setup = Setup(self.secret, providers)

        async def tell() -> None:
            self.process.configure(setup, environment(self.home))

        self.run(tell())
        deadline = time.monotonic() + LIMIT
        while self.ask("none", "none", {}, path="/v1/messages/count_tokens").status_code == 403:
            assert time.monotonic() < deadline, "the translator did not take its new setup"

    def ask(
        self, provider: str, model: str, body: Json, path: str = "/v1/messages"
    ) -> httpx.Response:
        """As the proxy asks it; a stream that comes is judged."""
        with self.asked(provider, model, body, path) as answer:
            answer.read()
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            validate(answer.content, allow_error=True)
        return answer

    @contextmanager
    def asked(
        self, provider: str, model: str, body: Json, path: str = "/v1/messages"
    ) -> Iterator[httpx.Response]:
        """An answer to be read piece by piece; who has read enough leaves."""
        url, headers = self._request(provider, model, path)
        with (
            httpx.Client(timeout=LIMIT, trust_env=False) as client,
            client.stream(
                "POST", url, content=json.dumps(body).encode(), headers=headers
            ) as answer,
        ):
            yield answer

    @contextmanager
    def asking(self, provider: str, model: str, body: Json) -> Iterator[None]:
        """A client that waits for its answer within the block, and leaves at its end."""
        url, headers = self._request(provider, model, "/v1/messages")

        async def ask() -> None:
            async with httpx.AsyncClient(timeout=LIMIT, trust_env=False) as client:
                await client.post(url, json=body, headers=headers)

        asked = asyncio.run_coroutine_threadsafe(ask(), self._loop)
        yield
        assert asked.cancel(), "it was answered before it left"

    def _request(self, provider: str, model: str, path: str) -> tuple[str, dict[str, str]]:
        """Where to, and its headers."""
        endpoint = self.endpoint
        assert endpoint, self.process.report()
        fields = request_fields(endpoint.secret, endpoint.port, provider, model, 0)
        named = {PROVIDER_HEADER.encode(), MODEL_HEADER.encode(), b"authorization", b"content-type"}
        headers = {name.decode(): value.decode() for name, value in fields if name in named}
        return f"http://127.0.0.1:{endpoint.port}{path}", headers


def told(answer: httpx.Response) -> Message:
    """The message, judged as a client of Anthropic's would judge it; of a stream or of a whole answer."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        return validate(answer.content)
    whole = answer.json()
    known = {"id", "model", "content", "stop_reason", "stop_sequence", "usage"}
    return Message(**{name: value for name, value in whole.items() if name in known})
