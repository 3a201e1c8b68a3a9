"""The quotas of accounts, the same in all replicas: forecasts and `quota-aware` agree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from neurolink_mitm.cluster.pool.cooldowns import Cooldowns, pairs_of, sliced
from neurolink_mitm.cluster.pool.state_store import SharedStateStore
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.quotas import bounded, newest, news_of, shifted
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.ports import Runtime

EVERY = 0.25
"""Seconds from one push to the next: quotas change with each response."""
CLOSE = 0.001
"""Seconds by which one time differs at most: clocks were converted, and back."""
BATCH = 50
"""Quotas of one script at most."""


class Id(NamedTuple):
    """Whose quota: an account, by its key and by what makes it the same account upstream."""

    account: str
    identity: str


class Quotas:
    """Pushes quotas that are new here, and takes over those that are newer elsewhere."""

    kind = "quotas"

    def __init__(
        self, replica: Replica, runtime: Runtime, cooldowns: Cooldowns, store: SharedStateStore
    ) -> None:
        self._replica, self._runtime, self._cooldowns = replica, runtime, cooldowns
        self._written: dict[str, Quota] = {}
        """What needs no writing, by account."""
        self._read: dict[bytes, bytes] = {}
        """What was last read of Redis."""
        self._in_step = False
        """All that Redis has was read: before that, ours would seem to lack windows that were ended elsewhere."""
        self._due: asyncio.TimerHandle | None = None
        store.on_quotas.append(self._changed)

    def _changed(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(EVERY, self._wake)

    def _wake(self) -> None:
        self._due = None
        self._replica.wake(self.kind)

    def heard(self, news: list[Any]) -> None:
        for field, (at, text) in news[1 : 1 + BATCH]:
            self._take(field.encode(), float(at), text)

    async def push(self, link: Link) -> None:
        if not self._in_step:
            return
        present = self._runtime.pool.quotas()
        new = [
            (key, quota) for key, quota in present.items() if self._written.get(key) is not quota
        ]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            arguments = [self.kind, self._replica.id, *self._encoded(link, batch)]
            await link.script("newest", ["quotas", "news"], arguments)
            self._written.update(batch)

    def _encoded(self, link: Link, quotas: Iterable[tuple[str, Quota]]) -> Iterable[bytes | float]:
        seconds = link.offset.to_server(0.0)
        for key, quota in quotas:
            if identity := self._identity(key):
                shared = shifted(quota, seconds)
                yield msgspec.json.encode(Id(key, identity))
                yield shared.seen_at
                yield msgspec.json.encode(shared)

    async def read(self, link: Link) -> None:
        read = await link.script("hash_read", ["quotas"], [], read=pairs_of)
        new = [(field, value) for field, value in read.items() if self._read.get(field) != value]
        async for part in sliced(new):
            for field, value in part:
                self._take_value(field, value)
        self._read = read
        self._in_step = True

    def _take_value(self, field: bytes, value: bytes) -> None:
        try:
            at, text = msgspec.msgpack.decode(value, type=tuple[float, str])
        except UNREADABLE:
            return
        self._take(field, at, text)

    def _take(self, field: bytes, at: float, text: str) -> None:
        """Take over the quota of one account, if it is one."""
        try:
            account, identity = msgspec.json.decode(field, type=Id)
            quota = msgspec.json.decode(text, type=Quota)
        except UNREADABLE:
            return
        if self._identity(account) != identity or quota.seen_at != at:
            return
        offset, now = self._replica.link.offset, self._runtime.clock.now()
        shared = bounded(shifted(quota, offset.to_ours(0.0)), now)
        ours = self._runtime.pool.account_state(account).quota
        if shared is None or (ours and shared.seen_at <= ours.seen_at + CLOSE):
            return
        latest = newest(shared, ours)
        self._runtime.pool.share_quota(account, latest, news_of(shared, ours))
        if ours is None or self._written.get(account) is ours:  # else ours has something to write
            self._written[account] = latest

    def _identity(self, key: str) -> str | None:
        """Return what the same account has in all replicas, though its token is another one."""
        target = self._runtime.pool.target(key)
        if target is None or target.account_uuid is None:
            return self._cooldowns.credential(key)
        identity = f"{target.account_uuid}/{target.organization_uuid}"
        return sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def lost(self) -> None:
        self._read.clear()
        self._written.clear()

    async def leave(self, link: Link) -> None:
        await self.push(link)

    def close(self) -> None:
        if self._due:
            self._due.cancel()
