"""The dashboard, spoken to byte by byte."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.dashboard.harness import Served
from tests.flows.harness import LIMIT, read_to_end

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def connect(dashboard: Served) -> socket.socket:
    place = urlsplit(dashboard.url)
    return socket.create_connection((place.hostname, place.port), timeout=LIMIT)


def ask(dashboard: Served, request: str, *headers: str, body: bytes = b"") -> Answer:
    """Send `GET /` with these header lines, where `PORT` stands for the dashboard's; read to the end."""
    port = str(urlsplit(dashboard.url).port)
    lines = (
        f"{request} HTTP/1.1",
        *headers,
        "Connection: close" if "Upgrade" not in str(headers) else "",
    )
    head = "\r\n".join(line for line in lines if line).replace("PORT", port) + "\r\n\r\n"
    with connect(dashboard) as connection:
        connection.sendall(head.encode("latin-1") + body)
        return parsed(read_to_end(connection))


def parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    return Answer(int(first.split()[1]), {n.lower(): v.strip() for n, _, v in fields}, body)
