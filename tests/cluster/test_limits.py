"""Limits that three replicas keep together, over a real Redis; and the scripts one by one."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.cluster.home.seal import Sealer
from neurolink_mitm.cluster.limits.feeds import limit_feeds
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.redis.names import Names
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cluster.account_limits import SharedLimits
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cluster.offset import Offset
from neurolink_mitm.core.cluster.slots import HANDOVER, LEASE
from neurolink_mitm.core.cost.client_limits import ClientLimits
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.ports import Runtime
from tests.cluster.redis_server import RedisServer
from tests.fakes import make_account, make_exchange, make_runtime

pytestmark = pytest.mark.real("redis")
SEALER = Sealer(Secret(base64.b64encode(bytes(32)).decode()), "nl")
NAMESPACES = (f"n{n}" for n in itertools.count())
ASKED = Requirements(claude_code=True)


@pytest.fixture
async def link(server: RedisServer) -> AsyncIterator[Link]:
    link = Link(Secret(server.url), next(NAMESPACES))
    yield link
    await link.close()


@dataclass
class Proxy:
    replica: Replica
    runtime: Runtime

    def send(self) -> float | None:
        """Begin a request, if the account may serve it; return when."""
        now = self.runtime.clock.now()
        chosen = self.runtime.pool.choose(ASKED, now).account
        if chosen is None:
            return None
        self.runtime.pool.began(chosen.key, ASKED, now)
        return now

    def end(self, sent_at: float) -> None:
        self.runtime.pool.ended(self.runtime.pool.accounts[0].key, sent_at=sent_at)


@asynccontextmanager
async def three(server: RedisServer, **limits: Any) -> AsyncIterator[list[Proxy]]:
    """Start three replicas, each with its own pool of one account."""
    namespace, members = next(NAMESPACES), []
    async with AsyncExitStack() as stack:
        for name in "abc":
            runtime = make_runtime(make_account(**limits))
            runtime.clock = SystemClock()
            link = Link(Secret(server.url), namespace)
            replica = Replica(link, name, lambda _: Member())
            replica.share(limit_feeds(replica, runtime, SEALER))
            await replica.start()
            stack.push_async_callback(replica.stop)
            members.append(Proxy(replica, runtime))
        async with asyncio.timeout(5):
            while any(each.replica.count < 3 for each in members):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield members


async def test_a_rate_is_kept_together(server: RedisServer) -> None:
    """600 a minute: 10 a second and a burst of 40; all three try as often as they can."""
    async with three(server, rate_limit=600) as members:
        loop, sent = asyncio.get_running_loop(), 0
        began = loop.time()
        while loop.time() - began < 1.5:
            for each in members:
                while each.send():
                    sent += 1
            await asyncio.sleep(0.005)
        assert 0.9 * 55 <= sent <= 55 + 3


async def test_slots_are_never_more_than_the_limit_and_go_to_whoever_waits(
    server: RedisServer,
) -> None:
    async with three(server, max_concurrent=2) as members:
        loop = asyncio.get_running_loop()
        began, served, running, most = loop.time(), [0, 0, 0], 0, 0

        async def caller(n: int) -> None:
            nonlocal running, most
            while loop.time() - began < 1.5:
                if sent_at := members[n].send():
                    served[n] += 1
                    running += 1
                    most = max(most, running)
                    await asyncio.sleep(0.02)
                    running -= 1
                    members[n].end(sent_at)
                else:
                    await asyncio.sleep(0.002)

        async with asyncio.timeout(10):
            await asyncio.gather(*(caller(n) for n in (0, 0, 0, 1, 1, 2)))
        assert most == 2
        assert min(served) > 5, served


class SlowLink:
    """A link whose scripts answer when `answer` is set."""

    def __init__(self) -> None:
        self.names = Names("nl")
        self.offset = Offset()
        self.asked: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.answers: asyncio.Queue[list[int]] = asyncio.Queue()

    async def script(self, name: str, keys: list[str], arguments: list[Any]) -> list[int]:
        self.asked.put_nowait(arguments)
        return await self.answers.get()


async def test_a_slot_that_goes_back_is_not_used_while_redis_is_asked() -> None:
    runtime, link = make_runtime(make_account(max_concurrent=2)), SlowLink()
    replica = Replica(Link(Secret("redis://127.0.0.1:1/0"), "nl"), "a", lambda _: Member())
    _, slots = limit_feeds(replica, runtime, SEALER)
    member = Proxy(replica, runtime)
    link.answers.put_nowait([2, 0])
    await slots.read(link)  # type: ignore[arg-type]
    assert member.send()
    assert runtime.pool.choose(ASKED, runtime.clock.now()).account  # which may be kept
    slots.heard(["b", runtime.pool.accounts[0].key])
    renewal = asyncio.create_task(slots.read(link))  # type: ignore[arg-type]
    await link.asked.get()
    await link.asked.get()
    assert member.send() is None
    link.answers.put_nowait([1, 1])
    await renewal


async def test_a_stopped_replica_leaves_its_slots_at_once(server: RedisServer) -> None:
    async with three(server, max_concurrent=3) as members:
        await members[1].replica.stop()
        await members[2].replica.stop()
        async with asyncio.timeout(3):
            sent = 0
            while sent < 3:
                sent += members[0].send() is not None
                await asyncio.sleep(0.01)


async def test_a_clients_rate_is_kept_together(server: RedisServer) -> None:
    """60 a minute: a burst of 4, though each of three replicas is asked four times."""
    async with three(server) as members:
        key = ClientKey("laptop", "0" * 64, 0.0, rate=60)
        exchange, admitted = make_exchange(client_key=key), 0
        for member in members * 4:
            limits: ClientLimits = member.runtime.client_limits
            now = member.runtime.clock.now()
            admitted += limits.refusal(exchange, member.runtime.pool.budget, now) is None
            await asyncio.sleep(0.02)
        assert 4 <= admitted <= 6


@pytest.mark.parametrize(
    "stored",
    ["", "nan", "inf", "-1", "1e308", "x" * 100_000, "99999999999999"],
    ids=["empty", "nan", "inf", "negative", "1e308", "long", "far"],
)
async def test_a_broken_arrival_time_is_a_limit_that_is_used_up(link: Link, stored: str) -> None:
    await link.redis.set(link.names.key("rate x"), stored)
    answer = await link.script("rates", ["rate x"], ["news", "me", 0, "x", "1.0", "11.0", 1])
    assert [float(each) for each in answer] == [1, 11.0]


@pytest.mark.parametrize("script", ["rates", "slots"])
async def test_a_key_of_another_type_is_replaced(link: Link, script: str) -> None:
    await link.redis.lpush(link.names.key("x"), "a", "b")
    arguments = {"rates": [0, "x", "1.0", "11.0", 0], "slots": [0, 5.0, "x", 3, 0, 1, 0]}[script]
    answer = await link.script(script, ["x"], ["news", "me", *arguments])
    assert answer == {"rates": [1, b"11.000000"], "slots": [1, 0]}[script]


@pytest.mark.parametrize(
    "entry",
    ["", "3", "nan 1 1", "3 inf 0", "3 99999999999 0", "-3 1 1", "3 1 1 1", "x" * 10_000],
)
async def test_an_entry_that_is_no_lease_holds_no_slots(link: Link, entry: str) -> None:
    await link.redis.hset(link.names.key("x"), "other", entry)
    assert await link.script("slots", ["x"], ["news", "me", 0, 5.0, "x", 3, 0, 3, 0]) == [3, 0]


async def test_a_hash_that_others_have_filled_is_emptied(link: Link) -> None:
    filled = {f"r{n}": "1 99999999999 0" for n in range(2000)}
    await link.redis.hset(link.names.key("x"), mapping=filled)
    assert await link.script("slots", ["x"], ["news", "me", 0, 5.0, "x", 3, 0, 3, 0]) == [3, 0]


async def test_slots_in_use_stay_though_others_have_them_too(link: Link) -> None:
    """A replica that was cut off comes back with its streams: they are counted."""
    await link.script("slots", ["x"], ["news", "a", 0, 5.0, "x", 3, 3, 3, 0])
    assert await link.script("slots", ["x"], ["news", "b", 0, 5.0, "x", 3, 2, 3, 0]) == [2, 0]


async def test_slots_of_a_replica_that_says_nothing_are_free_again(link: Link) -> None:
    await link.script("slots", ["x"], ["news", "a", 0, 0.05, "x", 3, 3, 3, 0])
    await asyncio.sleep(0.06)
    assert await link.script("slots", ["x"], ["news", "b", 0, 5.0, "x", 3, 0, 3, 0]) == [3, 0]


async def test_the_first_to_wait_is_the_first_to_get_a_slot(link: Link) -> None:
    async def ask(name: str, used: int, wanted: int, waits: int) -> list[int]:
        arguments = ["news", name, 0, 5.0, "x", 1, used, wanted, waits]
        answer: list[int] = await link.script("slots", ["x"], arguments)
        return answer

    assert await ask("a", 1, 1, 0) == [1, 0]
    assert await ask("b", 0, 1, 1) == [0, 0]
    assert await ask("c", 0, 1, 1) == [0, 1]
    assert await ask("a", 0, 1, 1) == [0, 2]  # its request has ended, and another one waits
    assert await ask("c", 0, 1, 1) == [0, 2]
    assert await ask("b", 0, 1, 1) == [1, 2]


async def test_what_redis_carries_out_too_late_changes_nothing(link: Link) -> None:
    """It hung, and the replica has asked again meanwhile."""
    late = time.time() - 5
    arguments = ["news", "me", late, "x", "1.0", "11.0", 1]
    assert await link.script("rates", ["rate x"], arguments) == [0, b"0.000000"]
    assert await link.script("slots", ["x"], ["news", "me", late, 5.0, "x", 3, 0, 3, 0]) == []


async def test_a_request_waits_a_moment_for_the_idle_slot_of_another_replica(
    server: RedisServer,
) -> None:
    """One slot for three: whichever replica is asked, the request is served, one after the other."""
    async with three(server, max_concurrent=1) as members:
        for member in members * 2:
            now = member.runtime.clock.now()
            choice = member.runtime.pool.choose(ASKED, now, waits=True)
            if choice.account is None:
                assert choice.wait_until is not None
                assert 0 < choice.wait_until - now <= HANDOVER
            async with asyncio.timeout(5):
                while (sent_at := member.send()) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            member.end(sent_at)


async def test_nobody_waits_for_a_slot_while_redis_is_away(server: RedisServer) -> None:
    async with three(server, max_concurrent=1) as members:
        runtime = members[0].runtime
        runtime.pool.began(runtime.pool.accounts[0].key, ASKED, runtime.clock.now())
        later = runtime.clock.now() + LEASE
        assert runtime.pool.choose(ASKED, later, waits=True).wait_until is None


async def test_a_held_request_asks_for_a_slot_again_and_again(server: RedisServer) -> None:
    async with three(server, max_concurrent=1) as members:
        pool, now = members[0].runtime.pool, members[0].runtime.clock.now()
        [account] = pool.accounts
        pool.began(account.key, ASKED, now)
        pool.foresee(ASKED, now)
        limits = pool.account_state(account.key).limits
        assert isinstance(limits, SharedLimits)
        assert limits.slots
        limits.slots.wanted_at = -1.0
        pool.foresee(ASKED, now, (account.key,))
        assert limits.slots.wanted_at == now
