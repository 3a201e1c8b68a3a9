"""Lays the times of a request and its attempts out on one axis, as lanes of bars in per cent of its width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.records.attempt_times import Row, limited, parts_of

Pieces = Sequence[tuple[str, float]]
"""What follows one another: kinds, and milliseconds."""
SMALLEST = 0.4
"""Per cent of the width that each bar has at least, or it would not be seen."""
_STEPS = (1, 2, 5)
"""Of the ticks, times a power of ten."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a lane: its kind, its milliseconds, and its place in per cent."""

    kind: str
    ms: float
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """What happened in a row of the chart. `attempt` is the attempt's row; None for the client's side."""

    bars: tuple[Bar, ...]
    attempt: Row | None = None

    @property
    def end(self) -> float:
        """Where the last bar ends, in per cent."""
        return self.bars[-1].start + self.bars[-1].width if self.bars else 0.0

    @property
    def text(self) -> str:
        """The bars in words, for those who do not see them."""
        return ", ".join(f"{bar.kind} {bar.ms:.0f} ms" for bar in self.bars)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The lanes of a request on an axis of `length` milliseconds; ticks are milliseconds and per cent."""

    length: float
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, float], ...]


def timeline(request: Row | None, attempts: Sequence[Row]) -> Timeline | None:
    """Return the timeline; None where no row has a time. Rows may hold any number."""
    rows = [row for row in (request, *attempts) if row]
    if not rows:
        return None
    began = seconds(rows[0]["timestamp"])
    own = request or {}
    starts = [limited(round((seconds(row["timestamp"]) - began) * 1000, 1)) for row in attempts]
    ends = [start + sum(parts_of(row) or ()) for start, row in zip(starts, attempts, strict=True)]
    length = max(limited(own.get("responseTimeMs")), *ends, 0.0)
    if not length:
        return None
    axis = _Axis(length)
    lanes = (
        Lane(axis.bars(0, _client(own, list(zip(starts, ends, strict=True))))),
        *(Lane(axis.bars(start, _parts(row)), row) for start, row in zip(starts, attempts, strict=True)),
    )  # fmt: skip
    return Timeline(length, lanes, tuple((at, at / length * 100) for at in ticks(length)))


def _client(request: Row, attempts: Sequence[tuple[float, float]]) -> Pieces:
    """Return what the client saw: queued, held and waiting, then bytes. `attempts` are their starts and ends."""
    end = limited(request.get("responseTimeMs"))
    byte = min(limited(request.get("ttfbMs")), end) if request.get("ttfbMs") is not None else end
    held = limited(request.get("heldMs"))
    pieces: list[tuple[str, float]] = []
    at = 0.0
    for start, stop in (*attempts, (byte, byte)):
        begin = min(max(start, at), byte)
        if begin > at:  # it was held if it was held for most of that
            idle = "waiting" if at else "queue"
            pieces.append(("held" if held and begin - at > held / 2 else idle, begin - at))
        at = min(max(stop, begin), byte)
        pieces.append(("waiting", at - begin))
    pieces.append(("answer", end - byte))
    kinds = groupby(pieces, key=itemgetter(0))
    return [(kind, sum(ms for _, ms in alike)) for kind, alike in kinds]


def _parts(row: Row) -> Pieces:
    parts = parts_of(row)
    if parts is None:
        return ()
    connect, tls, wait, rest = parts
    last = "failed" if row.get("errorType") else "stream"
    return (("connect", connect), ("tls", tls), ("wait", wait), (last, rest))


@dataclass(frozen=True, slots=True)
class _Axis:
    length: float

    def bars(self, start: float, pieces: Pieces) -> tuple[Bar, ...]:
        return tuple(self._bars(start, pieces))

    def _bars(self, start: float, pieces: Pieces) -> Iterator[Bar]:
        at = start
        for kind, ms in pieces:
            if ms > 0:
                width = min(max(ms / self.length * 100, SMALLEST), 100)
                place = min(at / self.length * 100, 100 - width)
                yield Bar(kind, ms, place, width)
            at += ms


def ticks(length: float) -> Iterator[float]:
    """Yield up to six round numbers of milliseconds below `length`, from 0 on."""
    power = 10.0 ** (len(f"{length:.0f}") - 2)
    steps = (step * factor for factor in (power / 10, power, power * 10) for step in _STEPS)
    step = next((each for each in steps if length / each <= 5.5), length)
    at = 0
    while at * step < length * 0.97:
        yield at * step
        at += 1
