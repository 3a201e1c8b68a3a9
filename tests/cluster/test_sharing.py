"""Homes come in step by themselves while their replicas run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.pause_file import pause, read_pauses
from neurolink_mitm.cluster.home.sharing import Sharing
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.members import Member, Members, login, members
from tests.cluster.redis_server import RedisServer

pytestmark = [pytest.mark.real("redis"), pytest.mark.timeout(60)]


@pytest.fixture
def pool(tmp_path: Path, redis_server: RedisServer) -> Iterator[Members]:
    with members(tmp_path, redis_server.url, "nl") as made:
        yield made


class Running:
    """A member whose replica runs."""

    def __init__(self, member: Member, url: str) -> None:
        self.member = member
        self.closed: list[str] = []
        home = member.home
        self.replica = Replica(Link(Secret(url), "nl"), home.root.name, dict)
        paths = (home.tokens, home.clients, home.pauses, home.cluster_marks)
        self.replica.share([Sharing(member.sync, paths, lambda: self.closed.append("closed"))])
        self.replica.begin()


async def until(condition: Callable[[], object], limit: float = 10.0) -> float:
    began = time.monotonic()
    async with asyncio.timeout(limit):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - files are looked at
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_changes_reach_the_others_and_are_made_up_for(
    pool: Members, redis_server: RedisServer
) -> None:
    one, two = (Running(pool.member(name), redis_server.url) for name in ("one", "two"))
    try:
        one.member.store.save(login("1"))
        assert await until(lambda: two.member.token() == "sk-ant-oat-test-1") < 2.5
        redis_server.kill()
        pauses = two.member.home.pauses
        pause(pauses, "anthropic:work", Pause(None, "meanwhile"), time.time())
        await asyncio.sleep(0.5)
        redis_server.start()
        await until(lambda: read_pauses(one.member.home.pauses) == read_pauses(pauses))
    finally:
        for each in (one, two):
            await each.replica.stop()
    assert one.closed == two.closed == ["closed"]
