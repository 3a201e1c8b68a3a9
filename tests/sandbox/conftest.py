"""A sandbox on loopback, and clients that see on the wire what it does."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.sandbox.asking import BY_KEY, KEY, REFRESH, TOKEN, Connect, Post, message


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    accounts = (
        Account("a", KEY),
        Account("o", TOKEN, "oauth", REFRESH, expires_in=3600),
    )
    with SandboxServer(accounts) as server:
        yield server


@pytest.fixture
def client(sandbox: SandboxServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, headers=BY_KEY, timeout=5) as client:
        yield client


@pytest.fixture
def post(client: httpx.Client) -> Post:
    """Asks for a message; keywords go into the request."""

    def post(**more: Any) -> httpx.Response:
        return client.post("/v1/messages", json=message(**more))

    return post


@pytest.fixture
def connect(sandbox: SandboxServer) -> Iterator[Connect]:
    """A connection on which a message was asked for, to be read byte by byte."""
    opened = []

    def connect(**more: Any) -> socket.socket:
        connection = socket.create_connection((sandbox.host, sandbox.port), timeout=5)
        opened.append(connection)
        body = json.dumps(message(**more)).encode()
        head = {**BY_KEY, "host": "sandbox", "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        connection.sendall(f"POST /v1/messages HTTP/1.1\r\n{lines}\r\n".encode() + body)
        return connection

    yield connect
    for connection in opened:
        connection.close()
