from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.records.row_reader import TimeRange
from neurolink_mitm.records.slots import SLOT, Slots, minute_of, slot_of

TIMES = st.one_of(st.none(), st.integers(0, 8).map(lambda n: n * SLOT), st.floats(0, 8 * SLOT))


@pytest.mark.parametrize(
    ("timestamp", "slot"),
    [
        ("1970-01-01T00:14:59.999Z", 0),
        ("1970-01-01T00:15:00.000Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00.000Z", -69_039_552),
        ("1970-01-01T00:15:00+01:00", None),
        ("1970-02-30T00:15:00.000Z", None),
        ("1970-01-01 00:15:00.000Z", None),
        ("2026-W10-1T10:00:00.000Z", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_slot_of_a_timestamp(timestamp: str, slot: int | None) -> None:
    assert slot_of(timestamp) == slot


def test_a_slot_begins_with_its_first_minute() -> None:
    assert slot_of(minute_of(-1) + ":00.000Z") == -1
    assert minute_of(95) == "1970-01-01T23:45"


@given(TIMES, TIMES, st.floats(0, 9 * SLOT))
def test_slots_and_edges_are_the_range(
    since: float | None, until: float | None, moment: float
) -> None:
    """Each time in the range is in one whole slot or one edge; no other is."""
    timestamp = iso(moment)
    slots = Slots.of(since, until)
    slot = slot_of(timestamp)
    edges = [edge for edge, first, last in slots.edges() if timestamp in TimeRange.of(first, last)]
    expected = timestamp in TimeRange.of(since, until)
    assert (slot in slots) + len(edges) == expected
    assert set(edges) <= {slot}
