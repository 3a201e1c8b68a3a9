"""Makes a recording of rows, joined by their ids.

Rows may be torn, of an older version, or hold any number; one without a usable time is counted as no row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, TypeVar, cast

import msgspec

from neurolink_mitm.core.failover.errors import RATE_LIMIT
from neurolink_mitm.core.failover.ineligible import ALL_COOLING
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.pool.accounts import ANTHROPIC
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.families import family_of
from neurolink_mitm.core.request.endpoints import ENDPOINTS, MESSAGES, endpoint_of
from neurolink_mitm.core.response.prompt_cache import LONG, SHORT
from neurolink_mitm.records.recording import Asked, Recording, Tried
from neurolink_mitm.records.row_reader import RowReader

T = TypeVar("T")

MOST_REQUESTS = 200_000
"""Requests that are held at once, about 100 MB; of more, the latest count."""

LONGEST = 8 * 86_400.0
"""Seconds that a limit lasts at most, whatever a row says; `MOST_…` bound other numbers."""

MOST_USD, MOST_TOKENS, MOST_USED = 1e6, 10**9, 1e3


NEAR = 3600.0
"""Seconds around the time that is looked at: a request is not in it, but its attempts may be."""

ANTHROPIC_API = (None, Api.ANTHROPIC.value)

PLANS = ("oauth", "api_key")

ANTHROPICS = ("/v1/messages", "/v1/files")
"""Paths of requests that are not translated, by their beginning."""


class LoggedRequest(msgspec.Struct, frozen=True, gc=False):
    """The fields of a finished request that a replay reads; older versions may lack any of them."""

    timestamp: str
    requestId: str
    path: str = ""
    provider: str | None = None
    model: str | None = None
    responseStatus: int | None = None
    costUsd: float | None = None
    cacheCreationTokens: int | None = None
    cacheCreation1hTokens: int | None = None
    cacheReadTokens: int | None = None
    movedCacheTokens: int | None = None
    sessionId: str | None = None
    agentId: str | None = None
    api: str | None = None
    account: str | None = None
    accountType: str | None = None
    why: str | None = None


class LoggedAttempt(msgspec.Struct, frozen=True, gc=False):
    """The fields of an attempt that a replay reads."""

    timestamp: str
    requestId: str
    account: str | None = None
    accountType: str | None = None
    provider: str | None = ANTHROPIC
    responseStatus: int | None = None
    errorType: str | None = None
    durationMs: float | None = None
    cooldownMs: float | None = None
    retryAfter: float | None = None
    utilization5h: float | None = None
    utilization7d: float | None = None
    endpoint: str | None = None


class Recorder:
    """Takes rows, and makes a `Recording` of them. Rows of requests come first, where there are any."""

    def __init__(
        self,
        since: float = -math.inf,
        until: float = math.inf,
        most: int = MOST_REQUESTS,
    ) -> None:
        self._since, self._until, self._most = since, until, most
        self._asked: dict[str, Asked] = {}
        self._left_out: set[str] = set()
        """Ids of requests before or after that time."""
        self._types: dict[str, str] = {}
        self._reader = RowReader()
        self._cut = False
        self._same: dict[Any, Any] = {}
        """What many requests have in common is held once."""

    def take_requests(self, lines: Iterable[bytes]) -> None:
        for row in self._reader.read(lines, LoggedRequest):
            at = self._time(row.timestamp)
            if at is None or not row.requestId:
                continue
            if self._since <= at < self._until:
                self._add(row.requestId, self._of(row, at))
            elif abs(at - self._since) < NEAR or abs(at - self._until) < NEAR:
                self._left_out.add(row.requestId)

    def take_attempts(self, lines: Iterable[bytes]) -> None:
        for row in self._reader.read(lines, LoggedAttempt):
            at = self._time(row.timestamp)
            if at is None or not row.requestId or not row.account or row.provider != ANTHROPIC:
                continue
            asked = self._asked.get(row.requestId)
            if asked is None:  # its own row is gone
                if row.requestId in self._left_out or not self._since <= at < self._until:
                    continue
                asked = Asked(at, self._wants(True, None, None, _endpoint(row)))
                self._add(row.requestId, asked)
            asked.tried.append(self._tried(row, at, asked))

    def finish(self) -> Recording:
        """Return what was recorded."""
        asked = [each for each in self._asked.values() if self._complete(each)]
        elsewhere = sum(each.fell and not each.tried for each in self._asked.values())
        self._asked.clear()
        self._same.clear()
        asked.sort(key=lambda each: each.at)
        tried = sorted((t for each in asked for t in each.tried), key=lambda t: t.at)
        _scope_limits(tried)
        types = {t.account: self._types.get(t.account, "api_key") for t in tried}
        return Recording(asked, tried, types, self._reader.bad, elsewhere, self._cut)

    def _time(self, timestamp: str) -> float | None:
        try:
            return seconds(timestamp)
        except (ValueError, OverflowError, OSError):
            self._reader.bad += 1
            return None

    def _add(self, key: str, asked: Asked) -> None:
        self._asked[key] = asked
        if len(self._asked) > self._most * 1.25:  # now and then, since it takes a while
            latest = sorted(self._asked.items(), key=lambda item: item[1].at)[-self._most :]
            self._asked, self._cut = dict(latest), True
            self._since = max(self._since, latest[0][1].at)

    def _of(self, row: LoggedRequest, at: float) -> Asked:
        by_anthropic = row.provider == ANTHROPIC
        fell = row.provider is not None and not by_anthropic
        if by_anthropic and row.account and row.accountType in PLANS:
            self._types.setdefault(row.account, row.accountType)
        session, written = row.sessionId, _tokens(row.cacheCreationTokens)
        endpoint = endpoint_of(row.path) if row.path.startswith(ANTHROPICS) else MESSAGES
        cost = _bounded(row.costUsd, MOST_USD)
        return Asked(
            at,
            # the user agent is not logged: only Claude Code names its sessions
            self._wants(
                session is not None and row.api in ANTHROPIC_API, row.model, session, endpoint
            ),
            self._shared((session, row.agentId, row.model)) if session else None,
            cost if by_anthropic else None,
            (cost or 0.0) if fell else 0.0,
            written + _tokens(row.cacheReadTokens),
            _lifetime(written, row),
            _tokens(row.movedCacheTokens),
            self._shared(row.account) if by_anthropic else None,
            ALL_COOLING in (row.why or ""),
            fell,
            status=row.responseStatus,
        )

    def _tried(self, row: LoggedAttempt, at: float, asked: Asked) -> Tried:
        label: str = self._shared(row.account or "")
        if row.accountType in PLANS:
            self._types[label] = row.accountType
        return Tried(
            at,
            label,
            _endpoint(row),
            family_of(asked.requirements.model),
            row.responseStatus,
            self._shared(row.errorType),
            _wait(row.durationMs, 1000),
            _wait(row.cooldownMs, 1000),
            None if row.retryAfter is None else _wait(row.retryAfter),
            _used(row),
        )

    def _complete(self, asked: Asked) -> bool:
        """Complete a request by its attempts; return whether it asked for an account."""
        of, tried = asked.requirements, asked.tried
        if not tried:
            if asked.served_by is None:
                return asked.refused
            # the rows of its attempts are gone
            error = RATE_LIMIT if asked.status == 429 else None
            family = family_of(of.model)
            tried.append(Tried(asked.at, asked.served_by, of.endpoint, family, asked.status, error))
        tried.sort(key=lambda each: each.at)
        asked.at, last = tried[0].at, tried[-1]
        asked.served_by = None if last.keeps_away or asked.fell else last.account
        by_plan = any(self._types.get(each.account) == "oauth" for each in tried)
        if (by_plan and not of.claude_code) or last.endpoint != of.endpoint:
            # subscriptions serve Claude Code only
            by_claude_code = of.claude_code or by_plan
            asked.requirements = self._wants(by_claude_code, of.model, of.session, last.endpoint)
        return True

    def _wants(
        self, claude_code: bool, model: str | None, session: str | None, endpoint: str
    ) -> Requirements:
        key = (claude_code, model, session, endpoint)
        wants: Requirements | None = self._same.get(key)
        if wants is None:
            wants = self._same[key] = Requirements(claude_code, model, session, endpoint=endpoint)
        return wants

    def _shared(self, value: T) -> T:
        """Return the same object for equal values."""
        return cast("T", self._same.setdefault(value, value))


def _scope_limits(attempts: Iterable[Tried]) -> None:
    """Find the limits of one family of models: while they lasted, the account served another family."""
    limits: dict[tuple[str, str], Tried] = {}
    for each in attempts:
        place = (each.account, each.endpoint)
        if each.keeps_away:
            if each.is_rate_limit and each.family:
                limits[place] = each
        elif (limit := limits.get(place)) and limit.until > each.at:
            if each.family == limit.family:
                del limits[place]
            elif each.family:
                limit.of_family_only = True


def _used(row: LoggedAttempt) -> float | None:
    shares = [each for each in (row.utilization5h, row.utilization7d) if each is not None]
    return _bounded(max(shares), MOST_USED) if shares else None


def _lifetime(written: int, row: LoggedRequest) -> float:
    if not written:
        return 0.0
    return LONG if written <= _tokens(row.cacheCreation1hTokens) else SHORT


def _endpoint(row: LoggedAttempt) -> str:
    return row.endpoint if row.endpoint in ENDPOINTS else MESSAGES


def _wait(value: float | None, unit: float = 1.0) -> float:
    """Return seconds of a value in so many parts of a second."""
    return (_bounded(value, LONGEST * unit) or 0.0) / unit


def _tokens(value: int | None) -> int:
    return min(max(value or 0, 0), MOST_TOKENS)


def _bounded(value: float | None, most: float) -> float | None:
    """Return a number from 0 to `most`; None for none, and for what is no number."""
    return None if value is None or math.isnan(value) else min(max(value, 0.0), most)
