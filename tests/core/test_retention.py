from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.retention import Kept, day_of, surplus

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()


def kept(day: int, size: int = 10, *, rows: bool = True, changed: float = 0.0) -> Kept:
    return Kept(date(2026, 11, day), rows, changed, f"{day}-{rows}-{changed}", size)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("proxy-2026-11-22.jsonl", date(2026, 11, 22)),
        ("proxy-attempts-2026-11-22.jsonl", date(2026, 11, 22)),
        ("proxy-debug-2026-11-22.jsonl", date(2026, 11, 22)),
        ("proxy-2026-13-22.jsonl", None),
        ("proxy-2026-11-22.jsonl.bak", None),
        ("proxy-mine-2026-11-22.jsonl", None),
        ("translator.log", None),
    ],
)
def test_what_is_ours(name: str, day: date | None) -> None:
    assert day_of(name) == day


def test_what_is_too_old_goes() -> None:
    """A day's rows are too old when the last of them is."""
    files = [kept(15), kept(16), kept(23)]
    assert surplus(files, NOW, max_age_days=7, max_bytes=100) == [kept(15)]


def test_the_oldest_go_until_the_rest_is_small_enough() -> None:
    files = [kept(23), kept(21), kept(22), kept(20)]
    assert surplus(files, NOW, max_age_days=7, max_bytes=20) == [kept(20), kept(21)]


def test_bodies_go_before_the_rows_of_their_day() -> None:
    files = [kept(22), kept(22, rows=False, changed=2.0), kept(22, rows=False, changed=1.0)]
    gone = surplus(files, NOW, max_age_days=7, max_bytes=10)
    assert [(each.rows, each.changed) for each in gone] == [(False, 1.0), (False, 2.0)]


def test_nothing_goes_where_there_is_room() -> None:
    assert surplus([kept(22), kept(23)], NOW, max_age_days=7, max_bytes=20) == []


@given(st.lists(st.builds(kept, st.integers(1, 23), st.integers(0, 100))), st.integers(0, 500))
def test_what_is_left_is_small_enough_and_not_a_file_less(files: list[Kept], limit: int) -> None:
    gone = surplus(files, NOW, max_age_days=30, max_bytes=limit)
    total, size = sum(f.size for f in files), sum(f.size for f in gone)
    assert total - size <= limit
    assert not gone or total - (size - gone[-1].size) > limit
