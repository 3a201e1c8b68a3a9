from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from mitmproxy import http

from neurolink_mitm.addons.refresh import SOON, Refresh
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import AHEAD, Trouble
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.exchange import Try
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.ports import Runtime
from tests.addons.flows import current, make_flow, record
from tests.fakes import NOW, FakeCluster, make_account, make_attempt, make_runtime
from tests.waiting import LIMIT

OLD, NEW = Secret("sk-ant-oat-test-old"), Secret("sk-ant-oat-test-new")


@dataclass
class SlowRefresher:
    """Its endpoint is silent until `answered` is set. With `trouble`, there is no new token."""

    trouble: Trouble | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        self.asked += 1
        await self.answered.wait()
        if self.trouble:
            return Refreshed(account, None, self.trouble, "no answer")
        return Refreshed(account, StoredAccount(account.label, NEW, None, NOW + 28_800))

    async def flush(self) -> bool:
        return True

    @property
    def unwritten(self) -> Mapping[str, str]:
        return {}

    async def close(self) -> None: ...

    def newest(self, account: Account) -> Account:
        return account

    @property
    def clock_skew(self) -> float | None:
        return None


def plan(ends_in: float) -> Account:
    return make_account(
        "plan", OLD.reveal(), type="oauth", refreshable=True, expires_at=NOW + ends_in
    )


def attempt_on(account: Account, *, refresh: bool = False) -> http.HTTPFlow:
    step = Try(account, "the only one", refresh=refresh)
    return make_flow(attempts=[make_attempt(account)], step=step)


async def let(addon: Refresh, flow: http.HTTPFlow) -> None:
    """The hook is heard out, as the proxy does."""
    waiting = addon.attempt(flow)
    if waiting is not None:
        async with asyncio.timeout(LIMIT):
            await waiting


async def turns() -> None:
    """The event loop does all that can be done by now."""
    for _ in range(20):
        await asyncio.sleep(0)


def secret_of(flow: http.HTTPFlow) -> Secret:
    account = record(flow).current_account
    assert account is not None
    return account.secret


def known(runtime: Runtime) -> Secret:
    return runtime.pool.accounts[0].secret


async def test_a_token_that_is_about_to_end_is_renewed_first() -> None:
    account, refresher = plan(600), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    refresher.answered.set()
    flow = attempt_on(account)
    await let(Refresh(runtime), flow)
    assert secret_of(flow) == NEW
    assert current(flow).failure is None


async def test_while_it_is_good_nobody_waits_for_long() -> None:
    """The endpoint is silent: the first goes out with the old token, the next are not even held up."""
    account, refresher = plan(600), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    addon = Refresh(runtime, patience=0.01)
    flow = attempt_on(account)
    await let(addon, flow)
    assert (secret_of(flow), current(flow).failure) == (OLD, None)
    assert addon.attempt(attempt_on(account)) is None
    assert refresher.asked == 1


async def test_of_several_replicas_nobody_waits_while_it_is_good() -> None:
    """Others are asked through Redis first, which may hang."""
    account, refresher = plan(600), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher, cluster=FakeCluster())
    flow = attempt_on(account)
    async with asyncio.timeout(5):
        await let(Refresh(runtime, patience=60), flow)
    assert (secret_of(flow), current(flow).failure) == (OLD, None)


async def test_what_comes_late_is_used_from_then_on() -> None:
    account, refresher = plan(600), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    addon = Refresh(runtime, patience=0.01)
    await let(addon, attempt_on(account))
    refresher.answered.set()
    await turns()
    assert known(runtime) == NEW
    assert addon.attempt(attempt_on(runtime.pool.accounts[0])) is None  # good for hours


async def test_after_a_late_failure_it_is_tried_again() -> None:
    account = plan(600)
    refresher = SlowRefresher(Trouble.TRANSIENT)
    addon = Refresh(make_runtime(account, refresher=refresher), patience=0.01)
    await let(addon, attempt_on(account))
    refresher.answered.set()
    await turns()
    await let(addon, attempt_on(account))
    assert refresher.asked == 2


