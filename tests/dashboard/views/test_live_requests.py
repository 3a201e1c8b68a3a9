from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Exchange, Hold, Kind
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.status.in_flight import InFlight
from neurolink_mitm.dashboard.rates import Rate
from neurolink_mitm.dashboard.views.live_requests import Line, Segment, lines
from tests.fakes import NOW, make_account, make_attempt, make_exchange

WORK, HOME = make_account("work"), make_account("home")
LIMITED: dict[str, Any] = {
    "failure": Failure.of_status(429, b""),
    "reader": None,
    "ended_at": NOW + 0.5,
    "reason": "rate limit (429)",
}
STREAMS: dict[str, Any] = {"number": 2, "ready": True, "sent_at": NOW + 0.6}


def line(exchange: Exchange, held: Any = (), **rates: Rate) -> Line:
    """The line of a request, as a report has it two seconds after its arrival."""
    registry = InFlight()
    registry.add(exchange)
    report = registry.report(NOW + 2, room=WaitingRoom())
    [only] = lines({**report, "held": list(held)}, rates)
    return only


def asking(**changes: Any) -> Exchange:
    return make_exchange(request_id="req_1", kind=Kind.MESSAGES, **changes)


def kinds(of: Line) -> list[tuple[str, int, int | None, str | None]]:
    return [(each.kind, each.start, each.end, each.account) for each in of.segments]


def test_a_request_that_has_moved() -> None:
    first = make_attempt(WORK, sent_at=NOW + 0.1, **LIMITED)
    second = make_attempt(HOME, **STREAMS)
    moved = line(asking(attempts=[first, second], first_byte_at=NOW + 1), req_1=Rate(80, 40))
    assert kinds(moved) == [
        ("queue", 0, 100, None),
        ("failed", 100, 500, "work"),
        ("queue", 500, 600, None),
        ("wait", 600, 1000, "home"),
        ("stream", 1000, None, "home"),
    ]
    assert (moved.account, [each.account for each in moved.left]) == ("home", ["work"])
    assert (moved.state, moved.attempt, moved.rate) == (("streaming", "good"), 2, Rate(80, 40))
    assert moved.story.replace("\u202f", " ") == (
        "waited 100 ms; attempt 1 on work failed after 400 ms: rate limit (429); waited 100 ms;"
        " attempt 2 on home, first byte after 400 ms; the response comes"
    )


def test_a_held_request() -> None:
    """It says what it waits for, and until when; the time that it was held is told from other waiting."""
    step = Hold(NOW + 60, "waits for anthropic:work", recovery=True)
    held = {"requestId": "req_1", "account": "anthropic:work", "backAt": "2025-10-09T08:54:00.000Z"}
    waits = line(asking(attempts=[make_attempt(WORK, **LIMITED)], step=step), [held])
    assert kinds(waits) == [("failed", 0, 500, "work"), ("held", 500, None, None)]
    assert (waits.account, waits.held_for, waits.back_at) == (None, "work", held["backAt"])
    assert waits.held_until == "2025-10-09T08:54:20.000Z"
    assert waits.story.endswith("held until an account recovers")
    later = make_attempt(HOME, number=2, sent_at=NOW + 2, reader=None)
    goes_on = line(asking(attempts=[make_attempt(WORK, **LIMITED), later], held_seconds=1.4))
    assert kinds(goes_on)[1:] == [("held", 500, 2000, None), ("wait", 2000, None, "home")]


@pytest.mark.parametrize(
    ("changes", "story"),
    [
        ({}, "waits"),
        ({"attempt": make_attempt(WORK, reader=None)}, "attempt 1 on work, no answer yet"),
        (
            {"attempts": [make_attempt(None, reader=None)]},
            "attempt 1 on the caller's own login, no answer yet",
        ),
        (
            {"attempts": [make_attempt(WORK, **LIMITED | {"reason": ""})]},
            "attempt 1 on work failed after 500\u202fms: http_429; waits",
        ),
    ],
    ids=["its body comes", "connecting", "no account", "of an account that is gone"],
)
def test_stories(changes: dict[str, Any], story: str) -> None:
    assert line(asking(**changes)).story == story


def test_what_clients_call_things_has_no_control_characters() -> None:
    named = line(asking(model="claude\u202e\x1b[31m", session_id="a\nb", path="/v1/files\x00?x"))
    assert (named.model, named.session, named.path) == ("claude??[31m", "a?b", "/v1/files?")


@given(times=st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=6))
def test_segments_follow_one_another_whatever_the_clock_does(times: list[float]) -> None:
    began, sent, ended, sent_again, first_byte, now = (NOW + each for each in times)
    first = make_attempt(WORK, **LIMITED | {"sent_at": sent, "ended_at": ended})
    second = make_attempt(HOME, **STREAMS | {"sent_at": sent_again})
    exchange = asking(attempts=[first, second], first_byte_at=first_byte)
    exchange.began_at = began
    registry = InFlight()
    registry.add(exchange)
    [only] = lines({**registry.report(now), "held": []}, {})
    at = 0
    segments: list[Segment] = list(only.segments)
    for each in segments[:-1]:
        assert each.start == at
        assert each.end is not None
        assert each.end >= each.start
        at = each.end
    assert (segments[-1].start, segments[-1].end) == (at, None)
