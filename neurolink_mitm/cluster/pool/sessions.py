"""Shares where sessions are, so that one that comes to another replica keeps its account and its prompt cache."""

from __future__ import annotations

import asyncio
import binascii
import logging
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.sessions import (
    CAPACITY,
    DIGEST,
    LONGEST_VALUE,
    SharedAffinity,
    place_text,
    read_place,
    several,
)
from neurolink_mitm.core.pool.affinity import LIFETIME, Affinity
from neurolink_mitm.core.pool.pool import Pool

logger = logging.getLogger("neurolink.cluster")

BATCH = 500
"""Sessions in one script: about 3 ms of Redis, and less of the event loop."""
PATIENCE = 0.25
"""Seconds that changes are collected before they are written."""
SLICE = 0.3
"""Seconds of a tick in which batches are read or written, after one another."""
PAUSE = 0.01
"""Seconds after each batch but those of the first reading: where Redis has lost all, every replica writes all."""
FROM_START = "-inf"
AHEAD = 61.0
"""Seconds by which the last score may be ahead of Redis' clock: see the scripts."""


class Sessions:
    """The feed of session affinity; without affinity in the configuration, nothing is shared."""

    kind = "sessions"

    def __init__(self, replica: Replica, pool: Pool, key: bytes) -> None:
        """`key` is what the names of sessions are digested with: the same in all replicas."""
        self._replica = replica
        self._pool = pool
        self._key = key
        self._cursor = FROM_START
        self._loaded = False
        self._keys: dict[bytes, str] = {}
        self._accounts: Sequence[object] = ()
        self._waking: asyncio.TimerHandle | None = None
        self._closed = False
        pool.keep_sessions(self._make)

    def _make(self, before: Affinity | None) -> Affinity:
        self._cursor, self._loaded = FROM_START, False
        affinity = SharedAffinity(
            self._key, self._pool.has, alone=self._is_alone, on_change=self._changed
        )
        if before is not None:
            affinity.adopt(before)
        return affinity

    def _is_alone(self) -> bool:
        """Return whether Redis does not answer, or has not yet told all its sessions."""
        away = bool(self._replica.link.breaker.reason) or not self._loaded
        return away and not self._closed

    def _changed(self) -> None:
        if self._waking is None and not self._closed:
            self._waking = asyncio.get_running_loop().call_later(PATIENCE, self._wake)

    def _wake(self) -> None:
        self._waking = None
        self._replica.wake(self.kind)

    def _affinity(self) -> SharedAffinity | None:
        affinity = self._pool.affinity
        return affinity if isinstance(affinity, SharedAffinity) else None

    def heard(self, news: list[Any]) -> None:
        affinity = self._affinity()
        if affinity is None:
            return
        names = [each.encode() for each in news[1 : 1 + 2 * BATCH] if isinstance(each, str)]
        self._take(affinity, names)

    async def push(self, link: Link) -> None:
        affinity = self._affinity()
        if affinity is None:
            return
        until = time.monotonic() + SLICE
        while not affinity.is_written and time.monotonic() < until:
            await self._write(link, affinity)
            if not affinity.is_written:
                await asyncio.sleep(PAUSE)

    async def _write(self, link: Link, affinity: SharedAffinity) -> None:
        batch = affinity.batch(BATCH)
        if not batch:
            return
        arguments: list[object] = [link.names.news, self._replica.id]
        for name, place, changed in batch:
            text = place_text(place, link.offset.to_server)
            arguments += [urlsafe_b64encode(name), text, int(changed)]
        await link.script("sessions_write", ["sessions", "sessions:written"], arguments)
        affinity.wrote(batch)

    async def read(self, link: Link) -> None:
        affinity = self._affinity()
        if affinity is None:
            return
        self._follow_accounts()
        until = time.monotonic() + SLICE
        while time.monotonic() < until:
            if not await self._read_batch(link, affinity):
                break
            await asyncio.sleep(PAUSE if self._loaded else 0)
        affinity.expire(time.time(), BATCH)

    async def _read_batch(self, link: Link, affinity: SharedAffinity) -> bool:
        """Take over what was written after what was read last; return whether there is more."""
        asked = self._cursor
        after = asked if asked == FROM_START else f"({asked}"
        arguments = [after, BATCH, LIFETIME, CAPACITY, LONGEST_VALUE]
        server, last, flat = await link.script(
            "sessions_read", ["sessions", "sessions:written"], arguments
        )
        if self._cursor != asked:  # begun anew meanwhile
            return True
        if last:
            self._cursor = last.decode()
            self._take(affinity, flat)
            return True
        self._loaded = True
        if asked != FROM_START and float(asked) > float(server) + AHEAD:  # its clock was set back
            self._cursor = FROM_START
        return False

    def _take(self, affinity: SharedAffinity, flat: list[bytes]) -> None:
        now, to_ours = time.time(), self._replica.link.offset.to_ours
        for text, value in several(flat, 2):
            name, place = _digest(text), read_place(value, self._keys, to_ours)
            if name and place:
                affinity.merge(name, place, now)

    def _follow_accounts(self) -> None:
        """Read all again where there are other accounts than before."""
        accounts = self._pool.accounts
        if accounts is self._accounts:
            return
        keys = {each.key.encode("utf-8", "surrogatepass"): each.key for each in accounts}
        if keys != self._keys:
            self._cursor = FROM_START
        self._accounts, self._keys = accounts, keys

    def lost(self) -> None:
        self._cursor = FROM_START
        if affinity := self._affinity():
            affinity.write_all()

    async def leave(self, link: Link) -> None:
        """Do nothing: what is unwritten has been pushed."""

    def close(self) -> None:
        self._closed = True
        if self._waking:
            self._waking.cancel()


def _digest(text: bytes) -> bytes | None:
    try:
        name = urlsafe_b64decode(text)
    except (binascii.Error, ValueError):
        return None
    return name if len(name) == DIGEST else None
