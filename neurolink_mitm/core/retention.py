"""Which logs have to go: what is too old, then the oldest until what is left is small enough."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_ROWS = re.compile(r"proxy(?:-attempts|-debug)?-(\d{4}-\d{2}-\d{2})\.jsonl")
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class Kept:
    """A file of rows, or the directory of one request's bodies. In order, the first goes first."""

    day: date
    rows: bool
    """Within a day bodies go first: they are large, and what happened is still told without them."""
    changed: float
    path: str
    size: int


def day_of(name: str) -> date | None:
    """Of a file of rows; None where it is none of ours."""
    match = _ROWS.fullmatch(name)
    return parse_day(match[1]) if match else None


def parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def surplus(kept: Iterable[Kept], now: float, *, max_age_days: int, max_bytes: int) -> list[Kept]:
    """What has to go, in this order."""
    first = (datetime.fromtimestamp(now, UTC) - timedelta(days=max_age_days)).date()
    ordered = sorted(kept)
    old = [each for each in ordered if each.day < first]
    young = ordered[len(old) :]
    return [*old, *_oldest(young, sum(each.size for each in young) - max_bytes)]


def _oldest(ordered: Iterable[Kept], excess: int) -> Iterator[Kept]:
    for each in ordered:
        if excess <= 0:
            return
        excess -= each.size
        yield each
