"""What replicas have spent: never twice, never lost, in whatever order and however often it is merged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.daybook import (
    MOST_CLIENTS,
    MOST_PARTS,
    Daybook,
    Home,
    Part,
    Record,
    Use,
)
from neurolink_mitm.core.cost.budget import ClientUse

DAY = 20_000


def merged_from(daybook: Daybook, other: Daybook) -> None:
    """Take over all that `other` would write, and `daybook` would read: what is newer."""
    for part_id, version in other.versions.items():
        if version <= daybook.versions.get(part_id, 0):
            continue
        part = msgspec.json.decode(other.written(part_id), type=Part)
        daybook.merge(part_id, version, part)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("book"), st.integers(0, 2), st.integers(1, 100)),
        st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("restart"), st.integers(0, 2), st.integers(0, 2)),
    ),
    max_size=60,
)


@given(STEPS)
def test_every_booking_counts_once(steps: list[tuple[str, int, int]]) -> None:
    """Replicas book, hear of each other in any order, and start again under new ids with what their file has."""
    daybooks, booked = [Daybook(f"r{n}", DAY) for n in range(3)], 0
    for number, (what, n, value) in enumerate(steps):
        if what == "book":
            daybooks[n].book(float(value), "laptop", Use(float(value), 1, 1.0))
            booked += value
        elif what == "merge":
            merged_from(daybooks[n], daybooks[value])
        else:
            record = msgspec.json.decode(msgspec.json.encode(daybooks[n].record(3)), type=Record)
            sums = daybooks[n].usd, daybooks[n].uses()
            daybooks[n] = Daybook(f"r{n}.{number}", DAY)
            daybooks[n].join("alone", Home(*sums, is_today=True, record=record))
    for _ in range(2):
        for daybook in daybooks:
            for other in daybooks:
                merged_from(daybook, other)
    for daybook in daybooks:
        use = daybook.uses().get("laptop", ClientUse())
        assert (daybook.usd, use.today_usd, use.total_usd) == (booked, booked, booked)
        assert use.requests == sum(what == "book" for what, _, _ in steps)


def test_a_part_that_is_more_than_what_redis_has_is_written_again() -> None:
    daybook = Daybook("a", DAY)
    daybook.book(5.0, None, Use())
    daybook.merge("a", 900, Part(1.0))
    assert (daybook.usd, daybook.versions["a"]) == (5.0, 901)


def test_a_new_day_begins_with_what_clients_had_used() -> None:
    daybook = Daybook("a", DAY)
    daybook.book(5.0, "laptop", Use(5.0, 1, 9.0))
    daybook.roll(DAY + 1)
    assert (daybook.usd, daybook.uses()) == (0.0, {"laptop": ClientUse(0.0, 5.0, 1, 9.0)})


def test_what_was_booked_under_a_clock_that_was_ahead_counts_for_the_day_it_is() -> None:
    daybook = Daybook("a", DAY + 1)
    daybook.book(5.0, None, Use())
    daybook.roll(DAY)
    assert daybook.usd == 5.0


@pytest.mark.parametrize(("is_today", "usd"), [(True, 7.0), (False, 0.0)])
def test_what_a_home_spent_before_it_joined_counts(is_today: bool, usd: float) -> None:
    daybook = Daybook("a", DAY)
    clients = {"laptop": ClientUse(3.0, 30.0, 12, 9.0)}
    daybook.join("alone", Home(7.0, clients, is_today, Record()))
    assert daybook.usd == usd
    assert daybook.uses() == {"laptop": ClientUse(3.0 * is_today, 30.0, 12, 9.0)}


def test_the_file_of_the_cluster_is_not_taken_for_spending_alone() -> None:
    before, after = Daybook("a", DAY), Daybook("b", DAY)
    before.book(5.0, "laptop", Use(5.0, 1, 9.0))
    after.join("alone", Home(before.usd, before.uses(), True, before.record(3)))
    assert set(after.parts) == {"a", "b"}


def test_what_others_may_send_is_bounded() -> None:
    daybook = Daybook("a", DAY)
    for n in range(MOST_PARTS + 10):
        daybook.merge(f"r{n}", 1, Part(1.0))
    daybook.merge("a", 1, Part(0.0, {f"c{n}": Use(1.0, 1, n) for n in range(20 * MOST_CLIENTS)}))
    assert (len(daybook.parts), len(daybook.own.clients)) == (MOST_PARTS, MOST_CLIENTS)


@pytest.mark.parametrize(
    "text", ['{"usd":-1}', '{"usd":1e308}', '{"usd":"x"}', "[]", "{", '{"usd":NaN}']
)
def test_what_is_no_part_is_not_read(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text, type=Part)
