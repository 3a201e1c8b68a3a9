from __future__ import annotations

import pytest

from neurolink_mitm.dataplane.body_memory import LIMIT, RESERVE, SMALL, BodyMemory

MB = 1024 * 1024


def test_the_bounds_are_those_promised() -> None:
    assert (LIMIT, RESERVE, SMALL) == (256 * MB, 64 * MB, MB)


@pytest.mark.parametrize(
    ("under_way", "size", "fits"),
    [(0, 64 * MB, True), (192 * MB, 64 * MB, True), (193 * MB, 64 * MB, False), (LIMIT, MB, True),
     (LIMIT, MB + 1, False), (LIMIT + RESERVE - MB, MB, True), (LIMIT + RESERVE, 1, False)],
)  # fmt: skip
def test_whether_a_body_fits(under_way: int, size: int, fits: bool) -> None:
    room = BodyMemory(lambda: [under_way])
    room.take(under_way, under_way)
    assert room.has(size) is fits
    room = BodyMemory(lambda: [under_way, size])
    assert room.take(under_way + size, size) is fits


def test_what_has_gone_counts_no_more() -> None:
    held = [64 * MB]
    room = BodyMemory(lambda: held)
    assert all(room.take(64 * MB, 64 * MB) for _ in range(100))


def test_it_is_counted_only_when_the_sum_says_so() -> None:
    counted: list[int] = []
    room = BodyMemory(lambda: counted.append(1) or ())
    for _ in range(2000):
        room.take(MB, MB)
    assert len(counted) < 10
