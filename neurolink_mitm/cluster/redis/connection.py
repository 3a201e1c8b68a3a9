"""One connection to Redis, bounded: the time to connect, with name, TLS and login, and the size of an answer.

redis-py alone would look names up in the threads of asyncio, which a hung resolver fills, limit TCP and login apart,
keep whatever length of answer, and wait for a hung server to answer the end of TLS.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from aiohappyeyeballs import start_connection
from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.dataplane.upstreams.names import addresses_of

CONNECT_LIMIT = 0.2
"""Seconds to connect: name, TCP, TLS, login."""
COMMAND_LIMIT = 0.25
"""Seconds for the answer to a command."""
LARGEST_ANSWER = 8 * 2**20
"""Bytes of an answer at most."""
TOO_MANY = re.compile(rb"(?:\A|\r\n)[*%~>|][0-9]{6,}\r\n")
"""The head of an answer of a hundred thousand parts. hiredis makes room for all before the first has come, and each
run of the garbage collector would walk through them: seconds in which nothing else runs."""
LONGEST_HEAD = 24
HEAD = re.compile(rb"([*%~>|$=!:+\-,#(_])([^\r\n]*)\r\n")
"""The head of each part of an answer, and its length or value."""
NEXT_ADDRESS = 0.05
"""Seconds after which the next address of a name is tried beside one that does not answer."""


MakeContext = Callable[[], ssl.SSLContext]
"""Returns the context of TLS; may take tens of milliseconds."""


class Server(NamedTuple):
    """What a `cluster.url` says."""

    host: str
    port: int
    db: int
    username: str | None
    password: Secret | None
    tls: bool

    @classmethod
    def of(cls, url: Secret) -> Server:
        parts = urlsplit(url.reveal())
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or 6379,
            db=int(parts.path.strip("/") or 0),
            username=unquote(parts.username) if parts.username else None,
            password=Secret(unquote(parts.password)) if parts.password else None,
            tls=parts.scheme == "rediss",
        )


class BoundedReader(asyncio.StreamReader):
    """Raises `OSError` for an answer of more than `LARGEST_ANSWER` bytes or a hundred thousand parts.

    Whoever reads an answer calls `begin` first.
    """

    left = LARGEST_ANSWER
    _end = b""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._answer: list[bytes] = []

    def begin(self) -> None:
        """Note that the next answer begins."""
        self.left, self._answer = LARGEST_ANSWER, []

    async def read(self, n: int = -1) -> bytes:
        data = await super().read(n)
        self.left -= len(data)
        self._answer.append(data)
        suspicious = TOO_MANY.search(self._end + data)
        if self.left < 0 or (suspicious and has_too_many(b"".join(self._answer))):
            raise OSError("the answer is too long")
        self._end = data[-LONGEST_HEAD:]
        return data


def has_too_many(answer: bytes) -> bool:
    """Return whether a head is of too many parts; what looks like one within a text is none."""
    at = 0
    while at < len(answer):
        if not (head := HEAD.match(answer, at)):
            return bool(TOO_MANY.search(answer, at))
        at = head.end()
        if head[1] in b"$=!" and head[2].isdigit():
            at += int(head[2]) + 2
        elif TOO_MANY.match(head[0]):
            return True
    return False


class BoundedConnection(Connection):
    """As redis-py's connection. One that is given up is closed at once."""

    def __init__(self, *, context: ssl.SSLContext | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._context = context
        self.driver_info = None  # each connection would tell the server the library's version first

    async def connect(self) -> None:
        """Connect and log in within `CONNECT_LIMIT`. Raises redis-py's errors."""
        if self.is_connected:
            return
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await self.connect_check_health(check_health=False, retry_socket_connect=False)
        except BaseException as e:  # a login that was not finished must not be used
            await self.disconnect(nowait=True)
            if isinstance(e, TimeoutError):
                raise RedisTimeoutError("not connected in time") from None
            if isinstance(e, ResponseError):  # to SELECT: a database that is not there
                raise RedisConnectionError(str(e)) from None
            raise

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        addresses = await addresses_of(self.host, self.port)
        sock = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)
        reader = BoundedReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        name = self.host if self._context else None
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, sock=sock, ssl=self._context, server_hostname=name
            )
        except BaseException:
            sock.close()
            raise
        self._reader = reader
        self._writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        if isinstance(self._reader, BoundedReader):
            self._reader.begin()
        return await super().read_response(*args, **options)

    async def disconnect(self, nowait: bool = False, *args: Any, **options: Any) -> None:
        writer = self._writer
        try:
            await super().disconnect(True, *args, **options)
        finally:
            if writer:
                writer.transport.abort()


def connection_options(server: Server, context: MakeContext | None) -> dict[str, Any]:
    """Return what makes a `BoundedConnection`.

    RESP 2: in RESP 3 servers may send what nobody has asked for, to which redis-py answers by longer time-outs
    (maintenance notifications). Without redis-py's own retries and health checks: all are tried again by the second.
    """
    return {
        "host": server.host,
        "port": server.port,
        "db": server.db,
        "username": server.username,
        "password": server.password.reveal() if server.password else None,
        "context": (context or ssl.create_default_context)() if server.tls else None,
        "protocol": 2,
        "socket_connect_timeout": CONNECT_LIMIT,
        "socket_timeout": COMMAND_LIMIT,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }
