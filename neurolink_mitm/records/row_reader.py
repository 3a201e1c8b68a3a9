"""Reads rows of the logs, of this version or another, and selects requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.audit import AUDIT, AuditRow
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
    movedCacheTokens: int | None = None
    costUsd: float | None = None
    sessionId: str | None = None
    api: str = Api.ANTHROPIC.value
    client: str | None = None
    agentId: str | None = None
    parentAgentId: str | None = None
    userId: str | None = None
    conversationId: str | None = None
    replica: str | None = None

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

    def read_all(self, family: str, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """Yield the rows of `family` with all their fields."""
        for row in self.read(lines, dict[str, Any]):
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
    AUDIT: _lenient(AuditRow),
}


def in_order(captured: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sides of a request in order of time: failed attempts are written before the others."""
    last = "client_response"
    return sorted(captured, key=lambda row: (row.get("phase") == last, row.get("attempt") or 0))


Needle = tuple[bytes, ...]
"""Spellings of which a line holds at least one, or it is not selected: to search them costs less than to decode it."""


def spellings(text: str) -> Needle:
    """Return the text as JSON may have it within quotes: our writer escapes no letters, others do."""
    plain = (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True))
    return tuple(dict.fromkeys(each.encode("utf-8", "surrogatepass") for each in plain))


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Selects requests. `status` is a number, `4xx` or `5xx`, or an outcome; ids may be given by their beginning."""

    account: str | None = None
    status: str | None = None
    session: str | None = None
    client: str | None = None
    agent: str | None = None
    """The agent, or the one that started it."""
    user: str | None = None
    conversation: str | None = None
    model: str | None = None
    """A part of the model's name, of the one that was asked for or of the one that answered."""
    request: str | None = None
    replica: str | None = None

    def needles(self) -> tuple[Needle, ...]:
        """Return what each selected line holds."""
        names = (self.account, self.client, self.replica)
        beginnings = (self.session, self.agent, self.user, self.conversation, self.request)
        needles = (
            *(_quoted(name, b'"%s"') for name in names if name is not None),
            *(_quoted(id_, b'"%s') for id_ in beginnings if id_),
            *((spellings(self.model),) if self.model else ()),
            _status_needle(self.status),
        )
        return tuple(filter(None, needles))

    def __call__(self, row: LoggedRequest) -> bool:
        return (
            self.account in (None, row.account)
            and self.client in (None, row.client)
            and self.replica in (None, row.replica)
            and _begins(self.session, row.sessionId)
            and _begins(self.agent, row.agentId, row.parentAgentId)
            and _begins(self.user, row.userId)
            and _begins(self.conversation, row.conversationId)
            and _begins(self.request, row.requestId)
            and (
                self.model is None
                or any(self.model in (name or "") for name in (row.model, row.actualModel))
            )
            and (self.status is None or self.status.lower() in _statuses(row))
        )


def _quoted(text: str, form: bytes) -> Needle:
    return tuple(form % each for each in spellings(text))


def _status_needle(status: str | None) -> Needle:
    if not status:
        return ()
    if status.isdecimal():
        return (status.encode(),)
    if re.fullmatch(
        "[1-5]xx", status.lower()
    ):  # with and without a space: who has written the row?
        return tuple(b'responseStatus":%s%c' % (gap, ord(status[0])) for gap in (b"", b" "))
    return _quoted(status.lower(), b'"%s"')


def _begins(wanted: str | None, *ids: str | None) -> bool:
    return wanted is None or any((each or "").startswith(wanted) for each in ids)


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
