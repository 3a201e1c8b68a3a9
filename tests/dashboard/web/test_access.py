from __future__ import annotations

import pytest

from neurolink_mitm.core.auth.client_keys import digest
from neurolink_mitm.dashboard.web.access import (
    LINK_SECONDS,
    MAX_LINKS,
    MAX_SESSIONS,
    SESSION_SECONDS,
    TRIES,
    TRIES_SECONDS,
    Access,
    Session,
    TooManyTriesError,
)


class Clocks:
    """Two clocks that stand still, until one is moved."""

    def __init__(self) -> None:
        self.times = [100.0, 1e9]
        self.access = Access((lambda: self.times[0], lambda: self.times[1]))

    def sign_in(self, token: str = "good") -> Session:
        self.access.expect(digest(token))
        session = self.access.sign_in(token)
        assert session
        return session


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_a_session_needs_both_of_its_halves(clocks: Clocks) -> None:
    one, other = clocks.sign_in("1"), clocks.sign_in("2")
    access = clocks.access
    assert access.session(one.cookie, one.key) is one
    halves = [(one.cookie, other.key), (one.cookie, None), (None, one.key), (one.cookie, ""),
              ("", ""), (one.key, one.cookie), (one.cookie, "\udce9 €")]  # fmt: skip
    assert [pair for pair in halves if access.session(*pair)] == []


def test_a_link_that_is_used_twice_ends_the_session_that_it_opened(clocks: Clocks) -> None:
    stolen, mine = clocks.sign_in("stolen"), clocks.sign_in("mine")
    assert clocks.access.sign_in("stolen") is None
    assert not clocks.access.goes_on(stolen)
    assert clocks.access.goes_on(mine)
    assert clocks.access.sign_in("stolen") is None


@pytest.mark.parametrize("clock", [0, 1], ids=["monotonic", "wall"])
def test_links_and_sessions_expire_by_either_clock(clocks: Clocks, clock: int) -> None:
    """A monotonic clock stands still while a laptop sleeps; the other one may be set back."""
    session = clocks.sign_in()
    clocks.access.expect(digest("late"))
    clocks.times[1 - clock] -= 1e6
    clocks.times[clock] += LINK_SECONDS
    assert clocks.access.sign_in("late") is None
    clocks.times[clock] += SESSION_SECONDS - LINK_SECONDS - 1
    assert clocks.access.session(session.cookie, session.key)
    clocks.times[clock] += 1
    assert not clocks.access.session(session.cookie, session.key)
    assert not clocks.access.goes_on(session)


def test_who_signs_out_is_out(clocks: Clocks) -> None:
    session = clocks.sign_in()
    clocks.access.sign_out(session)
    assert not clocks.access.session(session.cookie, session.key)


def test_failed_sign_ins_are_limited_but_a_good_link_never_is(clocks: Clocks) -> None:
    """A page elsewhere could fail on purpose, and keep the owner out."""
    access, stolen = clocks.access, clocks.sign_in("stolen")
    assert [access.sign_in("guess") for _ in range(TRIES)] == [None] * TRIES
    with pytest.raises(TooManyTriesError, match="try again in 60 s"):
        access.sign_in("guess")
    assert access.goes_on(clocks.sign_in("good"))
    with pytest.raises(TooManyTriesError):
        access.sign_in("stolen")
    assert not access.goes_on(stolen), "a used link ends its session all the same"
    clocks.times[0] += TRIES_SECONDS
    assert access.sign_in("guess") is None


def test_the_oldest_links_and_sessions_go(clocks: Clocks) -> None:
    sessions = [clocks.sign_in(str(number)) for number in range(MAX_SESSIONS + 1)]
    going = [clocks.access.goes_on(session) for session in sessions]
    assert going == [False] + [True] * MAX_SESSIONS
    for number in range(MAX_LINKS + 1):
        clocks.access.expect(digest(f"link {number}"))
    assert clocks.access.sign_in("link 0") is None
    assert clocks.access.sign_in("link 1")


def test_nothing_shows_a_secret(clocks: Clocks) -> None:
    session = clocks.sign_in()
    shown = repr(session) + repr(clocks.access) + repr(vars(clocks.access))
    assert not [half for half in (session.key, "good") if half in shown]
    assert session.cookie not in repr(session)
