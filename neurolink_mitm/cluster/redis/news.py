"""Hears what replicas publish, on a connection of its own, which is made again when it ends or falls silent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from neurolink_mitm.cluster.redis.connection import BoundedConnection
from neurolink_mitm.cluster.redis.link import Link, text_of

logger = logging.getLogger("neurolink.cluster")

SILENCE = 3.0
"""Seconds without news after which a connection is dead: each replica publishes a beat a second."""
PAUSES = (0.2, 4.0)
"""Seconds from one try to the next, at first and at most."""
SLICE, REST = 0.005, 0.02
"""Seconds of the event loop that news in a row may take, and that it then has for all else."""
WAITED = 0.001
"""Seconds after which news did not follow at once."""
TOLD_AFTER = 10.0
"""Seconds without a subscription, while Redis answers, after which that is logged."""


class News:
    """One subscription."""

    def __init__(self, link: Link, take: Callable[[bytes], None]) -> None:
        """`take` gets what is published, and does not raise."""
        self.hearing = False
        """Whether it is subscribed."""
        self._link = link
        self._take = take
        self._again = asyncio.Event()
        self._pause = PAUSES[0]
        self._deaf_since: float | None = None
        self._told = False

    def retry(self) -> None:
        """Subscribe without a pause: Redis is back."""
        self._again.set()

    async def hear(self) -> None:
        """Hear until cancelled. What is missed meanwhile is made up for by the readings."""
        while True:
            try:
                if not self._link.breaker.is_open:
                    await self._subscribed()
            except Exception as e:
                self._tell(e)
            finally:
                self.hearing = False
            self._again.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), self._pause)
            self._pause = min(PAUSES[1], self._pause * 2)

    async def _subscribed(self) -> None:
        connection = self._link.connection()
        try:
            await connection.connect()
            await connection.send_command("SUBSCRIBE", self._link.names.news)
            await self._receive(connection)
        finally:
            await connection.disconnect()

    async def _receive(self, connection: BoundedConnection) -> None:
        since = time.monotonic()
        while True:
            asked = time.monotonic()
            answer = await connection.read_response(timeout=SILENCE)
            if time.monotonic() - asked > WAITED:
                since = time.monotonic()
            match answer:
                case [b"message", _, bytes() as data]:
                    self._take(data)
                case [b"subscribe", *_]:
                    self.hearing, self._pause, self._deaf_since = True, PAUSES[0], None
                case None:
                    raise TimeoutError(f"no beat for {SILENCE:.0f} s")
            if time.monotonic() - since > SLICE:  # a flood would not let go of the loop
                await asyncio.sleep(REST)
                since = time.monotonic()

    def _tell(self, error: Exception) -> None:
        """Log, once, that only the subscription fails: where Redis is away, that has its own line."""
        now = time.monotonic()
        if self._link.breaker.is_open or self._deaf_since is None:
            self._deaf_since = now
        if now - self._deaf_since >= TOLD_AFTER and not self._told:
            self._told = True
            logger.warning(
                "news of other replicas are not heard (%s): read each second", text_of(error)
            )
