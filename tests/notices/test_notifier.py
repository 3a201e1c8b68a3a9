from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.exchange import Exchange, Kind
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.providers.destinations import Route
from neurolink_mitm.core.response.reader import OpaqueReader
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.notices.event import Event
from neurolink_mitm.notices.notifier import MAX_MODELS, Notifier
from neurolink_mitm.ports import Runtime
from tests.fakes import (
    FakeClock,
    FakeCluster,
    make_account,
    make_attempt,
    make_exchange,
    make_failure,
    make_runtime,
)
from tests.notices.test_delivery import FakeChannel
from tests.waiting import wait_until

MODEL = "claude-opus-4-6"
REQUEST = Requirements(claude_code=True, model=MODEL)
PLAN = make_account("plan", "sk-ant-oat01-plan", refreshable=True)
KEY = make_account("key")
ON = Config(notify=Notify(command=("x",)))


class Kept(FakeChannel):
    """Keeps the events too."""

    def __init__(self) -> None:
        super().__init__("command")
        self.events: list[Event] = []

    async def send(self, event: Event) -> str:
        self.events.append(event)
        return "done"

    @property
    def kinds(self) -> list[str]:
        return [event.event for event in self.events]


class Given:
    """A notifier of a pool that looks whenever it is told to."""

    def __init__(self, path: Path | None = None, config: Config = ON, *accounts: Account) -> None:
        self.clock, self.channel = FakeClock(), Kept()
        self.runtime: Runtime = make_runtime(*(accounts or (PLAN, KEY)), clock=self.clock)
        self.notifier = Notifier(self.runtime, path, lambda notify: (self.channel,), every=3600)
        self.notifier.configure(config)

    def limit(self, account: Account) -> None:
        now = self.clock.now()
        failure = make_failure(429, "retry-after: 60")
        self.runtime.pool.failed(account.key, REQUEST, failure, sent_at=now - 1, now=now)

    def look(self, after: float = 0) -> list[str]:
        """What has been told so far."""
        self.clock.advance(after)
        self.notifier.look()
        self.notifier.delivery.close(5)
        return self.channel.kinds


def served(account: Account = KEY, **changes: Any) -> Exchange:
    fields: dict[str, Any] = {
        "kind": Kind.MESSAGES,
        "model": MODEL,
        "user_agent": "claude-cli/2.1.0",
        "route": Route("pool", MODEL),
    }
    reader = OpaqueReader()
    reader.released = True
    fields["attempts"] = [make_attempt(account, reader=reader)]
    return make_exchange(**fields | changes)


def test_what_happens_to_the_pool_is_told() -> None:
    given = Given(None, ON, PLAN)
    assert given.look() == []
    given.limit(PLAN)
    assert given.look() == ["all-cooling"]
    assert given.look(61) == ["all-cooling"]
    assert given.look(6) == ["all-cooling", "back"]


def test_one_replica_tells_what_all_see() -> None:
    """The others note it as told, so that it isn't told again when another one takes over."""
    given = Given(None, ON, PLAN)
    given.runtime.cluster = cluster = FakeCluster(first=False)
    given.limit(PLAN)
    assert given.look() == []
    cluster.first = True
    assert given.look() == []
    assert given.look(61) == []
    assert given.look(6) == ["back"]


def test_each_replica_tells_what_it_has_paid() -> None:
    given = Given()
    given.runtime.cluster = FakeCluster(first=False)
    given.limit(PLAN)
    given.notifier.served(served())
    assert given.look() == ["paid-fallback"]


def test_only_the_events_that_are_asked_for() -> None:
    given = Given(None, Config(notify=Notify(command=("x",), on=("back",))), PLAN)
    given.limit(PLAN)
    given.look()
    given.look(61)
    assert given.look(6) == ["back"]


def test_without_a_channel_nothing_is_looked_at() -> None:
    given = Given(None, Config(), PLAN)
    given.limit(PLAN)
    given.notifier.served(served())
    assert (given.look(), given.notifier.watch.marks) == ([], {})
    assert given.notifier.report() is None


