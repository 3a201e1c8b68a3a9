"""Feeds for tests, and how to wait for what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.cluster.redis.link import Link

LIMIT = 10.0
"""Seconds that a test waits for something."""


@dataclass
class FakeFeed:
    """Counts what is asked of it; `fault` is raised by a push, `hang` waits in a reading."""

    kind: str = "things"
    fault: Exception | None = None
    hang: bool = False
    pushes: int = 0
    readings: int = 0
    losses: int = 0
    left: int = 0
    closed: int = 0
    news: list[list[Any]] = field(default_factory=list)

    def heard(self, news: list[Any]) -> None:
        self.news.append(news)
        if self.fault:
            raise self.fault

    async def push(self, link: Link) -> None:
        self.pushes += 1
        if self.fault:
            raise self.fault

    async def read(self, link: Link) -> None:
        if self.hang:
            await asyncio.Event().wait()
        self.readings += 1

    def lost(self) -> None:
        self.losses += 1

    async def leave(self, link: Link) -> None:
        self.left += 1

    def close(self) -> None:
        self.closed += 1


async def until(holds: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(LIMIT):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {LIMIT} s: {what}") from None
