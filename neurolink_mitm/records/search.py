"""Searches the logs: one request, the latest ones, captured sides since a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.bodies import read_body
from neurolink_mitm.core.logs.timestamps import FIRST, LAST, seconds
from neurolink_mitm.records import har, log_files
from neurolink_mitm.records.row_reader import (
    LoggedAttempt,
    LoggedRequest,
    RequestFilter,
    RowReader,
    TimeRange,
    in_order,
    spellings,
)

Row = dict[str, Any]
ALL = RequestFilter()
"""Selects all requests."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """The rows of one request. `request` is None until it is finished; `captured` are its sides in order."""

    request: Row | None
    attempts: list[Row]
    captured: list[Row]

    def __bool__(self) -> bool:
        return bool(self.request or self.attempts or self.captured)


def request_record(logs: Path, request_id: str, *, captured: bool = True) -> RequestRecord:
    """Return the rows of a request, without its captured sides unless `captured`."""
    request = next(rows_of(logs, "proxy", request_id), None)
    days = _days_of(request) if request else ()
    attempts = rows_of(logs, "proxy-attempts", request_id, *days)
    sides = rows_of(logs, "proxy-debug", request_id, *days) if captured else ()
    by_number = sorted(attempts, key=lambda row: row.get("attempt") or 0)
    return RequestRecord(request, by_number, in_order(sides))


def _days_of(request: Row) -> tuple[float, float]:
    """Return from when to when rows of a finished request may be, in seconds since the epoch."""
    began = seconds(request["timestamp"])
    took = min(max(request.get("responseTimeMs") or 0, 0) / 1000, _LONGEST)
    return max(began, FIRST), min(began + took + _LATE, LAST)


_LONGEST = 7 * 86400.0
"""Seconds that a request takes at most; a row may hold any number."""
_LATE = 60.0
"""Seconds after its end in which the rows of a request are written."""


def rows_of(
    logs: Path,
    family: str,
    request_id: str,
    since: float | None = None,
    until: float | None = None,
) -> Iterator[Row]:
    """Yield the rows of a request in the logs of `family`, those of the newest day first."""
    needle = [b'"%s"' % each for each in spellings(request_id)]
    for path in reversed(log_files.files(logs, family, since, until)):
        for row in RowReader().read_all(family, log_files.lines_with(path, needle)):
            if row.get("requestId") == request_id:
                yield row


def body_json(logs: Path, side: Row) -> Any:
    """Return the stored body of a captured side as JSON values; None if it is gone."""
    document = read_body(logs, side.get("bodyPath"))
    return msgspec.json.decode(msgspec.json.encode(document)) if document else None


def latest(logs: Path, count: int, wanted: RequestFilter) -> list[tuple[bytes, LoggedRequest]]:
    """Return the last `count` matches in order of time, read from the end: older rows take no time."""
    matches: list[tuple[bytes, LoggedRequest]] = []
    for path in reversed(log_files.files(logs, "proxy")):
        for match in matching(log_files.lines_backwards(path), wanted):
            if len(matches) == count:
                return matches[::-1]
            matches.append(match)
    return matches[::-1]


def matching(
    lines: Iterable[bytes], wanted: RequestFilter
) -> Iterator[tuple[bytes, LoggedRequest]]:
    """Yield the lines that `wanted` selects, each with its row."""
    needles, reader = wanted.needles(), RowReader()
    for line in lines:
        if all(any(each in line for each in needle) for needle in needles):
            yield from ((line, row) for row in reader.read([line], LoggedRequest) if wanted(row))


def captured_since(logs: Path, since: float) -> Iterator[Row]:
    """Yield the captured sides since a time (seconds since the epoch)."""
    times = TimeRange.of(since, None)
    for path in log_files.files(logs, "proxy-debug", since):
        for row in RowReader().read_all("proxy-debug", log_files.lines(path)):
            if row.get("timestamp", "") in times:
                yield row


def har_entries(logs: Path, sides: Iterable[Row]) -> Iterator[str]:
    """Yield captured sides as HAR entries, one at a time, since bodies are large."""
    times = _AttemptTimes(logs)
    for request, response in har.pairs(sides):
        request_body = read_body(logs, request.get("bodyPath"))
        response_body = read_body(logs, response.get("bodyPath")) if response else None
        yield har.entry(request, response, request_body, response_body, times.of(request))


class _AttemptTimes:
    """Finds the times of captured attempts; holds those of one day."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._day = ""
        self._attempts: dict[tuple[str, int | None], LoggedAttempt] = {}

    def of(self, side: Mapping[str, Any]) -> LoggedAttempt | None:
        if side.get("attempt") is None:
            return None
        day = side["timestamp"][:10]
        if day != self._day:
            self._day = day
            self._attempts = {(row.requestId, row.attempt): row for row in self._rows(day)}
        return self._attempts.get((side["requestId"], side["attempt"]))

    def _rows(self, day: str) -> Iterator[LoggedAttempt]:
        for path in log_files.files(self._logs, "proxy-attempts"):
            if path.name == f"proxy-attempts-{day}.jsonl":
                yield from RowReader().read(log_files.lines(path), LoggedAttempt)
