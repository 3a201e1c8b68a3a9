from __future__ import annotations

import asyncio
from typing import Any

from mitmproxy import http

from neurolink_mitm.addons.hold import SETTLE, Holding
from neurolink_mitm.core.exchange import Hold, Outcome
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.dataplane.hooks import make_resumable
from neurolink_mitm.ports import Runtime
from tests.addons.flows import make_flow, record
from tests.fakes import NOW, FakeClock, make_account, make_failure, make_runtime
from tests.waiting import LIMIT

A = make_account("a")
ANY = Requirements(model="claude-x")


class Held:
    """Requests that are held while account a is cooling, and which of them have gone on."""

    def __init__(self, cooling: float = 30.0) -> None:
        self.clock = FakeClock()
        config = Config(routing=Routing(hold=1000))
        self.runtime: Runtime = make_runtime(A, clock=self.clock, config=config)
        self.addon = Holding(self.runtime)
        self.gone: list[str] = []
        self.more = asyncio.Event()
        failure = make_failure(429, f"retry-after: {cooling}")
        self.runtime.pool.failed(A.key, ANY, failure, sent_at=NOW, now=NOW)

    def hold(
        self, name: str, *, recovery: bool = True, awaits: str = "", **exchange: Any
    ) -> http.HTTPFlow:
        held = Hold(self.clock.now() + 60, "a is cooling", recovery=recovery, awaits=awaits)
        flow = make_flow(model="claude-x", step=held, request_id=name, **exchange)
        make_resumable(flow, lambda: (self.goes_on(flow), self.more.set()))  # type: ignore[func-returns-value]
        self.addon.hold(flow)
        return flow

    def goes_on(self, flow: http.HTTPFlow) -> None:
        self.addon.attempt(flow)
        self.gone.append(record(flow).request_id)
        if self.runtime.pool.choose(ANY, self.clock.now()).account:
            self.runtime.pool.began(A.key, ANY, self.clock.now())

    async def turns(self, seconds: float = 0.1, least: int = 0) -> list[str]:
        """What has gone on after a moment, and after so many have."""
        async with asyncio.timeout(LIMIT):
            while len(self.gone) < least:
                self.more.clear()
                await self.more.wait()
        await asyncio.sleep(seconds)
        return self.gone


async def test_the_first_one_goes_on_as_the_probe() -> None:
    held = Held()
    for name in "abc":
        held.hold(name)
    assert await held.turns() == []
    held.clock.advance(30)
    held.runtime.pool.configure("fill-first", affinity=True, primary=None)
    assert await held.turns(least=1) == ["a"]
    assert [each.exchange.request_id for each in held.runtime.waiting.waiting] == ["b", "c"]


async def test_and_the_others_once_it_has_succeeded() -> None:
    held = Held(cooling=1)
    for name in "abc":
        held.hold(name)
    held.clock.advance(2)
    assert await held.turns(least=1) == ["a"]  # without being told: by its own timer
    held.runtime.pool.succeeded(A.key, ANY, sent_at=NOW + 2, now=NOW + 3)
    assert await held.turns(least=3) == ["a", "b", "c"]


async def test_who_waits_in_vain_goes_on_to_be_refused() -> None:
    held = Held(cooling=30)
    held.hold("short", hold_asked=40)
    held.hold("long", hold_asked=400)
    held.runtime.pool.failed(
        A.key, ANY, make_failure(429, "retry-after: 50"), sent_at=NOW + 1, now=NOW + 1
    )
    assert await held.turns(least=1) == ["short"]


async def test_what_a_request_has_waited_already_counts() -> None:
    held = Held(cooling=30)
    held.hold("new", hold_asked=40)
    held.hold("old", hold_asked=40, age=20.0)
    assert await held.turns(least=1) == ["old"]


async def test_one_that_was_looked_at_before_a_change_is_looked_at_again() -> None:
    held = Held(cooling=30)

    def goes_on(flow: http.HTTPFlow) -> None:
        held.addon.attempt(flow)
        held.gone.append(record(flow).request_id)
        if held.gone == ["vain"]:
            held.runtime.pool.reset(A.key)

    held.goes_on = goes_on  # type: ignore[method-assign]
    held.hold("before")
    held.hold("vain", hold_asked=1)
    held.hold("after")
    assert {*await held.turns(least=3)} == {"vain", "after", "before"}


