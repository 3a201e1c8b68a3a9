"""Slots of time: quarters of an hour, which the offsets of all zones of today are a multiple of.

So the hours and days of any zone are sums of slots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SLOT = 900
"""Seconds of a slot; slots are counted since the epoch."""
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def slot_of(timestamp: str) -> int | None:
    """Return the slot of a timestamp as rows have it: `2026-11-22T13:05:59.123Z`; None for any other."""
    if len(timestamp) != 24 or timestamp[16] != ":" or timestamp[-1] != "Z":
        return None
    return _slot_of_minute(timestamp[:16])


@lru_cache(maxsize=4096)
def _slot_of_minute(minute: str) -> int | None:
    if not _MINUTE.fullmatch(minute):
        return None
    try:
        moment = datetime.fromisoformat(f"{minute}:00+00:00")
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=SLOT)


@lru_cache(maxsize=4096)
def minute_of(slot: int) -> str:
    """Return the first minute of a slot, as timestamps have it."""
    return (_EPOCH + timedelta(seconds=slot * SLOT)).isoformat()[:16]


@dataclass(frozen=True, slots=True)
class Slots:
    """The whole slots of a time range, from `first` to before `last`."""

    first: float
    last: float
    since: float | None
    until: float | None

    @classmethod
    def of(cls, since: float | None, until: float | None) -> Slots:
        """Return the slots within two times (seconds since the epoch)."""
        first = float("-inf") if since is None else -(-since // SLOT)
        last = float("inf") if until is None else until // SLOT
        return cls(first, max(last, first), since, until)

    def __contains__(self, slot: object) -> bool:
        return isinstance(slot, int) and self.first <= slot < self.last

    def edges(self) -> Iterator[tuple[int, float, float]]:
        """Yield each slot of which only a part is in the range, with the times of that part."""
        since, until = self.since, self.until
        if since is not None and since % SLOT:
            end = self.first * SLOT
            yield int(since // SLOT), since, end if until is None else min(end, until)
        if until is not None and until % SLOT and until // SLOT >= self.first:
            yield int(until // SLOT), until // SLOT * SLOT, until
