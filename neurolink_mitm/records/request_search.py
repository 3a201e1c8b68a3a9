"""Finds requests among millions of rows, the newest first, a page at a time.

There is no index: blocks of a file are searched from its end for bytes that a selected line must hold, and only lines
that hold them are decoded. The place of a page is a day and an offset, which no new row moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.bodies import read_body
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.capture import Document
from neurolink_mitm.records import log_files
from neurolink_mitm.records.log_files import line_spans
from neurolink_mitm.records.row_reader import (
    LoggedRequest,
    Needle,
    RequestFilter,
    TimeRange,
    spellings,
)

PAGE = 50
"""Requests of a page."""
BUDGET = 0.8
"""Seconds after which a search shows what it has, and where it stopped."""
BODIES = 500
"""Captured answers that a search opens at most; the budget may end it before."""
LARGEST_BODY = 64 * 1024
"""Bytes of a captured answer that is searched: the message of an error is short."""
_IDS = 100_000
"""Requests of a day that are selected by their attempts or answers at most."""


class ListedRequest(LoggedRequest, frozen=True):
    """What a list shows of a request."""

    why: str | None = None
    method: str | None = None
    path: str | None = None
    stopReason: str | None = None
    heldMs: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Before the byte `offset` in the rows of a day; None: at their end."""

    day: date
    offset: int | None = None

    def __str__(self) -> str:
        return f"{self.day}.{'' if self.offset is None else self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """Return the place that `str` has written; None for any other text."""
        day, dot, offset = text.partition(".")
        if not dot or not (
            offset == "" or (offset.isascii() and offset.isdecimal() and len(offset) < 16)
        ):
            return None
        try:
            return cls(date.fromisoformat(day), int(offset) if offset else None)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched: requests that `wanted` selects, within `times`, with `text` in their row or in an error."""

    wanted: RequestFilter = field(default_factory=RequestFilter)
    times: TimeRange = field(default_factory=TimeRange)
    text: str = ""
    """In a value of the row, in an attempt's error type or upstream's request id, or in a captured error; no case."""


@dataclass(slots=True)
class Results:
    """A page of requests, the newest first."""

    rows: list[ListedRequest] = field(default_factory=list)
    next: Place | None = None
    """Where the next page begins; None: all was searched."""
    full: bool = False
    """Whether the page is full; else the time was up."""
    unread_bodies: bool = False
    """Whether there are more captured answers than were opened."""


def find(
    logs: Path,
    query: Query,
    start: Place | None = None,
    *,
    count: int = PAGE,
    budget: float = BUDGET,
    clock: Callable[[], float] = time.monotonic,
) -> Results:
    """Return the newest `count` requests before `start`, or as many as are found within `budget` seconds."""
    return _Search(logs, query, count, clock, clock() + budget).run(start)