async def test_so_does_everybody_once_the_configuration_says_so() -> None:
    held = Held(cooling=30)
    held.hold("a")
    assert await held.turns() == []
    held.runtime.config = Config()
    held.runtime.pool.configure("fill-first", affinity=True, primary=None)
    assert await held.turns(least=1) == ["a"]


async def test_one_that_waits_for_a_probe_goes_on_as_soon_as_it_has_a_result() -> None:
    """Also where that is a failure, and no account may serve: then it is refused, or goes elsewhere."""
    held = Held(cooling=30)
    held.clock.advance(30)
    held.runtime.pool.began(A.key, ANY, NOW + 30)
    held.hold("short", recovery=False)
    assert await held.turns() == []
    held.runtime.pool.ended(A.key, sent_at=NOW + 30)
    failure = make_failure(429, "retry-after: 30")
    held.runtime.pool.failed(A.key, ANY, failure, sent_at=NOW + 30, now=NOW + 30)
    assert await held.turns(least=1) == ["short"]


async def test_one_that_has_asked_to_probe_goes_on_as_soon_as_it_may() -> None:
    """Without `SETTLE`: it waits for milliseconds, though another account could serve."""
    held = Held(cooling=30)
    held.runtime.pool.update([A, make_account("b")])
    held.clock.advance(30)
    held.runtime.pool.reserve(A.key, ["*"], NOW + 30.004, NOW + 30, asked=True)
    held.hold("a", recovery=False, awaits=A.key)
    assert await held.turns(0.0) == []
    held.runtime.pool.release(A.key, ["*"])
    assert await held.turns(SETTLE / 2) == ["a"]


async def test_one_that_goes_on_and_is_held_again_does_not_do_so_all_the_time() -> None:
    held = Held()
    flow = held.hold("a")
    held.goes_on = lambda flow: held.gone.append("a") or held.addon.hold(flow)  # type: ignore[assignment, func-returns-value]
    held.runtime.pool.reset(A.key)
    assert 1 <= len(await held.turns(0.2, least=1)) < 15
    held.addon.attempt(flow)
    held.addon.responseheaders(flow)


async def test_a_client_that_leaves_may_come_back_to_its_place() -> None:
    held = Held()
    flow = make_flow(model="claude-x", session_id="s", step=Hold(NOW + 9, "", recovery=True))
    held.addon.hold(flow)
    held.hold("other")
    record(flow).outcome = Outcome.CANCELLED
    held.addon.error(flow)
    again = make_flow(
        model="claude-x", session_id="s", step=Hold(NOW + 9, "", recovery=True), request_id="again"
    )
    held.addon.hold(again)
    names = [each.exchange.request_id for each in held.runtime.waiting.waiting]
    assert names == ["again", "other"]


async def test_a_request_that_is_not_held_has_no_place() -> None:
    held = Held()
    flow = make_flow()
    for hook in (held.addon.hold, held.addon.attempt, held.addon.responseheaders):
        hook(flow)
    assert not held.runtime.waiting
    assert record(flow).held_seconds == 0


async def test_the_time_is_counted() -> None:
    held = Held()
    flow = held.hold("a")
    await asyncio.sleep(0.05)
    held.addon.attempt(flow)
    assert 0.04 < record(flow).held_seconds < 1
    held.addon.done()


async def test_nobody_overtakes_who_was_looked_at_just_before_an_account_came_back() -> None:
    held = Held()

    class BringsItBack(list[str]):
        def append(self, name: str) -> None:
            super().append(name)
            if name == "in vain":
                held.runtime.pool.reset(A.key)

    held.gone = BringsItBack()
    held.hold("a")
    held.hold("in vain", hold_asked=0.0)
    held.hold("b")
    assert await held.turns(least=3) == ["in vain", "a", "b"]
