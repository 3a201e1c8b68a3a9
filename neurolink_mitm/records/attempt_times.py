"""Draws the times of a request's attempts: a bar each on one time axis, and the same in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurolink_mitm.core.logs.summary import duration, joined, timing
from neurolink_mitm.core.logs.timestamps import seconds

Row = Mapping[str, Any]

WIDE = 80
"""Columns of the text at most."""
INDENT = 12
"""Columns in front of a bar, as wide as those of the times in the timeline."""
SHORTEST = 20
"""Columns of a bar, however narrow the terminal is."""
GLYPHS = {"connect": "░", "TLS": "▒", "wait": "·", "rest": "█"}
LEGEND = "  ".join(f"{glyph} {name}" for name, glyph in GLYPHS.items())
_LARGEST = 1e10
"""Milliseconds; a row may hold any number."""


def parts_of(row: Row) -> tuple[float, ...] | None:
    """Return the milliseconds of each part in `GLYPHS`; None for a row of an older version, or of no end."""
    if row.get("connectMs") is None or row.get("durationMs") is None:
        return None
    connect, tls = limited(row["connectMs"]), limited(row.get("tlsMs"))
    left = max(0.0, limited(row["durationMs"]) - connect - tls)
    if _unconnected(row):
        return left, 0.0, 0.0, 0.0
    wait = left if row.get("waitMs") is None else limited(row["waitMs"])
    return connect, tls, wait, max(0.0, left - wait)


def _unconnected(row: Row) -> bool:
    """Whether the attempt ended before it had a connection."""
    return row.get("waitMs") is None and not (row["connectMs"] or row.get("reused"))


def limited(value: float | None) -> float:
    """Return milliseconds of a row, which may hold any number, between 0 and `_LARGEST`."""
    return min(max(value or 0.0, 0.0), _LARGEST)


class Axis:
    """The time axis of a request, from its start to its end."""

    def __init__(
        self, request: Row | None, attempts: Sequence[Row], began: float, room: int
    ) -> None:
        """`began` is when the request came, in seconds since the epoch; `room` the columns of the text."""
        self._began = began
        self._columns = max(min(room, WIDE) - INDENT, SHORTEST)
        ends = [self._start(row) + sum(parts_of(row) or ()) for row in attempts]
        self._length = max(limited((request or {}).get("responseTimeMs")), *ends, 0.0)
        self.drawn = False
        """Whether there was anything to draw."""

    def lines(self, row: Row) -> Iterator[str]:
        """Yield the bar of an attempt, and its times in numbers."""
        parts = parts_of(row)
        if parts and any(parts):
            self.drawn = True
            yield self._bar(parts, self._start(row))
            yield _numbers(row, parts)

    def _start(self, row: Row) -> float:
        return limited((seconds(row["timestamp"]) - self._began) * 1000)

    def _bar(self, parts: Sequence[float], start: float) -> str:
        """Draw each part that took time at least a column wide."""
        room, length = self._columns, self._length
        widths = [max(1, round(part / length * room)) if part else 0 for part in parts]
        indent = min(round(start / length * room), room - sum(map(bool, widths)))
        while indent + sum(widths) > room:
            widths[widths.index(max(widths))] -= 1
        bar = "".join(glyph * n for glyph, n in zip(GLYPHS.values(), widths, strict=True))
        return " " * indent + bar


def _numbers(row: Row, parts: Sequence[float]) -> str:
    connect, _, wait, rest = parts
    if _unconnected(row):
        return f"no connection for {duration(connect)}"
    none_came = row.get("waitMs") is None
    return joined(
        timing(row),
        f"no byte for {duration(wait)}" if none_came and wait else None,
        f"rest {duration(rest)}" if rest else None,
    )