class _Search:
    def __init__(
        self, logs: Path, query: Query, count: int, clock: Callable[[], float], deadline: float
    ) -> None:
        self._logs, self._query, self._count = logs, query, count
        self._text = query.text.casefold()
        self._needles = query.wanted.needles()
        self._text_needle = _without_case(query.text)
        self._clock, self._deadline = clock, deadline
        self._results = Results()
        self._bodies = BODIES

    def run(self, start: Place | None) -> Results:
        days = self._days(start)
        later_ids = self._ids_of(_next(days[0][0])) if days else frozenset()
        for at, (day, path) in enumerate(days):
            if at and self._late():
                return self._stop(Place(day))
            ids = self._ids_of(day)
            end = start.offset if start and start.day == day else None
            if place := self._search_day(day, path, end, ids | later_ids):
                return self._stop(place)
            later_ids = ids  # a request may begin before midnight, and its attempt after
        return self._results

    def _days(self, start: Place | None) -> list[tuple[date, Path]]:
        """Return the files that may hold what is wanted, the newest first."""
        times = self._query.times
        return [
            (day, path)
            for day, path in reversed(log_files.by_day(self._logs, "proxy").items())
            if (start is None or day <= start.day)
            and times.since[:10] <= day.isoformat() <= times.until
        ]

    def _late(self) -> bool:
        return self._clock() >= self._deadline

    def _stop(self, place: Place) -> Results:
        self._results.next = place
        return self._results

    def _search_day(
        self, day: date, path: Path, end: int | None, ids: frozenset[str]
    ) -> Place | None:
        """Add the matches of a day; return where the search stops, None where it goes on to the next day."""
        rows = self._results.rows
        first = True
        for offset, block in log_files.blocks_backwards(path, end):
            if not first and self._late():
                return Place(day, offset + len(block))
            first = False
            for start, line in reversed(list(self._lines(block, ids))):
                row = self._selected(line, ids)
                if row is None:
                    continue
                rows.append(row)
                if len(rows) == self._count:
                    self._results.full = True
                    return Place(day, offset + start)
        return None

    def _lines(self, block: bytes, ids: frozenset[str]) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that may match, each with its place in the block."""
        lines: dict[int, int] = {}
        if self._text:
            lines |= line_spans(block.lower(), self._text_needle)
            if ids:
                lines |= _lines_of(block, ids)
            lines = dict(sorted(lines.items()))
        elif self._needles:
            lines = line_spans(block, max(self._needles, key=lambda needle: len(needle[0])))
        else:
            lines = _all_lines(block)
        for start, end in lines.items():
            line = block[start:end]
            if all(any(each in line for each in needle) for needle in self._needles):
                yield start, line

    def _selected(self, line: bytes, ids: frozenset[str]) -> ListedRequest | None:
        try:
            if not self._text:
                row = _request.decode(line)
            else:
                values = _values.decode(line)
                if not _mentions(values, self._text) and values.get("requestId") not in ids:
                    return None
                row = msgspec.convert(values, ListedRequest)
        except UNREADABLE:
            return None
        return row if row.timestamp in self._query.times and self._query.wanted(row) else None

    def _ids_of(self, day: date) -> frozenset[str]:
        """Return the requests of a day of which an attempt or a captured error holds the text."""
        if not self._text:
            return frozenset()
        ids = {row.requestId for row in self._rows(day, "proxy-attempts", _attempt, self._text_needle)
               if _mentions({"": row.errorType, "id": row.upstreamRequestId}, self._text)}  # fmt: skip
        ids |= {row.requestId for row in self._error_answers(day) if self._body_mentions(row)}
        return frozenset(ids)

    def _rows(
        self, day: date, family: str, decoder: msgspec.json.Decoder[Any], needle: Needle
    ) -> Iterator[Any]:
        """Yield rows of a day whose line holds the needle, in lower case; `_IDS` at most."""
        path = self._logs / f"{family}-{day}.jsonl"
        left = _IDS
        for _, block in log_files.blocks_backwards(path):
            for start, end in line_spans(block.lower(), needle).items():
                try:
                    yield decoder.decode(block[start:end])
                except UNREADABLE:
                    continue
                left -= 1
                if not left:
                    return

    def _error_answers(self, day: date) -> Iterator[_Answer]:
        needle = (b'"upstream_response"', b'"client_response"')
        for row in self._rows(day, "proxy-debug", _answer, needle):
            if row.phase.endswith("_response") and (row.status or 0) >= 400 and row.bodyPath:
                yield row

    def _body_mentions(self, row: _Answer) -> bool:
        if self._bodies <= 0 or self._late():
            self._results.unread_bodies = True
            return False
        self._bodies -= 1
        document = read_body(self._logs, row.bodyPath) if row.bodyBytes <= LARGEST_BODY else None
        return document is not None and self._text in _text_of(document).casefold()


class _Attempt(msgspec.Struct, frozen=True, gc=False):
    requestId: str
    errorType: str | None = None
    upstreamRequestId: str | None = None


class _Answer(msgspec.Struct, frozen=True, gc=False):
    requestId: str
    phase: str
    status: int | None = None
    bodyPath: str | None = None
    bodyBytes: int = 0


_request = msgspec.json.Decoder(ListedRequest)
_values = msgspec.json.Decoder(dict[str, Any])
_attempt = msgspec.json.Decoder(_Attempt)
_answer = msgspec.json.Decoder(_Answer)


def _next(day: date) -> date:
    return day if day == date.max else day + timedelta(days=1)


def _without_case(text: str) -> Needle:
    """Return what a line, in lower case, holds if it holds the text; letters beyond ASCII in both cases."""
    cases = (text, text.lower(), text.upper())
    return tuple(dict.fromkeys(each.lower() for case in cases for each in spellings(case)))


def _text_of(document: Document) -> str:
    return bytes(document.body).decode("utf-8", "replace")


def _mentions(row: dict[str, Any], text: str) -> bool:
    """Tell whether a value holds the text, or is this number."""
    return any(
        text in value.casefold() if isinstance(value, str) else text == str(value).casefold()
        for value in row.values()
        if value is not None
    )


def _all_lines(block: bytes) -> dict[int, int]:
    lines, at = {}, 0
    while at < len(block):
        end = block.find(b"\n", at)
        end = len(block) if end < 0 else end
        lines[at] = end
        at = end + 1
    return lines


def _lines_of(block: bytes, ids: frozenset[str]) -> dict[int, int]:
    """Return the lines of these requests."""
    if len(ids) <= 8:
        return line_spans(block, tuple(each for id_ in ids for each in spellings(id_)))
    lines = {}
    for start, end in _all_lines(block).items():
        at = block.find(_ID, start, end)
        if at >= 0:
            quoted = block[at + len(_ID) : min(at + len(_ID) + 256, end)].split(b'"', 2)
            if len(quoted) == 3 and quoted[1].decode("utf-8", "replace") in ids:
                lines[start] = end
    return lines


_ID = b'"requestId":'
