"""Requests in OpenAI's form to a proxy that serves a whole file of tests, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.sandbox import Account as Upstream
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import LIMIT, MODEL, Proxy, account
from tests.waiting import wait_until

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"


def chat(**fields: Any) -> dict[str, Any]:
    """A streamed chat request."""
    asked = [{"role": "user", "content": "say hi"}]
    return {"model": MODEL, "stream": True, "messages": asked} | fields


def responses(**fields: Any) -> dict[str, Any]:
    """A streamed responses request."""
    return {"model": MODEL, "stream": True, "input": "say hi"} | fields


ASKED = {CHAT: chat, RESPONSES: responses}


@dataclass
class Client:
    """Asks the proxy; `rows` and `seen` are those since the last `fresh`."""

    proxy: Proxy
    sandbox: SandboxServer
    _rows: int = 0
    _attempts: int = 0
    _seen: int = 0
    _session: int = 0
    """Each test has its own: a session stays on the account that served it."""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=LIMIT, trust_env=False))

    def __exit__(self, *exc: object) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def fresh(self) -> Client:
        """Forget what was before: cooldowns, scripts, rows."""
        wait_until(lambda: self.proxy.busy == 0, "earlier requests are over")
        for each in self.proxy.accounts:
            self.proxy.runtime.pool.reset(each.key)
            self.sandbox.script(each.label, Reply())
        self._rows, self._attempts = len(self.proxy.rows.requests), len(self.proxy.rows.attempts)
        self._seen = len(self.sandbox.requests)
        self._session += 1
        return self

    def ask(self, path: str = CHAT, **fields: Any) -> httpx.Response:
        return self.send(json.dumps(ASKED[path](**fields)).encode(), path)

    def send(
        self, body: bytes, path: str = CHAT, method: str = "POST", **headers: str
    ) -> httpx.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        own = {"content-type": "application/json", "x-session-id": f"session {self._session}"}
        return self.http.request(method, self.proxy.url + path, content=body, headers=own | fields)

    def rows(self, count: int = 1) -> list[RequestRow]:
        return self.proxy.rows.wait(self._rows + count)[self._rows :]

    @property
    def attempts(self) -> list[AttemptRow]:
        return self.proxy.rows.attempts[self._attempts :]

    @property
    def seen(self) -> list[Received]:
        """The requests that came upstream."""
        return self.sandbox.requests[self._seen :]


@contextmanager
def serving(*names: str, token: str = "sk-ant-test-{}", **proxy: Any) -> Iterator[Client]:
    """A client of a proxy with accounts of these names."""
    tokens = {name: token.format(name) for name in names}
    with SandboxServer([Upstream(name, each) for name, each in tokens.items()]) as sandbox:
        accounts = [account(name, sandbox.url, token=each) for name, each in tokens.items()]
        with Proxy(accounts, **proxy) as running, Client(running, sandbox) as client:
            yield client


def data(body: bytes) -> list[Any]:
    """The data of a stream's events; fails on a half one. `[DONE]` is a text."""
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == "", f"the stream ends inside an event: {body[-200:]!r}"
    lines = [line for block in blocks for line in block.split("\n") if line.startswith("data: ")]
    texts = [line.removeprefix("data: ") for line in lines]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


def text_of(body: bytes) -> str:
    """The words of a streamed chat answer."""
    chunks = [each for each in data(body) if each != "[DONE]" and each.get("choices")]
    return "".join(each["choices"][0]["delta"].get("content") or "" for each in chunks)


def error_of(body: bytes) -> dict[str, Any]:
    """The error of a response in OpenAI's form."""
    document = json.loads(body)
    assert list(document) == ["error"], document
    error: dict[str, Any] = document["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert isinstance(error["message"], str)
    assert error["message"]
    return error


def raw_error(raw: bytes) -> tuple[int, dict[str, Any]]:
    """Status and error of a raw response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split()[1]), error_of(body[:length])
