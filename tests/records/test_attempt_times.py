"""The bars of attempts, and their times in numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.records.attempt_times import GLYPHS, INDENT, WIDE, Axis, parts_of
from tests.fakes import NOW

GLYPH = re.compile(f"[{''.join(GLYPHS.values())}]")


def row(start: str = "20.000", **fields: Any) -> dict[str, Any]:
    """An attempt of 100 ms: connect 10, TLS 20, wait 30, rest 40. `start` is in seconds; the request came at 20."""
    times = {"durationMs": 100.0, "connectMs": 10.0, "tlsMs": 20.0, "waitMs": 30.0, "reused": False}
    return {"timestamp": f"2025-10-09T08:53:{start}Z", **times, **fields}


def drawn(*rows: dict[str, Any], room: int = WIDE, took: float | None = None) -> list[str]:
    """Return the lines of the attempts of a request that took so many ms."""
    axis = Axis(took and {"responseTimeMs": took}, rows, NOW, room)  # type: ignore[arg-type]
    return [line for each in rows for line in axis.lines(each)]


def test_a_bar_has_a_share_of_each_part() -> None:
    assert drawn(row(), room=INDENT + 50) == [
        "░░░░░▒▒▒▒▒▒▒▒▒▒···············████████████████████",
        "connect 10 ms, TLS 20 ms, wait 30 ms, rest 40 ms",
    ]


def test_attempts_share_one_axis_as_long_as_the_request() -> None:
    first, _, second, _ = drawn(row(), row("20.100"), took=400.0, room=INDENT + 40)
    assert first == "░▒▒···████"
    assert second == " " * 10 + "░▒▒···████"


@pytest.mark.parametrize(
    ("fields", "parts", "numbers"),
    [
        ({"connectMs": 0.0, "tlsMs": 0.0, "reused": True}, (0, 0, 30, 70),
         "reused connection, wait 30 ms, rest 70 ms"),
        ({"tlsMs": 0.0}, (10, 0, 30, 60), "connect 10 ms, wait 30 ms, rest 60 ms"),
        ({"waitMs": None}, (10, 20, 70, 0), "connect 10 ms, TLS 20 ms, no byte for 70 ms"),
        ({"durationMs": 10.0, "tlsMs": 0.0, "waitMs": None}, (10, 0, 0, 0), "connect 10 ms"),
        ({"connectMs": 0.0, "tlsMs": 0.0, "waitMs": None}, (100, 0, 0, 0), "no connection for 100 ms"),
        ({"durationMs": 1.0}, (10, 20, 30, 0), "connect 10 ms, TLS 20 ms, wait 30 ms"),
    ],
    ids=["reused", "plain", "no answer", "nothing sent", "no connection", "more than the whole"],
)  # fmt: skip
def test_the_parts_of_an_attempt(
    fields: dict[str, Any], parts: tuple[float, ...], numbers: str
) -> None:
    assert parts_of(row(**fields)) == parts
    assert drawn(row(**fields))[1] == numbers


@pytest.mark.parametrize("missing", ["connectMs", "durationMs"])
def test_an_older_row_or_one_without_an_end_is_not_drawn(missing: str) -> None:
    axis = Axis(None, [old := row(**{missing: None})], NOW, WIDE)
    assert (list(axis.lines(old)), axis.drawn) == ([], False)


def test_an_attempt_of_no_time_is_not_drawn() -> None:
    assert drawn(row(durationMs=0.0, connectMs=0.0, tlsMs=0.0, waitMs=0.0)) == []


ANY = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63)


@given(st.lists(st.tuples(ANY, ANY, ANY, st.none() | ANY), min_size=1, max_size=4),
       st.none() | ANY, st.integers(0, 200))  # fmt: skip
def test_a_bar_fits_whatever_a_row_holds(
    times: list[tuple[float, float, float, float | None]], took: float | None, room: int
) -> None:
    names = ("durationMs", "connectMs", "tlsMs", "waitMs")
    rows = [row(**dict(zip(names, each, strict=True))) for each in times]
    for line in drawn(*rows, room=room, took=took):
        if GLYPH.search(line):
            assert len(line) <= max(min(room, WIDE) - INDENT, 20)


def test_each_part_that_took_time_has_a_column() -> None:
    """However short, and however late it began."""
    late = row("59.900", durationMs=4.0, connectMs=1.0, tlsMs=1.0, waitMs=1.0)
    assert drawn(late)[0].endswith("░▒·█")
