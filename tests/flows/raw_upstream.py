"""An upstream that says on the wire, or inside TLS, whatever a test wants, byte for byte."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty
from typing import Any, Self

import brotli
import zstandard

from neurolink_mitm.core.response.sse import encode
from tests.flows.harness import LIMIT, MODEL

Act = Callable[[socket.socket], None]
"""What happens on a connection once a request has come."""
NAMES = ("gzip", "deflate", "br", "zstd")


def hang_up(connection: socket.socket) -> None:
    """End TCP, with nothing said inside TLS."""
    connection.shutdown(socket.SHUT_RDWR)


def say_goodbye(connection: socket.socket) -> None:
    """End TLS, and then TCP."""
    if isinstance(connection, ssl.SSLSocket):
        with suppress(OSError):
            connection.unwrap()
    hang_up(connection)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)  # who reads it in another thread would keep it open
    connection.close()


class RawUpstream:
    """Answers each request by the next act, and by the last one from then on; bytes are sent, then it closes."""

    def __init__(
        self,
        *acts: bytes | Act,
        reads_body: bool = True,
        certificate: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """`certificate`: speaks TLS, as localhost."""
        self.script(*acts)
        self._reads_body = reads_body
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.connections: list[socket.socket] = []
        self.users: list[int] = []
        """By request, the number of its connection."""
        self._lock = threading.Lock()
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._tls = None
        if certificate:
            self.url = f"https://localhost:{self.port}"
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)

    def script(self, *acts: bytes | Act) -> None:
        """From now on, and with no request seen yet."""
        self._acts = list(acts)
        self.requests: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()

    def close_connections(self, how: Act = hang_up) -> None:
        for connection in self.connections:
            with suppress(OSError):
                how(connection)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(LIMIT)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, Empty), ExitStack() as stack:
            stack.enter_context(connection)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                stack.enter_context(connection)
            self.connections.append(connection)
            while request := self._read(connection):
                with self._lock:
                    self.requests.append(request)
                    self.users.append(self.connections.index(connection))
                    act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
                if isinstance(act, bytes):
                    connection.sendall(act)
                    return
                act(connection)

    def _read(self, connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (data := connection.recv(65536)):
                return b""
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        while self._reads_body and len(body) < length and (data := connection.recv(65536)):
            body += data
        return head + b"\r\n\r\n" + body


def says(*pieces: bytes) -> Act:
    """These bytes, and the connection stays open."""
    return lambda connection: [connection.sendall(piece) for piece in pieces] and None


def forever(piece: bytes, start: bytes = b"") -> Act:
    """`start`, then `piece` again and again, for as long as somebody reads."""

    def act(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return act


def resets(start: bytes = b"") -> Act:
    """`start`, then a reset in place of a goodbye."""

    def act(connection: socket.socket) -> None:
        connection.sendall(start)
        reset(connection)

    return act


def answer(body: bytes = b"", status: str = "200 OK", **fields: str) -> bytes:
    """A whole answer of this length."""
    return head(status, **{"content_length": str(len(body)), **fields}) + body


def head(status: str = "200 OK", **fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items())]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def error(error_type: str, message: str = "scripted") -> bytes:
    return json.dumps({"type": "error", "error": {"type": error_type, "message": message}}).encode()


def event(name: str, **data: Any) -> bytes:
    return encode(name, json.dumps({"type": name, **data}).encode())


START = event(
    "message_start",
    message={
        "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1},
    },
)  # fmt: skip
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
HELLO = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"})
END = (
    event("content_block_stop", index=0)
    + event(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": 3},
    )
    + event("message_stop")
)
STREAM = START + event("ping") + BLOCK + HELLO + END
MESSAGE = json.dumps(
    {
        "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3},
    }
).encode()  # fmt: skip
SSE = {"content_type": "text/event-stream"}
JSON = {"content_type": "application/json"}


def compressed(body: bytes, coding: str) -> bytes:
    made: bytes = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": lambda text: brotli.compress(text, quality=1),
        "zstd": zstandard.ZstdCompressor().compress,
    }[coding](body)
    return made
