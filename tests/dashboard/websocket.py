"""A WebSocket as a browser has it, and one that behaves worse."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.dashboard.harness import KEY_HEADER
from tests.flows.harness import LIMIT


class Ended(Exception):
    """The other side has closed; `code` is why."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class WebSocket:
    """A connection to `/live`, with the cookies of `client`."""

    def __init__(self, client: httpx.Client, **headers: str) -> None:
        url = urlsplit(str(client.base_url))
        self.key = client.headers.get(KEY_HEADER, "")
        origin = {"origin": str(client.base_url).rstrip("/")}
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        fields = {**origin, "cookie": cookies, **headers}
        assert url.hostname
        self.socket = socket.create_connection((url.hostname, url.port or 80), LIMIT)
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self._text = ""
        extra = [(name.encode(), value.encode()) for name, value in fields.items()]
        self._put(Request(host=url.netloc, target="/live", extra_headers=extra))
        answer = self._next(LIMIT)
        if isinstance(answer, RejectConnection):
            self.socket.close()
            raise Ended(answer.status_code)
        assert isinstance(answer, AcceptConnection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def hello(self, *parts: str, have: Mapping[str, str] | None = None) -> Self:
        """Say who this is, and what it shows."""
        self.send(json.dumps({"key": self.key, "parts": dict.fromkeys(parts, "") | (have or {})}))
        return self

    def send(self, data: str | bytes) -> None:
        self._put(Message(data=data))

    def ping(self) -> None:
        """Send a ping, and wait for the pong."""
        self._put(Ping(payload=b"x"))
        while not isinstance(self._next(LIMIT), Pong):
            pass

    def receive(self, limit: float = LIMIT) -> Any:
        """Return the next message. Raises `Ended`, or `TimeoutError`."""
        while True:
            event = self._next(limit)
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    text, self._text = self._text, ""
                    return json.loads(text)
            assert not isinstance(event, BytesMessage)

    def part(self, name: str, limit: float = LIMIT) -> str:
        """Return the HTML of the next update of this part."""
        until = time.monotonic() + limit
        while True:
            message = self.receive(max(0.001, until - time.monotonic()))
            if message.get("target") == f"#part-{name}":
                html: str = message["content"]
                return html

    def closed(self) -> int | None:
        """Return the code with which the other side closes."""
        try:
            while True:
                self.receive()
        except Ended as e:
            return e.code

    def _put(self, event: Event) -> None:
        self.socket.sendall(self._wire.send(event))

    def _next(self, limit: float) -> Event:
        while not self._events:
            self.socket.settimeout(limit)
            data = self.socket.recv(65536)
            self._wire.receive_data(data or None)
            for event in self._wire.events():
                if isinstance(event, Ping):
                    self._put(event.response())
                else:
                    self._events.append(event)
        event = self._events.pop(0)
        if isinstance(event, CloseConnection):
            raise Ended(event.code)
        return event
