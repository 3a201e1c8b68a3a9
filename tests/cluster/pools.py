"""Replicas that have a pool and no proxy: what the feeds of the pool do, over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.cluster.pool.feeds import pool_feeds
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.ports import Runtime
from tests.cluster.redis_server import RedisServer
from tests.fakes import FakeCluster, MemoryStateStore, make_account, make_failure, make_runtime

ASKED = Requirements(claude_code=True, model="claude-opus-4-6")
WORK, HOME = "anthropic:work", "anthropic:home"
LIMIT = 5.0
"""Seconds that a test waits for what should take milliseconds."""


class PoolReplica:
    """One replica: its runtime, and what requests would do with its pool."""

    def __init__(
        self, server: RedisServer, name: str, namespace: str, accounts: list[Account]
    ) -> None:
        self.file = MemoryStateStore()
        self.runtime: Runtime = make_runtime(
            pool=Pool(accounts), clock=SystemClock(), state_store=self.file
        )
        self.runtime.cluster = FakeCluster(name=name)
        self.replica = Replica(
            Link(Secret(server.url), namespace), name, lambda _: Member(name=name)
        )
        self.replica.share(pool_feeds(self.replica, self.runtime))

    @property
    def pool(self) -> Pool:
        return self.runtime.pool

    def now(self) -> float:
        return self.runtime.clock.now()

    def hand_on(self) -> None:
        """Do what addons do after each response."""
        self.runtime.state_store.cooldowns(self.pool.cooldowns())
        self.runtime.state_store.quotas(self.pool.quotas())

    def begin(self, key: str = WORK) -> float:
        sent_at = self.now()
        self.pool.began(key, ASKED, sent_at)
        return sent_at

    def limited(self, sent_at: float | None = None, key: str = WORK, wait: int = 1) -> None:
        """A 429 comes, to a request sent right now unless `sent_at` says otherwise."""
        sent_at = self.begin(key) if sent_at is None else sent_at
        self.pool.ended(key, sent_at=sent_at)
        failure = make_failure(429, f"retry-after: {wait}")
        self.pool.failed(key, ASKED, failure, sent_at=sent_at, now=self.now())
        self.hand_on()

    def served(self, sent_at: float | None = None, key: str = WORK) -> None:
        sent_at = self.begin(key) if sent_at is None else sent_at
        self.pool.ended(key, sent_at=sent_at)
        self.pool.succeeded(key, ASKED, sent_at=sent_at, now=self.now())
        self.hand_on()

    def chooses(self, key: str) -> bool:
        account = self.pool.choose(ASKED, self.now()).account
        return account is not None and account.key == key

    def has_cooldown(self, key: str = WORK) -> bool:
        return "*" in self.pool.account_state(key).cooldowns

    def cooldown(self, key: str = WORK) -> Cooldown:
        return self.pool.account_state(key).cooldowns["*"]

    def cools(self, key: str = WORK) -> bool:
        return self.has_cooldown(key) and self.cooldown(key).cooling(self.now())

    def has_cooled(self, key: str = WORK) -> bool:
        """Return whether the account may be tried again, by the clocks of all replicas."""
        return self.has_cooldown(key) and self.cooldown(key).until + 0.02 < self.now()


@asynccontextmanager
async def pool_replicas(
    server: RedisServer, namespace: str, count: int = 2, accounts: list[Account] | None = None
) -> AsyncIterator[list[PoolReplica]]:
    """Start replicas `a`, `b`, … that share the accounts `work` and `home`."""
    accounts = [make_account("work"), make_account("home")] if accounts is None else accounts
    replicas = [PoolReplica(server, name, namespace, accounts) for name in "abcdef"[:count]]
    async with AsyncExitStack() as stack:
        for each in replicas:
            await each.replica.start()
            stack.push_async_callback(each.replica.stop)
        yield replicas


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - news come from Redis
            await asyncio.sleep(0.001)
