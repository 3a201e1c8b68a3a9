from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neurolink_mitm.adapters.sources import Inputs
from neurolink_mitm.adapters.upkeep import Upkeep
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.config_values import Config
from neurolink_mitm.core.refresh import Refreshed
from tests.fakes import NOW, make_account, make_runtime
from tests.waiting import LIMIT


@dataclass
class NothingNew:
    """Files that never change."""

    paths: tuple[Path, ...] = ()

    def is_own_change(self, changed: Collection[Path]) -> bool:
        return False

    def read_again(self) -> Inputs:
        return Inputs(Config(), "fill-first", ())


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


async def test_idle_accounts_are_looked_at_again_and_again(tmp_path: Path) -> None:
    ending = make_account("work", "sk-ant-oat-test-work", refreshable=True, expires_at=NOW + 60)
    refresher = Counting()
    upkeep = Upkeep(
        make_runtime(ending, refresher=refresher), NothingNew((tmp_path / "x",)), every=0.01
    )
    upkeep.start()
    await asyncio.wait_for(refresher.enough.wait(), LIMIT)
    await upkeep.stop()


async def test_one_whose_token_lasts_is_left_alone(tmp_path: Path) -> None:
    lasting = make_account("work", "sk-ant-oat-test-work", refreshable=True, expires_at=NOW + 9999)
    ending = make_account("home", "sk-ant-oat-test-home", refreshable=True, expires_at=NOW + 60)
    asked: list[str] = []

    class Noting(Counting):
        async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
            asked.append(account.label)
            return await super().fresh(account, force=force)

    refresher = Noting()
    upkeep = Upkeep(
        make_runtime(lasting, ending, refresher=refresher),
        NothingNew((tmp_path / "x",)),
        every=0.01,
    )
    upkeep.start()
    await asyncio.wait_for(refresher.enough.wait(), LIMIT)
    await upkeep.stop()
    assert set(asked) == {"home"}


class Broken:
    """A refresher that does what none should."""

    async def fresh(self, account: Account, *, force: bool = False) -> None:
        raise RuntimeError("broken")

    unwritten: dict[str, str] = {}  # noqa: RUF012 - never changed


async def test_what_breaks_is_told_at_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    due = make_account(expires_at=NOW, refreshable=True)
    upkeep = Upkeep(make_runtime(due, refresher=Broken()), NothingNew())
    upkeep.start()
    async with asyncio.timeout(LIMIT):
        while "start the proxy anew" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)
        await upkeep.stop()
