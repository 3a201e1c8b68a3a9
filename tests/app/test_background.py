from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from neurolink_mitm.adapters.background import Job
from neurolink_mitm.app.background import BackgroundTasks, keep_fresh
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.pool.accounts import Account
from tests.fakes import NOW, make_account, make_runtime
from tests.waiting import LIMIT


@dataclass
class Counting:
    """Never has a token that lasts; says when it was asked often enough."""

    enough: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    unwritten: dict[str, str] = field(default_factory=dict)
    clock_skew: float | None = None

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        self.asked += 1
        if self.asked == 3:
            self.enough.set()
        return Refreshed(account)

    async def flush(self) -> bool:
        return True


@asynccontextmanager
async def beside(**jobs: Job) -> AsyncIterator[None]:
    """These jobs, while something else goes on."""
    tasks = BackgroundTasks(jobs)
    await tasks.start()
    yield
    await tasks.stop()


async def test_idle_accounts_are_looked_at_again_and_again() -> None:
    ending = make_account("work", "sk-ant-oat-test-work", refreshable=True, expires_at=NOW + 60)
    refresher = Counting()
    runtime = make_runtime(ending, refresher=refresher)
    async with beside(refresh=lambda: keep_fresh(runtime, refresher, 0.01)):
        await asyncio.wait_for(refresher.enough.wait(), LIMIT)


async def test_one_whose_token_lasts_is_left_alone() -> None:
    lasting = make_account("work", "sk-ant-oat-test-work", refreshable=True, expires_at=NOW + 9999)
    ending = make_account("home", "sk-ant-oat-test-home", refreshable=True, expires_at=NOW + 60)
    asked: list[str] = []

    class Noting(Counting):
        async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
            asked.append(account.label)
            return await super().fresh(account, force=force)

    refresher = Noting()
    runtime = make_runtime(lasting, ending, refresher=refresher)
    async with beside(refresh=lambda: keep_fresh(runtime, refresher, 0.01)):
        await asyncio.wait_for(refresher.enough.wait(), LIMIT)
    assert set(asked) == {"home"}


class Failing(Counting):
    """Raises the first time that it is asked."""

    async def fresh(self, account: Account, *, force: bool = False) -> Any:
        done = await super().fresh(account, force=force)
        if self.asked == 1:
            raise RuntimeError("broken")
        return done


async def test_a_job_that_raises_is_logged_and_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refresher = Failing()
    runtime = make_runtime(make_account(expires_at=NOW, refreshable=True), refresher=refresher)
    async with beside(refresh=lambda: keep_fresh(runtime, refresher, 0.01)):
        await asyncio.wait_for(refresher.enough.wait(), LIMIT)
    assert "refresh has failed and is started again in 0.2 s" in caplog.text
