"""The connection to Redis: bounded in every way, behind a breaker, and never waited for by a request."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
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


class RefusedError(Exception):
    """Redis answers, but not to this command: a key of another type, an error in a script."""


class Link:
    """Asks Redis, within `CONNECT_LIMIT` and `COMMAND_LIMIT`."""

    def __init__(self, url: Secret, namespace: str) -> None:
        self.names = Names(namespace)
        self.breaker = Breaker()
        self.offset = Offset()
        self.errors = 0
        """Commands that Redis has not answered."""
        self.began_at = time.monotonic()
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
        """Return what `command` returns of Redis. Raises `AwayError`, `RefusedError`."""
        if not self.breaker.admits(time.monotonic()):
            raise AwayError(self.breaker.reason)
        try:
            async with asyncio.timeout(CONNECT_LIMIT + 2 * COMMAND_LIMIT):
                answer = await command(self.redis)
        except ResponseError as e:
            if not away(e):
                self._succeeded()
                raise RefusedError(str(e)) from e
            raise self._failed(e) from e
        except (RedisError, OSError, TimeoutError, ValueError) as e:
            raise self._failed(e) from e
        except asyncio.CancelledError:
            self.breaker.abandoned()
            raise
        self._succeeded()
        return answer

    async def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script of `scripts/`; keys are those of the namespace. Raises as `ask` does."""
        full = [self.names.key(key) for key in keys]

        async def run(redis: Redis) -> Any:
            return await redis.register_script(script_text(name))(full, arguments)

        return await self.ask(run)

    def _succeeded(self) -> None:
        if self.breaker.succeeded(time.monotonic()):
            logger.warning("Redis is back")

    def _failed(self, e: Exception) -> AwayError:
        self.errors += 1
        timeout = isinstance(e, RedisTimeoutError | TimeoutError)
        reason = type(e).__name__
        if self.breaker.failed(time.monotonic(), reason, timeout=timeout):
            logger.warning("Redis is away (%s): replicas go on by what each knows", reason)
        return AwayError(reason)

    async def close(self) -> None:
        await self.redis.aclose()
        await self._pool.disconnect()


AWAY = re.compile(
    r"\b(LOADING|READONLY|OOM|MISCONF|NOAUTH|WRONGPASS|NOPERM|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS)\b"
)
"""Errors of a server that serves no command; in a script's error they stand within the text."""


def away(error: Exception) -> bool:
    """Return whether Redis could not answer any other command either."""
    return not isinstance(error, ResponseError) or bool(AWAY.search(str(error)))


@cache
def script_text(name: str) -> str:
    return (files("neurolink_mitm.cluster") / "scripts" / f"{name}.lua").read_text()
