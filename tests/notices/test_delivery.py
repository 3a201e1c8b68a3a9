from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from neurolink_mitm.notices.delivery import LOG_EVERY, MAX_QUEUE, STALE, Delivery
from neurolink_mitm.notices.event import Event, trial_event
from neurolink_mitm.notices.undelivered import Undelivered
from tests.fakes import NOW, FakeClock
from tests.waiting import wait_until


def event(number: int = 0) -> Event:
    return trial_event(f"ntc_{number}", NOW)


@dataclass
class FakeChannel:
    """Keeps the ids of events. It fails or hangs where it is told to."""

    name: str = "webhook"
    error: Exception | None = None
    hangs: bool = False
    ids: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)

    async def send(self, event: Event) -> str:
        self.ids.append(event.id)
        if self.hangs:
            try:
                await asyncio.to_thread(self.goes_on.wait, 3600)
            finally:
                self.cancelled.set()
        if self.error:
            raise self.error
        return "done"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def delivery(clock: FakeClock) -> Iterator[Delivery]:
    delivery = Delivery(clock.now)
    yield delivery
    delivery.close(0.1)


def until(holds: Callable[[], object]) -> None:
    wait_until(holds, "the delivery", 30)


def test_an_event_goes_through_every_channel_in_order(delivery: Delivery) -> None:
    channels = [FakeChannel("webhook"), FakeChannel("command")]
    delivery.configure(channels)
    for number in range(3):
        delivery.put(event(number))
    until(lambda: delivery.sent == 6)
    assert [channel.ids for channel in channels] == [["ntc_0", "ntc_1", "ntc_2"]] * 2


def test_no_thread_runs_before_the_first_event(delivery: Delivery) -> None:
    delivery.configure([FakeChannel()])
    assert "notices" not in [thread.name for thread in threading.enumerate()]


def test_a_channel_that_hangs_delays_neither_another_nor_the_end(delivery: Delivery) -> None:
    hanging, other = FakeChannel("webhook", hangs=True), FakeChannel("command")
    delivery.configure([hanging, other])
    for number in range(3):
        delivery.put(event(number))
    until(lambda: len(other.ids) == 3)
    began = time.monotonic()
    delivery.close(0.1)
    assert time.monotonic() - began < 2
    assert hanging.ids == ["ntc_0"]
    assert hanging.cancelled.is_set()


def test_what_waits_is_delivered_at_the_end(delivery: Delivery) -> None:
    channel = FakeChannel()
    delivery.configure([channel])
    for number in range(200):
        delivery.put(event(number))
    delivery.close(5)
    assert len(channel.ids) == delivery.sent == 200


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Undelivered("host: HTTP 500"), "webhook: host: HTTP 500"),
        (ValueError("x"), "webhook: ValueError"),
    ],
    ids=["undelivered", "a fault"],
)
def test_a_failure_is_counted_and_the_next_event_is_tried(
    delivery: Delivery, error: Exception, said: str
) -> None:
    channel = FakeChannel(error=error)
    delivery.configure([channel])
    delivery.put(event())
    until(lambda: delivery.failed == 1)
    assert (delivery.last_error or "").startswith(said)
    channel.error = None
    delivery.put(event(1))
    until(lambda: delivery.sent == 1)


def test_failures_are_logged_once_a_minute(
    delivery: Delivery, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    delivery.configure([FakeChannel(error=Undelivered("no"))])
    with caplog.at_level(logging.WARNING, "neurolink.notices"):
        for count in (1, 2, 3):
            delivery.put(event())
            until(lambda count=count: delivery.failed == count)  # type: ignore[misc]
        clock.advance(LOG_EVERY)
        delivery.put(event())
        until(lambda: delivery.failed == 4)
    assert caplog.messages == ["a notice was not delivered by webhook: no"] * 2


def test_a_thousand_events_at_once_fit_and_more_are_dropped(delivery: Delivery) -> None:
    hanging = FakeChannel(hangs=True)
    delivery.configure([hanging])
    delivery.put(event())
    until(lambda: hanging.ids)
    for number in range(MAX_QUEUE + 5):
        delivery.put(event(number))
    until(lambda: delivery.failed == 5)
    assert delivery.last_error == "webhook: more than 1000 events wait"


def test_an_old_event_is_not_delivered_any_more(delivery: Delivery, clock: FakeClock) -> None:
    channel = FakeChannel(hangs=True)
    delivery.configure([channel])
    delivery.put(event(0))
    delivery.put(event(1))
    until(lambda: channel.ids)
    clock.advance(STALE + 1)
    channel.goes_on.set()
    until(lambda: delivery.failed == 1)
    assert (channel.ids, delivery.last_error) == (
        ["ntc_0"],
        "webhook: an event waited for over 600 s",
    )


def test_a_reload_replaces_channels(delivery: Delivery) -> None:
    before, after, gone = FakeChannel(), FakeChannel(), FakeChannel("command", hangs=True)
    delivery.configure([before, gone])
    delivery.put(event(0))
    until(lambda: before.ids and gone.ids)
    delivery.configure([after])
    delivery.put(event(1))
    until(lambda: after.ids)
    assert (before.ids, after.ids, gone.ids) == (["ntc_0"], ["ntc_1"], ["ntc_0"])
    assert gone.cancelled.wait(5)


def test_the_end_comes_once(delivery: Delivery) -> None:
    delivery.close()
    delivery.configure([FakeChannel()])
    delivery.put(event())
    delivery.close()
    delivery.close()
    assert delivery.sent == 1
