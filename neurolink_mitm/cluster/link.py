"""The connection to Redis: bounded in every way, behind a breaker, and never waited for by a request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from neurolink_mitm.cluster.names import Names
from neurolink_mitm.core.cluster.breaker import Breaker
from neurolink_mitm.core.cluster.offset import Offset
from neurolink_mitm.core.redact.secret import Secret

logger = logging.getLogger("neurolink.cluster")

CONNECT_LIMIT = 0.2
"""Seconds to connect."""
COMMAND_LIMIT = 0.25
"""Seconds for the answer to a command."""
CONNECTIONS = 8
"""Connections of one replica at most, without that for news."""

T = TypeVar("T")
Command = Callable[["Redis"], Awaitable[T]]


class AwayError(Exception):
    """Redis does not answer, or the breaker is open: go on with what is known, and try again later."""


class Link:
    """Asks Redis, within `CONNECT_LIMIT` and `COMMAND_LIMIT`."""

    def __init__(self, url: Secret, namespace: str) -> None:
        self.names = Names(namespace)
        self.breaker = Breaker()
        self.offset = Offset()
        self._pool = BlockingConnectionPool.from_url(
            url.reveal(),
            max_connections=CONNECTIONS,
            timeout=COMMAND_LIMIT,
            socket_connect_timeout=CONNECT_LIMIT,
            socket_timeout=COMMAND_LIMIT,
            retry=Retry(NoBackoff(), 0),
            client_name="neurolink",
        )
        self.redis: Redis = Redis(connection_pool=self._pool)

    async def ask(self, command: Command[T]) -> T:
        """Return what `command` returns of Redis. Raises `AwayError`."""
        if not self.breaker.admits(time.monotonic()):
            raise AwayError(self.breaker.reason)
        try:
            async with asyncio.timeout(CONNECT_LIMIT + 2 * COMMAND_LIMIT):
                answer = await command(self.redis)
        except (RedisError, OSError, TimeoutError, ValueError) as e:
            timeout = isinstance(e, RedisTimeoutError | TimeoutError)
            reason = type(e).__name__
            if self.breaker.failed(time.monotonic(), reason, timeout=timeout):
                logger.warning("Redis is away (%s): replicas go on by what each knows", reason)
            raise AwayError(reason) from e
        except asyncio.CancelledError:
            self.breaker.abandoned()
            raise
        if self.breaker.succeeded(time.monotonic()):
            logger.warning("Redis is back")
        return answer

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script of `scripts/`; keys are those of the namespace. Raises `AwayError`."""
        full = [self.names.key(key) for key in keys]

        async def run(redis: Redis) -> Any:
            return await redis.register_script(script_text(name))(full, arguments)

        return await self.ask(run)

    async def close(self) -> None:
        await self.redis.aclose()
        await self._pool.disconnect()


@cache
def script_text(name: str) -> str:
    return (files("neurolink_mitm.cluster") / "scripts" / f"{name}.lua").read_text()
