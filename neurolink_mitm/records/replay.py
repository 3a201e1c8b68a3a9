"""Replays recorded attempts under another strategy.

An account is limited from a recorded 429 until the end of its cooldown, and usable otherwise; the use of its windows is
what was last recorded. So the result counts how often a strategy meets the recorded limits, not how its own use would
have moved them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.rows import CLIENT_LEFT, PROXY_STOPPED, AttemptRow
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.pool.accounts import ANTHROPIC, Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import FIVE_HOURS, SEVEN_DAYS, Window
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.endpoints import MESSAGES


@dataclass(slots=True)
class Outcome:
    """The result of a strategy: requests, 429s met, requests that no account could serve, requests by account."""

    requests: int = 0
    rate_limits: int = 0
    refused: int = 0
    served: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """Return the result as JSON values, the account with most requests first."""
        return {
            "requests": self.requests,
            "rateLimits": self.rate_limits,
            "refused": self.refused,
            "served": dict(self.served.most_common()),
        }


@dataclass(frozen=True, slots=True)
class Limited:
    """The time (seconds since the epoch) in which an account could not be used for an endpoint."""

    account: str
    start: float
    end: float
    endpoint: str = MESSAGES


def read_rows(lines: Iterable[bytes]) -> tuple[list[AttemptRow], int]:
    """Return the attempts on Anthropic's accounts in order of time, and the number of lines that are no rows."""
    rows: list[AttemptRow] = []
    bad = 0
    for line in lines:
        try:
            rows.append(msgspec.json.decode(line, type=AttemptRow))
        except UNREADABLE:
            bad += bool(line.strip())
    on_accounts = (row for row in rows if row.account and row.provider == ANTHROPIC)
    return sorted(on_accounts, key=lambda row: row.timestamp), bad


def recorded(rows: Sequence[AttemptRow]) -> Outcome:
    """Return the recorded result."""
    outcome = Outcome(requests=len({row.requestId for row in rows}))
    outcome.rate_limits = sum(row.responseStatus == 429 for row in rows)
    for row in rows:
        if row.errorType in (None, CLIENT_LEFT, PROXY_STOPPED):
            outcome.served[row.account or ""] += 1
    outcome.refused = outcome.requests - outcome.served.total()
    return outcome


def replay(rows: Sequence[AttemptRow], strategy: str) -> Outcome:
    """Return the result of the same requests at the same times under `strategy`."""
    limits = [limited(row) for row in rows if row.responseStatus == 429]
    pool = Pool(accounts_in(rows), strategy, affinity=False)
    outcome, seen = Outcome(), set[str]()
    for row in rows:
        now = seconds(row.timestamp)
        if row.requestId not in seen:
            seen.add(row.requestId)
            own = [limit for limit in limits if limit.endpoint == row.endpoint]
            requirements = Requirements(claude_code=True, endpoint=row.endpoint)
            _send(pool, own, requirements, now, outcome)
        _record_quota(pool, row, now)
    return outcome


def _send(
    pool: Pool, limits: Sequence[Limited], requirements: Requirements, now: float, outcome: Outcome
) -> None:
    """Send one request: try accounts until one is not limited at `now`."""
    tried = set[str]()
    outcome.requests += 1
    while account := pool.choose(requirements, now, tried).account:
        tried.add(account.key)
        pool.began(account.key, requirements, now)
        pool.ended(account.key, sent_at=now)
        until = max((limit.end for limit in limits if _holds(limit, account, now)), default=None)
        if until is None:
            pool.succeeded(account.key, requirements, sent_at=now, now=now)
            outcome.served[account.label] += 1
            return
        outcome.rate_limits += 1
        after = ((b"retry-after", f"{until - now:.3f}".encode()),)
        failure = Failure(FailureStage.STATUS, 429, "rate_limit_error", "", after)
        pool.failed(account.key, requirements, failure, sent_at=now, now=now)
    outcome.refused += 1


def _holds(limit: Limited, account: Account, now: float) -> bool:
    return limit.account == account.label and limit.start <= now < limit.end


def _record_quota(pool: Pool, row: AttemptRow, now: float) -> None:
    used = {FIVE_HOURS: row.utilization5h, SEVEN_DAYS: row.utilization7d}
    windows = {name: Window(share) for name, share in used.items() if share is not None}
    if windows:
        pool.take_quota(f"anthropic:{row.account}", Quota(now, windows))


def accounts_in(rows: Sequence[AttemptRow]) -> list[Account]:
    """Return the recorded accounts: subscriptions first, else in order of appearance."""
    types = {row.account or "": row.accountType for row in reversed(rows)}
    order = list(dict.fromkeys(row.account or "" for row in rows))
    accounts = [
        Account(
            key=f"anthropic:{label}",
            label=label,
            type="oauth" if types[label] == "oauth" else "api_key",
            secret=Secret(""),
            base_url="",
        )
        for label in order
    ]
    return sorted(accounts, key=lambda account: account.type != "oauth")


def limited(row: AttemptRow) -> Limited:
    """Return the time in which a recorded 429 limits its account."""
    start = seconds(row.timestamp)
    waited = max(row.cooldownMs / 1000, row.retryAfter or 0.0)
    end = start + (row.durationMs or 0.0) / 1000 + waited
    return Limited(row.account or "", start, end, row.endpoint)
