"""Sessions of all replicas: names, what is written, and how places are merged."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.rendezvous import Rendezvous
from neurolink_mitm.core.cluster.sessions import (
    RENEWED,
    SharedAffinity,
    place_text,
    read_place,
)
from neurolink_mitm.core.pool.affinity import LIFETIME, Affinity, Place, Session
from neurolink_mitm.core.pool.selection import FillFirst, QuotaAware, RoundRobin
from tests.fakes import NOW

S: Session = ("8f7c", "opus")
T: Session = ("8f7d", "opus")
KEYS = {b"anthropic:a": "anthropic:a", b"anthropic:b": "anthropic:b"}


def unmoved(at: float) -> float:
    return at


def affinity(
    known: str = "abcdef", alone: bool = False, key: bytes = b"nl", **changes: Any
) -> SharedAffinity:
    return SharedAffinity(
        key, known.__contains__, alone=lambda: alone, on_change=lambda: None, **changes
    )


def written(kept: SharedAffinity, most: int = 100) -> list[tuple[bytes, Place, bool]]:
    batch = kept.batch(most)
    kept.wrote(batch)
    return batch


def exchanged(source: SharedAffinity, target: SharedAffinity, now: float) -> None:
    for name, place, _ in written(source):
        target.merge(name, place, now)


def test_a_session_is_at_home_in_the_other_replica() -> None:
    here, there = affinity(), affinity()
    here.served(S, "a", NOW)
    here.served(S, "b", NOW + 1)
    exchanged(here, there, NOW + 2)
    assert there.accounts(S, NOW + 2) == ("a", "b")
    assert there.home(T, NOW + 2) is None


def test_names_tell_nothing_and_differ_by_key() -> None:
    kept = affinity()
    kept.served(S, "a", NOW)
    [(name, _, _)] = kept.batch(1)
    assert b"8f7c" not in name
    assert name != affinity(key=b"another").digest(S)


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_any_session_has_a_name(one: Session, other: Session) -> None:
    kept = affinity()
    assert (kept.digest(one) == kept.digest(other)) == ("\0".join(one) == "\0".join(other))


def test_a_use_is_written_once_a_minute() -> None:
    kept, writes = affinity(), 0
    for second in range(600):
        kept.served(S, "a", NOW + second)
        writes += len(written(kept))
    assert writes in (10, 11)


def test_not_all_sessions_are_written_in_the_same_moment() -> None:
    kept = affinity()
    sessions = [(f"s{n}", "opus") for n in range(100)]
    for each in sessions:
        kept.served(each, "a", NOW)
    written(kept)
    for each in sessions:
        kept.served(each, "a", NOW + RENEWED / 2)
    assert 30 < len(kept.batch(100)) < 70


def test_a_change_is_written_at_once() -> None:
    kept = affinity()
    kept.served(S, "a", NOW)
    assert [changed for _, _, changed in written(kept)] == [True]
    kept.served(S, "a", NOW + RENEWED)
    assert [changed for _, _, changed in written(kept)] == [False]
    kept.served(S, "b", NOW + RENEWED)
    assert [changed for _, _, changed in written(kept)] == [True]
    assert kept.is_written


def test_what_changes_while_it_is_written_is_written_again() -> None:
    kept = affinity()
    kept.served(S, "a", NOW)
    batch = kept.batch(10)
    kept.served(S, "b", NOW)
    kept.wrote(batch)
    assert [place.last for _, place, _ in written(kept)] == ["b"]


def test_all_is_written_again_where_redis_has_lost_it() -> None:
    kept = affinity()
    for session in (S, T):
        kept.served(session, "a", NOW)
    written(kept)
    kept.write_all()
    assert not kept.is_written
    assert len([*written(kept, 1), *written(kept, 1)]) == 2
    assert kept.is_written


PLACES = [
    Place(home, last, NOW + used)
    for home, last, used in (("a", "a", 0), ("b", "b", 0), ("a", "b", 5), ("c", "c", 5))
]


@pytest.mark.parametrize("order", list(permutations(PLACES)))
def test_replicas_agree_in_whatever_order_they_hear_it(order: tuple[Place, ...]) -> None:
    kept = affinity()
    for place in (*order, order[0]):
        kept.merge(kept.digest(S), place, NOW + 10)
    assert kept.accounts(S, NOW + 10) == ("c",)


def test_a_place_of_the_future_is_of_now() -> None:
    """Else a replica whose clock was ahead would be right for ever."""
    kept = affinity()
    kept.merge(kept.digest(S), Place("a", "a", NOW + 1e9), NOW)
    kept.merge(kept.digest(S), Place("b", "b", NOW + 1), NOW + 1)
    assert kept.home(S, NOW + 1) == "b"


def test_accounts_that_are_gone_are_left_out() -> None:
    gone = {"a", "b"}
    kept = SharedAffinity(b"nl", gone.__contains__, alone=lambda: False, on_change=lambda: None)
    kept.served(S, "a", NOW)
    kept.served(S, "b", NOW)
    gone.discard("a")
    assert kept.accounts(S, NOW) == ("b",)
    kept.served(S, "b", NOW)
    assert kept.accounts(S, NOW) == ("b",)


def test_an_hour_without_a_request_ends_it() -> None:
    kept = affinity()
    kept.served(S, "a", NOW)
    kept.served(T, "a", NOW + 10)
    kept.expire(NOW + LIFETIME, 10)
    assert kept.size == 1
    kept.merge(kept.digest(S), Place("a", "a", NOW), NOW + LIFETIME)
    assert kept.size == 1


def test_the_least_recently_used_is_dropped() -> None:
    kept = affinity(capacity=1)
    for session in (S, T):
        kept.served(session, "a", NOW)
    assert (kept.home(S, NOW), kept.home(T, NOW)) == (None, "a")
    assert len(written(kept)) == 1
    assert kept.is_written


@pytest.mark.parametrize("strategy", [FillFirst(), QuotaAware(), RoundRobin()])
def test_alone_only_a_strategy_of_turns_gives_way(strategy: Any) -> None:
    """The others choose the same in all replicas by themselves."""
    assert affinity(alone=False).placing(S, strategy) is strategy
    assert affinity(alone=True).placing(None, strategy) is strategy
    placing = affinity(alone=True).placing(S, strategy)
    assert isinstance(placing, Rendezvous) == isinstance(strategy, RoundRobin)


def test_sessions_of_before_the_cluster_keep_their_homes() -> None:
    single = Affinity()
    single.served(S, "a", NOW)
    kept = affinity()
    kept.adopt(single)
    assert kept.home(S, NOW) == "a"
    assert len(kept.batch(10)) == 1
    again = affinity()
    again.adopt(kept)
    assert again.home(S, NOW) == "a"
    other = affinity(key=b"other")
    other.adopt(kept)
    assert other.size == 0


def test_many_sessions_of_before_are_named_bit_by_bit() -> None:
    """Digests of 10^4 at once would take 30 ms of the event loop."""
    single, kept = Affinity(), affinity()
    sessions = [(str(n), "opus") for n in range(30)]
    for session in sessions:
        single.served(session, "a", NOW)
    kept.adopt(single)
    assert (len(kept.batch(10)), kept.size, len(kept._places)) == (10, 30, 10)
    assert kept.home(sessions[-1], NOW) == "a"
    while not kept.is_written:
        kept.wrote(kept.batch(10))
    assert (kept.size, len(kept._places)) == (30, 30)
    assert {kept.home(session, NOW) for session in sessions} == {"a"}


@pytest.mark.parametrize("last", ["anthropic:a", "anthropic:b"])
def test_what_is_written_is_read(last: str) -> None:
    place = Place("anthropic:a", last, NOW)
    assert read_place(place_text(place, unmoved).encode(), KEYS, unmoved) == place


def test_times_are_redis_s() -> None:
    text = place_text(Place("anthropic:a", "anthropic:a", NOW), lambda at: at + 300)
    assert text.startswith(f"{int(NOW + 300)}000\n")
    read = read_place(text.encode(), KEYS, lambda at: at - 300)
    assert read
    assert read.used_at == NOW


@pytest.mark.parametrize(
    "value",
    [b"", b"\n", b"5", b"x\nanthropic:a", b"-5\nanthropic:a", b"9" * 400 + b"\nanthropic:a",
     b"5\nanthropic:unknown", b"5\nanthropic:a" + b"x" * 1000, b"\xff\xfe\nanthropic:a", "٣\nanthropic:a".encode()],
    ids=["empty", "line", "number", "word", "negative", "long", "unknown", "longer", "bytes", "digit"],
)  # fmt: skip
def test_what_is_no_place_is_none(value: bytes) -> None:
    assert read_place(value, KEYS, unmoved) is None


@given(st.binary(max_size=50))
def test_any_bytes_may_be_there(value: bytes) -> None:
    read = read_place(value, KEYS, unmoved)
    assert read is None or read.home in KEYS.values()


def test_of_two_accounts_the_one_that_is_known_counts() -> None:
    read = read_place(b"5\nanthropic:x\nanthropic:b", KEYS, unmoved)
    assert read == Place("anthropic:b", "anthropic:b", 0.005)