def test_a_reload_brings_channels_and_quiet_hours() -> None:
    given = Given(None, Config(), PLAN)
    given.limit(PLAN)
    given.notifier.configure(Config(notify=Notify(command=("x",), quiet="00:00-23:59")))
    assert given.look() == []
    given.notifier.configure(ON)
    assert given.look() == ["all-cooling"]


@pytest.mark.parametrize(
    ("exchange", "told"),
    [
        (served(), True),
        (served(PLAN), False),
        (served(user_agent="curl/8"), False),
        (served(kind=Kind.COUNT_TOKENS), False),
        (served(route=Route("mapping", MODEL, pool=False)), False),
        (served(attempts=[]), False),
    ],
    ids=["paid", "subscription", "another client", "free", "by a mapping", "nobody"],
)
def test_what_was_paid_since_the_subscriptions_are_out(exchange: Exchange, told: bool) -> None:
    given = Given()
    given.limit(PLAN)
    given.notifier.served(exchange)
    assert given.look() == ["paid-fallback"] * told


def test_what_was_paid_while_a_subscription_was_free_is_no_fallback() -> None:
    given = Given()
    given.notifier.served(served())
    assert given.look() == []


def test_it_is_told_once_until_a_subscription_is_free_again() -> None:
    given = Given()
    given.limit(PLAN)
    for _ in range(3):
        given.notifier.served(served())
        given.look(1)
    assert given.channel.kinds == ["paid-fallback"]
    given.look(400)
    given.look(6)
    given.limit(PLAN)
    given.notifier.served(served())
    assert given.look() == ["paid-fallback"] * 2


def test_models_are_remembered_within_a_bound() -> None:
    given = Given()
    given.limit(PLAN)
    for number in range(100):
        given.notifier.served(served(model=f"m{number}", route=None))
    assert len(given.notifier._paid) == MAX_MODELS


async def running(given: Given, told: Callable[[], object]) -> None:
    """Start, wait until so much was told, stop."""
    await given.notifier.start()
    await asyncio.to_thread(wait_until, told, "a notice")
    await given.notifier.stop()


async def test_what_was_told_is_kept_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    first = Given(path, ON, PLAN)
    first.limit(PLAN)
    await running(first, lambda: first.channel.kinds)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["told"].keys() == {"all-cooling"}

    second = Given(path, ON, PLAN)
    second.limit(PLAN)
    await second.notifier.start()
    assert second.look() == []
    second.runtime.pool.reset(PLAN.key)
    await second.notifier.stop()
    assert second.channel.kinds == ["back"]
    assert json.loads(path.read_text())["told"] == {}


async def test_a_restart_does_not_end_what_is_paid_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "notices.json"
    for told in (["paid-fallback"], []):
        given = Given(path)
        given.limit(PLAN)
        await given.notifier.start()
        given.look(10)
        given.notifier.served(served())
        await given.notifier.stop()
        assert given.channel.kinds == told


async def test_what_happens_while_it_stops_is_told(tmp_path: Path) -> None:
    given = Given(tmp_path / "notices.json", ON, PLAN)
    await given.notifier.start()
    await asyncio.sleep(0)
    given.limit(PLAN)
    await given.notifier.stop()
    assert given.channel.kinds == ["all-cooling"]


@pytest.mark.parametrize("text", ["{", '{"told": 1}', '{"told": {"cap": {"toldAt": 1e999}}}'])
async def test_a_broken_file_is_set_aside(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notices.json"
    path.write_text(text)
    given = Given(path, ON, PLAN)
    await given.notifier.start()
    await given.notifier.stop()
    assert "was broken; it is kept as notices.json.corrupt-" in caplog.text


async def test_a_full_disk_is_said_once_and_tells_nothing_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").touch()
    given = Given(tmp_path / "a file" / "notices.json", ON, PLAN)
    given.limit(PLAN)
    await running(given, lambda: given.channel.kinds)
    assert given.channel.kinds == ["all-cooling"]
    assert caplog.text.count("can't be written: a notice may come again after a restart") == 1


def test_the_report_has_no_secret() -> None:
    given = Given(None, ON, PLAN)
    given.limit(PLAN)
    given.look()
    assert given.notifier.report() == {
        "channels": ["command"],
        "sent": 1,
        "failed": 0,
        "lastError": None,
    }
