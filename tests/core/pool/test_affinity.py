from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.affinity import (
    CAPACITY,
    LIFETIME,
    LONGEST_NAME,
    Affinity,
    Session,
    group_of,
)
from tests.fakes import NOW

S, T, U, V, W = ((session, "opus") for session in "stuvw")


def test_who_serves_a_session_first_is_its_home() -> None:
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    assert affinity.home(S, NOW) == "a"


@pytest.mark.parametrize("session", [None, T, ("s", "haiku")], ids=["none", "other", "family"])
def test_no_other_session_is_at_home_there(session: Session | None) -> None:
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    assert affinity.home(session, NOW) is None


def test_a_request_without_session_makes_no_home() -> None:
    affinity = Affinity()
    affinity.served(None, "a", NOW)
    assert affinity.home(None, NOW) is None


def test_a_home_is_kept_while_others_stand_in() -> None:
    affinity = Affinity()
    for key in ("a", "b", "c"):
        affinity.served(S, key, NOW)
    assert affinity.accounts(S, NOW) == ("a", "c")


def test_an_hour_without_a_request_ends_it() -> None:
    """By then nothing is cached upstream."""
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    assert LIFETIME == 3600
    assert affinity.home(S, NOW + 3599) == "a"
    assert affinity.home(S, NOW + 3600) is None


def test_each_answer_prolongs_it_even_a_stand_ins() -> None:
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    affinity.served(S, "b", NOW + 3000)
    assert affinity.home(S, NOW + 6000) == "a"


def test_looking_does_not() -> None:
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    affinity.home(S, NOW + 3000)
    assert affinity.home(S, NOW + 6000) is None


def test_after_its_end_the_next_to_serve_is_home() -> None:
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    affinity.served(S, "b", NOW + 3600)
    assert affinity.home(S, NOW + 3600) == "b"


def test_a_session_can_move() -> None:
    affinity = Affinity()
    affinity.served(S, "a", NOW)
    affinity.served(S, "b", NOW + 1, moves=True)
    assert affinity.home(S, NOW + 1) == "b"


def test_an_account_that_is_gone_is_nobodys_home() -> None:
    affinity = Affinity()
    for session, keys in ((S, "a"), (T, "b"), (U, "ab"), (V, "ba")):
        for key in keys:
            affinity.served(session, key, NOW)
    affinity.forget("a")
    left = [affinity.accounts(session, NOW) for session in (S, T, U, V)]
    assert left == [(), ("b",), ("b",), ("b",)]


def test_the_least_recently_served_is_forgotten_first() -> None:
    affinity = Affinity(capacity=2)
    for session in (S, T, S, U):
        affinity.served(session, "a", NOW)
    assert [affinity.home(session, NOW) for session in (S, T, U)] == ["a", None, "a"]


def test_many_sessions_are_kept() -> None:
    affinity = Affinity()
    for n in range(CAPACITY + 1):
        affinity.served((str(n), ""), "a", NOW)
    assert [affinity.home((str(n), ""), NOW) for n in (0, 1, CAPACITY)] == [None, "a", "a"]


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(st.sampled_from([S, T, U, V, W]), st.sampled_from("abc"), st.floats(0, 2000))
    ),
)
def test_by_the_book(capacity: int, answers: list[tuple[Session, str, float]]) -> None:
    """Told again in the plainest words: a list, the latest last."""
    affinity, known, now = Affinity(capacity), list[tuple[Session, str, float]](), NOW
    for session, key, passed in answers:
        now += passed
        affinity.served(session, key, now)
        old = [home for s, home, at in known if s == session and now - at < LIFETIME]
        known = [entry for entry in known if entry[0] != session]
        known = [*known, (session, (*old, key)[0], now)][-capacity:]
        homes = {s: home for s, home, at in known if now - at < LIFETIME}
        assert {s: affinity.home(s, now) for s in (S, T, U, V, W)} == {
            s: homes.get(s) for s in (S, T, U, V, W)
        }


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-6", "opus"),
        ("claude-3-5-haiku-20241022", "haiku"),
        ("claude-3.7-sonnet", "sonnet"),
        ("anthropic/claude-fable-5", "fable"),
        ("gpt-4o", "gpt-4o"),
        ("claude-", "claude-"),
        (None, ""),
        ("x" * 1000, "x" * LONGEST_NAME),
    ],
    ids=["now", "once", "dots", "new", "other", "nameless", "none", "long"],
)
def test_family_of_a_model(model: str | None, family: str) -> None:
    assert group_of(model) == family
