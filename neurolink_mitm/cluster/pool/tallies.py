"""Shares what each replica has counted of each account, for the sums in `/status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import MOST
from neurolink_mitm.core.cluster.tallies import Tallies, read_tallies, summed, tallies_of
from neurolink_mitm.core.pool.pool import Pool

EVERY = 5.0
"""Seconds: sums are for people."""
LARGEST, LARGEST_OF_ALL = 50_000, 400_000
"""Bytes of one replica's counts, and of all: those of 500 accounts are about 20,000, and are read within 0.5 ms."""


class CountedByAll:
    """The feed of counts. What a replica has counted is its own and newest; one that is gone no longer counts."""

    kind = "tallies"

    def __init__(self, replica: Replica, pool: Pool) -> None:
        self._replica = replica
        self._pool = pool
        self._others: Sequence[Tallies] = ()
        self._written = b""
        self._next = 0.0

    def rows(self) -> list[dict[str, object]]:
        """Return a row for each account; this replica's counts are those of now. Any thread may ask."""
        pool = self._pool
        own = tallies_of(pool.states_of(pool.accounts))
        return summed(pool.accounts, (own, *self._others))

    def heard(self, news: list[Any]) -> None:
        """Do nothing: counts are not published."""

    async def push(self, link: Link) -> None:
        """Do nothing: `read` writes, too."""

    async def read(self, link: Link) -> None:
        if time.monotonic() < self._next:
            return
        pool = self._pool
        own = msgspec.json.encode(tallies_of(pool.states_of(pool.accounts)))
        changed = own if own != self._written and len(own) <= LARGEST else b""
        others = await link.script(
            "tallies",
            ["tallies", "alive"],
            [self._replica.id, changed, MOST, LARGEST, LARGEST_OF_ALL],
            read=_read,
        )
        keys = {account.key: account for account in pool.accounts}
        self._others = [read_tallies(each, keys) for each in others]
        self._written, self._next = own, time.monotonic() + EVERY

    def lost(self) -> None:
        self._written, self._next = b"", 0.0

    async def leave(self, link: Link) -> None:
        """Do nothing: who is gone does not count."""

    def close(self) -> None:
        """Do nothing: there is nothing that it is attached to."""


def _read(answer: Any) -> list[bytes]:
    if isinstance(answer, list) and all(isinstance(each, bytes) for each in answer):
        return answer
    raise ValueError("not what the script returns")
