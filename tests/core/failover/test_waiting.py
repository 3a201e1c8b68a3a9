from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import Exchange, Hold
from neurolink_mitm.core.failover.waiting import RETURN, WaitingRoom
from tests.fakes import NOW, make_exchange

STEP = Hold(NOW + 60, "cooling", recovery=True)
SHORT = Hold(NOW + 1, "about to be free")


def enter(room: WaitingRoom, name: str, at: float = 0.0, step: Hold = STEP, **of: Any) -> Exchange:
    """A request that is held, so many seconds after the first."""
    exchange = make_exchange(request_id=name, **of)
    room.enter(exchange, step, NOW + at, at, lambda: None)
    return exchange


def leave(room: WaitingRoom, exchange: Exchange, at: float, *, client_left: bool = True) -> None:
    room.leave(exchange, NOW + at, at, client_left=client_left)


def names(room: WaitingRoom) -> list[str]:
    return [place.exchange.request_id for place in room.waiting]


def test_requests_wait_in_the_order_in_which_they_came() -> None:
    room = WaitingRoom()
    for name in "abc":
        enter(room, name)
    assert names(room) == ["a", "b", "c"]


def test_one_that_has_tried_in_vain_has_its_place_again() -> None:
    room = WaitingRoom()
    a = enter(room, "a")
    enter(room, "b")
    room.resumed(a, 5.0)
    assert names(room) == ["b"]
    room.enter(a, STEP, NOW + 6, 6.0, lambda: None)
    assert names(room) == ["a", "b"]
    [place, _] = room.waiting
    assert (place.since, a.held_seconds) == (NOW, 5.0)


@pytest.mark.parametrize(
    ("after", "other", "first"),
    [
        (RETURN, {}, True),
        (RETURN + 1, {}, False),
        (1, {"agent_id": "y"}, False),
        (1, {"session_id": "s2"}, False),
        (1, {"client_key": ClientKey("else", "", 0)}, False),
    ],
    ids=["in-time", "too-late", "another-agent", "another-session", "another-client"],
)
def test_a_client_that_comes_again_takes_its_old_place(
    after: float, other: dict[str, Any], first: bool
) -> None:
    room, who = WaitingRoom(), {"session_id": "s", "agent_id": "x"}
    leave(room, enter(room, "a", **who), 300)
    enter(room, "b", 300)
    enter(room, "again", 300 + after, **who | other)
    assert names(room) == (["again", "b"] if first else ["b", "again"])


def test_a_place_is_taken_again_once() -> None:
    room = WaitingRoom()
    leave(room, enter(room, "a", session_id="s"), 1)
    enter(room, "b", 1)
    enter(room, "again", 2, session_id="s")
    enter(room, "another", 2, session_id="s")
    assert names(room) == ["again", "b", "another"]


@pytest.mark.parametrize("of", [{}, {"session_id": "s"}], ids=["no-session", "answered"])
def test_else_there_is_no_old_place(of: dict[str, str]) -> None:
    room = WaitingRoom()
    leave(room, enter(room, "a", **of), 1, client_left=not of)
    enter(room, "b", 1)
    enter(room, "again", 2, **of)
    assert names(room) == ["b", "again"]


def test_there_is_room_for_so_many() -> None:
    room = WaitingRoom(most=2)
    a = enter(room, "a")
    enter(room, "short", step=SHORT)
    assert room.has_room(make_exchange(request_id="c"))
    enter(room, "b")
    assert not room.has_room(make_exchange(request_id="c"))
    room.resumed(a, 1.0)
    assert not room.has_room(make_exchange(request_id="c")), "it may need its place again"
    assert room.has_room(a)
    leave(room, a, 2.0, client_left=False)
    assert room.has_room(make_exchange(request_id="c"))


def test_and_for_so_many_bytes() -> None:
    room = WaitingRoom(most_bytes=100)
    enter(room, "a", body_size=60)
    assert room.has_room(make_exchange(request_id="b", body_size=40))
    assert not room.has_room(make_exchange(request_id="c", body_size=41))


def test_the_time_is_measured_by_the_steady_clock() -> None:
    """The wall clock may be set meanwhile."""
    room = WaitingRoom()
    enter(room, "a", 10, age=5.0)
    [place] = room.waiting
    assert place.age(40.0) == 35.0


def test_places_of_clients_that_left_are_bounded() -> None:
    room = WaitingRoom()
    for number in range(1100):
        leave(room, enter(room, f"r{number}", session_id=f"s{number}"), 0)
    assert len(room._left) == 1000
    assert not room
