"""Reads rows of the logs, of this version or another, and selects requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.rows import AttemptRow, DebugRow, RequestRow, iso
from neurolink_mitm.core.openai.api import Api

T = TypeVar("T")


class LoggedRequest(msgspec.Struct, frozen=True):
    """The fields that are read of a finished request; None where an older or newer version writes none."""

    timestamp: str
    requestId: str = ""
    outcome: str = ""
    attempts: int = 0
    account: str | None = None
    model: str | None = None
    actualModel: str | None = None
    provider: str | None = None
    responseStatus: int | None = None
    responseTimeMs: float | None = None
    ttfbMs: float | None = None
    inputTokens: int | None = None
    outputTokens: int | None = None
    cacheCreationTokens: int | None = None
    cacheReadTokens: int | None = None
    costUsd: float | None = None
    sessionId: str | None = None
    api: str = Api.ANTHROPIC.value

    @property
    def failed(self) -> bool:
        return self.outcome not in ("complete", "client_cancelled")


class LoggedAttempt(msgspec.Struct, frozen=True, gc=False):
    """The fields that are read of an attempt's times; None where an older version writes none."""

    timestamp: str
    requestId: str = ""
    attempt: int | None = None
    account: str | None = None
    connectMs: float | None = None
    tlsMs: float | None = None
    waitMs: float | None = None
    reused: bool | None = None


@dataclass(slots=True)
class RowReader:
    """Reads lines as rows and counts the others: torn or foreign lines."""

    bad: int = 0

    def read(self, lines: Iterable[bytes], kind: type[T]) -> Iterator[T]:
        """Yield the lines as rows of `kind`."""
        decode = msgspec.json.Decoder(kind).decode
        for line in lines:
            try:
                yield decode(line)
            except UNREADABLE:
                self.bad += bool(line.strip())

    def read_all(
        self, family: str, lines: Iterable[bytes], holding: bytes = b""
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of `family` with all their fields; lines without the bytes `holding` are skipped cheaply."""
        candidates = (line for line in lines if holding in line)
        for row in self.read(candidates, dict[str, Any]):
            try:
                msgspec.convert(row, _TYPES[family])
                yield row
            except UNREADABLE:
                self.bad += 1


def _lenient(row: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a type with the fields of `row`, each of which may be missing or null, but not of another type."""
    needed = {"timestamp": datetime, "requestId": str, "phase": str}
    fields = [
        (field.name, needed[field.name])
        if field.name in needed
        else (field.name, field.type | None, None)
        for field in msgspec.structs.fields(row)
    ]
    return msgspec.defstruct(row.__name__, fields, kw_only=True)


_TYPES = {
    "proxy": _lenient(RequestRow),
    "proxy-attempts": _lenient(AttemptRow),
    "proxy-debug": _lenient(DebugRow),
}


def in_order(captured: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sides of a request in order of time: failed attempts are written before the others."""
    last = "client_response"
    return sorted(captured, key=lambda row: (row.get("phase") == last, row.get("attempt") or 0))


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Selects requests. `status` is a number, `4xx` or `5xx`, or an outcome."""

    account: str | None = None
    status: str | None = None
    session: str | None = None

    def needles(self) -> tuple[bytes, ...]:
        """Return bytes that each selected line holds: to search them costs less than to decode the line."""
        account = None if self.account is None else msgspec.json.encode(self.account)
        session = None if self.session is None else msgspec.json.encode(self.session)[:-1]
        status = self.status.encode() if self.status and self.status.isdecimal() else None
        return tuple(each for each in (account, session, status) if each)

    def __call__(self, row: LoggedRequest) -> bool:
        return (
            self.account in (None, row.account)
            and (self.session is None or (row.sessionId or "").startswith(self.session))
            and (self.status is None or self.status.lower() in _statuses(row))
        )


def _statuses(row: LoggedRequest) -> tuple[str, ...]:
    status = row.responseStatus
    numbers = (str(status), f"{status // 100}xx") if status is not None else ()
    return (*numbers, row.outcome)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `since` to before `until`, as timestamps of rows."""

    since: str = ""
    until: str = "~"  # sorts after every timestamp

    @classmethod
    def of(cls, since: float | None, until: float | None) -> TimeRange:
        """Return the range of two times (seconds since the epoch)."""
        return cls("" if since is None else iso(since), "~" if until is None else iso(until))

    def __contains__(self, timestamp: str) -> bool:
        return self.since <= timestamp < self.until
