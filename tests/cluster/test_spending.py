"""What three replicas spend is one sum, over a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from neurolink_mitm.adapters.cost import Spending, read_day
from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.cluster.home.seal import Sealer
from neurolink_mitm.cluster.limits.spending import SharedSpending
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.daybook import DAY
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.ports import Runtime
from tests.cluster.redis_server import RedisServer
from tests.fakes import make_account, make_runtime

pytestmark = pytest.mark.real("redis")
SEALER = Sealer(Secret(base64.b64encode(bytes(32)).decode()), "nl")
NAMES = (f"r{n}" for n in itertools.count())


@dataclass
class Proxy:
    replica: Replica
    runtime: Runtime
    alone: Spending

    @property
    def budget(self) -> Budget:
        return self.runtime.pool.budget

    def spend(self, usd: float, client: str | None = None) -> None:
        assert self.runtime.spending
        self.runtime.spending.add(usd, self.runtime.clock.now(), client, usd)

    def may_spend(self, usd: float) -> bool:
        """Spend, if the cap allows it."""
        account = make_account(type="api_key")
        now = self.runtime.clock.now()
        if self.budget.ineligible(account, now, beside_subscription=False):
            return False
        self.spend(usd)
        return True

    async def stop(self) -> None:
        await self.replica.stop()
        await asyncio.to_thread(self.alone.close)


async def member(server: RedisServer, home: Path, cap: float | None = None) -> Proxy:
    runtime = make_runtime()
    runtime.clock = SystemClock()
    runtime.pool.budget.cap = cap
    await asyncio.to_thread(home.mkdir, exist_ok=True)
    runtime.spending = alone = Spending(home / "spend.json", runtime.pool.budget)
    replica = Replica(Link(Secret(server.url), "nl"), next(NAMES), lambda _: Member())
    replica.share([SharedSpending(replica, runtime, alone, SEALER)])
    await replica.start()
    return Proxy(replica, runtime, alone)


@asynccontextmanager
async def three(
    server: RedisServer, tmp_path: Path, cap: float | None = None
) -> AsyncIterator[list[Proxy]]:
    async with AsyncExitStack() as stack:
        members = []
        for name in "abc":
            members.append(await member(server, tmp_path / name, cap))
            stack.push_async_callback(members[-1].stop)
        await until(lambda: all(each.replica.count == 3 for each in members))
        yield members


async def until(holds: Callable[[], bool], limit: float = 6.0) -> None:
    async with asyncio.timeout(limit):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_replicas_show_the_sum_of_all_within_a_moment(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with three(redis_server, tmp_path) as members:
        for n, each in enumerate(members):
            each.spend(1.0 + n, "laptop")
        await until(lambda: all(each.budget.spent == 6.0 for each in members), 0.5)
        uses = [each.budget.clients["laptop"] for each in members]
        assert {(use.today_usd, use.total_usd, use.requests) for use in uses} == {(6.0, 6.0, 3)}
        now = members[0].runtime.clock.now()
        ends_at = members[0].budget.resets_at(now)
        assert abs(ends_at / DAY - round(ends_at / DAY)) * DAY < 1
    assert [read_day(tmp_path / name / "spend.json").usd for name in "abc"] == [6.0] * 3


async def test_redis_that_comes_back_empty_gets_all_back_once(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    async with three(redis_server, tmp_path) as members:
        for each in members:
            each.spend(1.0, "laptop")
        await until(lambda: all(each.budget.spent == 3.0 for each in members))
        redis_server.kill()
        for each in members:
            each.spend(10.0, "laptop")
        assert [each.budget.spent for each in members] == [13.0] * 3
        await members[2].stop()  # its file has what it could not write
        redis_server.start()
        await until(lambda: all(each.budget.spent == 23.0 for each in members[:2]))
        again = await member(redis_server, tmp_path / "c")
        await until(lambda: again.budget.spent == 33.0 == members[0].budget.spent)
        await until(lambda: members[1].budget.clients["laptop"].requests == 6)
        await again.stop()


async def test_without_redis_each_may_spend_its_part_of_what_is_left(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """1 of 10 is spent; three replicas may spend 3 more each."""
    async with three(redis_server, tmp_path, cap=10.0) as members:
        members[0].spend(1.0)
        await until(lambda: all(each.budget.spent == 1.0 for each in members))
        redis_server.kill()
        for each in members:
            each.budget.apart.synced_at -= 10  # as if it were long ago
        spent = [sum(each.may_spend(0.5) for _ in range(50)) * 0.5 for each in members]
        assert spent == [3.0, 3.0, 3.0]


async def test_a_proxy_that_leaves_the_cluster_goes_on_from_the_sum(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    a, b = [await member(redis_server, tmp_path / name) for name in "ab"]
    a.spend(2.0, "laptop")
    await until(lambda: b.budget.spent == 2.0)
    await b.replica.stop()
    await until(lambda: b.alone._lent is None)
    b.spend(1.0, "laptop")
    await asyncio.to_thread(b.alone.close)
    await a.stop()
    day = read_day(tmp_path / "b" / "spend.json")
    assert (day.usd, day.clients["laptop"].today_usd, day.clients["laptop"].requests) == (
        3.0,
        3.0,
        2,
    )


async def test_what_was_spent_alone_today_counts_when_a_home_joins(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    alone = Spending(tmp_path / "spend.json", Budget())
    alone.add(4.0, SystemClock().now(), "laptop", 4.0)
    alone.close()
    a = await member(redis_server, tmp_path)
    b = await member(redis_server, tmp_path)  # on a shared volume
    await until(lambda: a.budget.spent == b.budget.spent == 4.0)
    a.spend(1.0)
    await until(lambda: a.budget.spent == b.budget.spent == 5.0)
    await a.stop()
    await b.stop()
    assert read_day(tmp_path / "spend.json").usd == 5.0


@pytest.mark.parametrize("broken", ["versions", "parts", "both", "types", "forged"])
async def test_what_others_write_into_redis_breaks_nothing(
    redis_server: RedisServer, tmp_path: Path, broken: str
) -> None:
    a, b = [await member(redis_server, tmp_path / name) for name in "ab"]
    a.spend(2.0)
    await until(lambda: b.budget.spent == 2.0)
    redis, day = a.replica.link.redis, a.runtime.spending._today()  # type: ignore[union-attr]
    names = a.replica.link.names
    versions, parts = names.key(f"spend {day} versions"), names.key(f"spend {day} parts")
    if broken in ("versions", "both"):
        await redis.hset(versions, mapping={a.replica.id: "9" * 15, "x": "nan", "y": "z" * 9999})
    if broken in ("parts", "both"):
        await redis.hset(parts, mapping={a.replica.id: '{"usd":-5}', "x": "\xff", "y": "{}"})
    if broken == "forged":
        moved = await redis.hget(parts, a.replica.id)
        await redis.hset(versions, mapping={"x": "1", "y": "1", "z": "1"})
        sums = {"x": '{"usd":1e9}', "y": moved, "z": "A" * 56 + '{"usd":1e9}'}
        await redis.hset(parts, mapping=sums)
        await redis.publish(
            names.news, msgspec.msgpack.encode(["spend", "x", str(day), "w", "1", '{"usd":1e9}'])
        )
    if broken == "types":
        await redis.delete(versions, parts)
        await redis.set(versions, "x")
        await redis.lpush(parts, "x")
    b.spend(1.0)
    await until(lambda: a.budget.spent == b.budget.spent == 3.0)
    again = await member(redis_server, tmp_path / "c")
    await until(lambda: again.budget.spent == 3.0)
    for each in (a, b, again):
        await each.stop()
