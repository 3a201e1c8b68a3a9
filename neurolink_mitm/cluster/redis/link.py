"""The one way to Redis: bounded in every way, behind a breaker, and never waited for by a request."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import (
    DataError,
    InvalidResponse,
    MaxConnectionsError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from neurolink_mitm.adapters.system import steady
from neurolink_mitm.cluster.redis.connection import (
    COMMAND_LIMIT,
    CONNECT_LIMIT,
    BoundedConnection,
    MakeContext,
    Server,
    connection_options,
)
from neurolink_mitm.cluster.redis.names import Names
from neurolink_mitm.core.cluster.breaker import Breaker, Call
from neurolink_mitm.core.cluster.offset import Offset
from neurolink_mitm.core.redact.secret import Secret

logger = logging.getLogger("neurolink.cluster")

CONNECTIONS = 8
"""Connections of one replica at most, without that for news; more commands than that wait for one another."""
AWAY = re.compile(
    r"\b(DENIED|LOADING|READONLY|OOM|MISCONF|NOAUTH|WRONGPASS|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|NOREPLICAS"
    r"|NOSCRIPT|Protocol error)\b"  # "Protocol error: unauthenticated multibulk length": a long command without login
)
"""Codes of a server that serves no command of ours; in a script's error they stand within the text."""
SCRIPT = re.compile(r" script: [0-9a-f]{40}, on @\S+")
"""What Redis adds to an error within a script."""
LONGEST_TEXT = 200
"""Characters of an error of Redis that are logged and shown."""

T = TypeVar("T")
Command = Callable[[Redis], Awaitable[T]]


class AwayError(Exception):
    """Redis does not answer, or the breaker is open: go on with what is known, and try again later."""


class RefusedError(Exception):
    """Redis answers, but not to this command: a key of another type, an error in a script."""


class Link:
    """Asks Redis, within `CONNECT_LIMIT` and `COMMAND_LIMIT`."""

    def __init__(self, url: Secret, namespace: str, context: MakeContext | None = None) -> None:
        """`context` is for `rediss://`: whom to trust. It is asked here, which takes tens of milliseconds once."""
        self.names = Names(namespace)
        self.breaker = Breaker()
        self.server = Server.of(url)
        self.began_at = time.monotonic()
        self.errors = 0
        """Commands without a usable answer."""
        self._options = connection_options(self.server, context)
        self._offset = Offset()
        self._pool = ConnectionPool(
            connection_class=BoundedConnection, max_connections=CONNECTIONS, **self._options
        )
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._late: set[asyncio.Task[Any]] = set()
        """Commands whose callers did not wait for the end."""
        self.redis = Redis(connection_pool=self._pool)

    @property
    def offset(self) -> Offset:
        """The difference between Redis' clock and ours, which may have been set since it was measured."""
        self._offset.followed(time.time() - steady())
        return self._offset

    def connection(self) -> BoundedConnection:
        """Return a new connection beside those of the pool, for news."""
        return BoundedConnection(**self._options)

    async def ask(self, command: Command[T], within: float | None = None) -> T:
        """Return what `command` returns of Redis. Raises `AwayError`, `RefusedError`.

        While the breaker is open that costs nothing. After `within` seconds the caller is told that Redis is away;
        the command goes on to its limit, so that its connection can be used again.
        """
        call = self.breaker.admits(time.monotonic())
        if call is None:
            raise AwayError(self.breaker.reason)
        if within is None:
            return await self._asked(command, call)
        task = asyncio.ensure_future(self._asked(command, call))
        self._late.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait((task,), timeout=within)
        if not done:
            raise AwayError(f"no answer within {within} s")
        return task.result()

    async def script(
        self,
        name: str,
        keys: Sequence[str],
        arguments: Sequence[Any],
        within: float | None = None,
        read: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """Run a script of `scripts/`; keys are those of the namespace. Raises as `ask` does.

        An answer for which `read` raises `ValueError` or `TypeError` counts as none.
        """
        full = [self.names.key(key) for key in keys]
        text, digest = script_text(name)

        async def run(redis: Redis) -> Any:
            try:
                answer = await redis.evalsha(digest, len(full), *full, *arguments)
            except NoScriptError:  # a Redis that was started again
                answer = await redis.eval(text, len(full), *full, *arguments)
            try:
                return read(answer)
            except (ValueError, TypeError) as e:
                raise InvalidResponse(f"{name}: an answer of another form") from e

        return await self.ask(run, within)

    async def close(self) -> None:
        """End all connections and commands, without waiting for Redis."""
        for task in self._late:
            task.cancel()
        await self._pool.disconnect()

    async def _asked(self, command: Command[T], call: Call) -> T:
        try:
            async with asyncio.timeout(CONNECT_LIMIT + COMMAND_LIMIT), self._free:
                answer = await command(self.redis)
        except asyncio.CancelledError:
            self.breaker.abandoned(call)
            raise
        except MaxConnectionsError as e:  # a command with several at once; says nothing of Redis
            self.breaker.abandoned(call)
            raise AwayError("busy") from e
        except Exception as e:
            if is_away(e):
                raise self._failed(call, e) from e
            if isinstance(e, ResponseError):
                self._succeeded()
            else:
                self.breaker.abandoned(call)
            raise RefusedError(text_of(e)) from e
        self._succeeded()
        return answer

    def _succeeded(self) -> None:
        if self.breaker.succeeded(time.monotonic()):
            logger.warning("Redis is back")

    def _failed(self, call: Call, error: Exception) -> AwayError:
        self.errors += 1
        timeout = isinstance(error, RedisTimeoutError | TimeoutError)
        reason = "no answer in time" if timeout else text_of(error)
        if self.breaker.failed(call, time.monotonic(), reason, timeout=timeout):
            logger.warning("Redis is away (%s): each replica goes on by what it knows", reason)
        return AwayError(reason)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # the breaker has noted it


def is_away(error: Exception) -> bool:
    """Return whether Redis would not have answered any other command either."""
    if isinstance(error, ResponseError):
        return bool(AWAY.search(_with_code(error)))
    # a `DataError` is of what we have sent
    return isinstance(error, RedisError | OSError | TimeoutError) and not isinstance(
        error, DataError
    )


def text_of(error: Exception) -> str:
    """Return an error's text for the log: one line, bounded."""
    ours = isinstance(error, RedisError | RefusedError)
    text = SCRIPT.sub("", _with_code(error) if ours else f"{type(error).__name__}: {error}")
    if "unauthenticated" in text:
        text = "NOAUTH Authentication required."
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST_TEXT]).strip()


def _with_code(error: Exception) -> str:
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error) or type(error).__name__


@cache
def script_text(name: str) -> tuple[str, str]:
    """Return a script, behind what is common to all, and the digest by which Redis knows it."""
    folder = files("neurolink_mitm.cluster.redis") / "scripts"
    text = "".join((folder / f"{each}.lua").read_text("utf-8") for each in ("common", name))
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


def load_scripts() -> None:
    """Read all scripts, so that no command does it on the event loop. Blocks."""
    for each in (files("neurolink_mitm.cluster.redis") / "scripts").iterdir():
        name, dot, ending = each.name.partition(".")
        if dot and ending == "lua":
            script_text(name)