async def test_many_at_once_wait_for_one_renewal() -> None:
    account, refresher = plan(600), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    addon = Refresh(runtime)
    flows = [attempt_on(account) for _ in range(20)]
    waiting = asyncio.gather(*(let(addon, flow) for flow in flows))
    await asyncio.sleep(0)
    refresher.answered.set()
    await waiting
    assert [secret_of(flow) for flow in flows] == [NEW] * 20
    assert refresher.asked == 1


@pytest.mark.parametrize(
    ("ends_in", "refresh"), [(-1, False), (600, True)], ids=["ended", "refused"]
)
async def test_a_bad_token_is_waited_for(ends_in: float, refresh: bool) -> None:
    account, refresher = plan(ends_in), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    flow = attempt_on(account, refresh=refresh)
    waiting = asyncio.ensure_future(let(Refresh(runtime, patience=0.0), flow))
    await turns()
    assert not waiting.done()
    refresher.answered.set()
    await waiting
    assert secret_of(flow) == NEW


@pytest.mark.parametrize(
    ("ends_in", "refresh"), [(-1, False), (600, True)], ids=["ended", "refused"]
)
async def test_where_there_is_no_other_it_fails(ends_in: float, refresh: bool) -> None:
    account = plan(ends_in)
    refresher = SlowRefresher(Trouble.TRANSIENT)
    refresher.answered.set()
    flow = attempt_on(account, refresh=refresh)
    await let(Refresh(make_runtime(account, refresher=refresher)), flow)
    failure = current(flow).failure
    assert failure is not None
    assert failure.error_type == "refresh_failed"


async def test_who_leaves_while_a_bad_token_is_renewed_leaves_the_new_one_to_others() -> None:
    account, refresher = plan(-1), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    leaving = asyncio.ensure_future(let(Refresh(runtime), attempt_on(account)))
    await turns()
    leaving.cancel()
    refresher.answered.set()
    await turns()
    assert known(runtime) == NEW


async def test_who_leaves_breaks_nothing_off() -> None:
    account, refresher = plan(600), SlowRefresher()
    runtime = make_runtime(account, refresher=refresher)
    addon = Refresh(runtime)
    first = asyncio.ensure_future(let(addon, attempt_on(account)))
    await turns()
    first.cancel()
    flow = attempt_on(account)
    second = asyncio.ensure_future(let(addon, flow))
    await asyncio.sleep(0)
    refresher.answered.set()
    await second
    assert (secret_of(flow), refresher.asked) == (NEW, 1)


class Expecting:
    """The connections to upstream, as far as they are asked to be ready."""

    def __init__(self) -> None:
        self.asked: list[UpstreamKey] = []

    def prepare(self, key: UpstreamKey) -> None:
        self.asked.append(key)


def expecting(account: Account, **changes: Any) -> tuple[Refresh, Expecting]:
    upstreams = Expecting()
    runtime = make_runtime(account, refresher=SlowRefresher(), upstreams=upstreams, **changes)
    return Refresh(runtime, patience=0.01), upstreams


@pytest.mark.parametrize(
    ("ends_in", "refused", "expected"),
    [
        (AHEAD + SOON + 1, False, 0),
        (AHEAD + SOON - 1, False, 1),
        (600, False, 1),
        (28_800, True, 1),
    ],
    ids=["not yet", "soon", "due", "refused"],
)
async def test_a_connection_for_a_refresh_is_ready(
    ends_in: float, refused: bool, expected: int
) -> None:
    account = plan(ends_in)
    addon, upstreams = expecting(account)
    waiting = addon.attempt(attempt_on(account, refresh=refused))
    assert upstreams.asked == [UpstreamKey("api.anthropic.com", 443, tls=True)] * expected
    if waiting is not None:
        waiting.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("proxy_url", "asked"), [("http://h:1", 1), ("socks5://h:1", 0)], ids=["usable", "unusable"]
)
async def test_it_is_through_the_accounts_own_proxy(proxy_url: str, asked: int) -> None:
    account = replace(plan(AHEAD + 60), proxy_url=proxy_url)
    addon, upstreams = expecting(account)
    assert addon.attempt(attempt_on(account)) is None
    assert [key.via.host if key.via else "" for key in upstreams.asked] == ["h"] * asked


async def test_none_for_a_token_that_can_not_be_refreshed() -> None:
    account = replace(plan(600), refreshable=False)
    addon, upstreams = expecting(account)
    assert addon.attempt(attempt_on(account)) is None
    assert upstreams.asked == []
