from __future__ import annotations

from dataclasses import dataclass

from neurolink_mitm.notices.conditions import Condition
from neurolink_mitm.notices.event import Event, event_of
from neurolink_mitm.notices.trial import try_channels
from neurolink_mitm.notices.undelivered import Undelivered
from tests.fakes import NOW


@dataclass
class Channel:
    name: str
    fault: str = ""

    async def send(self, event: Event) -> str:
        if self.fault:
            raise Undelivered(self.fault)
        return f"{event.event} to {self.name}"


def test_each_channel_says_what_became_of_the_event() -> None:
    event = event_of(Condition("back", ""), "ntc_1", NOW)
    outcomes = try_channels([Channel("desktop"), Channel("webhook", "HTTP 500")], event)
    assert [(each.channel, each.ok, each.text) for each in outcomes] == [
        ("desktop", True, "back to desktop"),
        ("webhook", False, "HTTP 500"),
    ]
    assert all(0 <= each.milliseconds < 5000 for each in outcomes)
