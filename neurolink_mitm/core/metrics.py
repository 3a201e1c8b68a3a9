"""What `GET /metrics` tells: sums over the rows of the logs since the start, and how the accounts are doing now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from neurolink_mitm import __version__
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.exposition import Counter, Histogram, Labels, exposed, gauge
from neurolink_mitm.core.lag import Lag
from neurolink_mitm.core.pool import Pool
from neurolink_mitm.core.record import AttemptRow, RequestRow
from neurolink_mitm.core.standing import Standing

DURATIONS = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 900_000)
SIZES = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 64_000_000)
BY = ("account", "model")
LONGEST = 100
"""Characters of a model's name."""


def _tokens(kind: str, text: str) -> Counter:
    return Counter(f"proxy_tokens_{kind}_total", f"Tokens {text}, as answers told.", BY)


@dataclass(slots=True)
class Metrics:
    """Counts since the start. Labels are of the pool, of a fixed set, or bounded in number."""

    requests: Counter = field(default_factory=lambda: Counter(
        "proxy_requests_total", "Requests that are over.", ("account", "model", "outcome", "status")
    ))  # fmt: skip
    errors: Counter = field(default_factory=lambda: Counter(
        "proxy_errors_total", "Requests that were not answered whole.", ("account", "outcome", "status")
    ))  # fmt: skip
    retries: Counter = field(default_factory=lambda: Counter(
        "proxy_retries_total", "Attempts that failed unseen by the client.", ("account", "type")
    ))  # fmt: skip
    durations: Histogram = field(default_factory=lambda: Histogram(
        "proxy_request_duration_ms", "Milliseconds from a request to the end of its answer.", DURATIONS
    ))  # fmt: skip
    first_bytes: Histogram = field(default_factory=lambda: Histogram(
        "proxy_first_byte_ms", "Milliseconds from a request to the first byte of its answer.", DURATIONS
    ))  # fmt: skip
    sizes: Histogram = field(default_factory=lambda: Histogram(
        "proxy_request_body_bytes", "Bytes of request bodies as clients sent them.", SIZES
    ))  # fmt: skip
    input: Counter = field(default_factory=lambda: _tokens("input", "of prompts outside the cache"))
    output: Counter = field(default_factory=lambda: _tokens("output", "of answers"))
    cache_creation: Counter = field(
        default_factory=lambda: _tokens("cache_creation", "of prompts written to the cache")
    )
    cache_read: Counter = field(
        default_factory=lambda: _tokens("cache_read", "of prompts read from the cache")
    )
    costs: Counter = field(default_factory=lambda: Counter(
        "proxy_cost_usd_total", "US dollars at list prices, where these are known.", BY
    ))  # fmt: skip
    substitutions: Counter = field(default_factory=lambda: Counter(
        "proxy_model_substitution_total", "Requests that another model answered.", ("asked", "actual")
    ))  # fmt: skip

    def see_request(self, row: RequestRow, size: int) -> None:
        account, status = row.account or "", str(row.responseStatus or "")
        # a name that nobody has served is the client's invention
        model = (row.actualModel or "")[:LONGEST] if row.attempts else ""
        self.requests.add(1, account, model, row.outcome, status)
        if row.outcome in ("error", "truncated"):
            self.errors.add(1, account, row.outcome, status)
        self.durations.observe(row.responseTimeMs)
        if row.ttfbMs is not None:
            self.first_bytes.observe(row.ttfbMs)
        self.sizes.observe(size)
        for counter, amount in (
            (self.input, row.inputTokens), (self.output, row.outputTokens),
            (self.cache_creation, row.cacheCreationTokens), (self.cache_read, row.cacheReadTokens),
            (self.costs, row.costUsd),
        ):  # fmt: skip
            if amount:
                counter.add(amount, account, model)
        if row.model and _is_other(row.model, model):
            self.substitutions.add(1, row.model[:LONGEST], model)

    def see_failure(self, row: AttemptRow) -> None:
        self.retries.add(1, row.account or "", (row.errorType or "")[:LONGEST])

    def all(self) -> tuple[Counter | Histogram, ...]:
        return (
            self.requests, self.errors, self.retries, self.durations, self.first_bytes, self.sizes,
            self.input, self.output, self.cache_creation, self.cache_read, self.costs,
            self.substitutions,
        )  # fmt: skip


def _is_other(asked: str, actual: str) -> bool:
    """An alias is answered by the name with its date: that is no other model."""
    return bool(actual) and actual != asked and not actual.startswith(f"{asked}-")


class Journaling(Protocol):
    def report(self) -> Mapping[str, object]: ...


class Measured(Protocol):
    """What of a running proxy is measured."""

    @property
    def metrics(self) -> Metrics: ...
    @property
    def pool(self) -> Pool: ...
    @property
    def journal(self) -> Journaling: ...
    @property
    def lag(self) -> Lag: ...
    @property
    def started_at(self) -> float: ...


def page(running: Measured, now: float) -> str:
    """For `GET /metrics`."""
    pool = running.pool
    standings = [(each, pool.standing(each.key)) for each in (*pool.accounts, *pool.others)]
    measured = (*running.metrics.all(), *running.lag.metrics())
    return exposed((*measured, *_now(running), *_accounts(standings, now)))


def _now(running: Measured) -> Iterable[Counter]:
    dropped = running.journal.report().get("dropped")
    lost = float(dropped) if isinstance(dropped, int) else 0.0
    yield Counter(
        "proxy_journal_dropped_total", "Rows of the logs that were lost.", values={(): lost}
    )
    yield gauge(
        "proxy_start_time_seconds", "When it began, since the epoch.", (), {(): running.started_at}
    )
    yield gauge("proxy_build_info", "Which version runs.", ("version",), {(__version__,): 1})


def _accounts(standings: list[tuple[Account, Standing]], now: float) -> Iterable[Counter]:
    cooldowns: dict[Labels, float] = {
        (account.label, scope): max(0.0, round(state.until - now, 3))
        for account, standing in standings
        for scope, state in standing.cooldowns.items()
    }
    cooling: dict[Labels, float] = {
        (account.label,): float(standing.worst(now).cooling(now)) for account, standing in standings
    }
    yield gauge(
        "proxy_account_cooling", "Whether the account is left alone now.", ("account",), cooling
    )
    yield gauge(
        "proxy_account_cooldown_seconds", "Until it is used again; `*` is the whole account.",
        ("account", "models"), cooldowns,
    )  # fmt: skip
    yield gauge(
        "proxy_account_in_flight", "Requests that it serves now.", ("account",),
        {(account.label,): standing.in_flight for account, standing in standings},
    )  # fmt: skip
    yield gauge(
        "proxy_account_window_used_ratio", "Share of a subscription's window that is used up.",
        ("account", "window"), _windows(standings, now),
    )  # fmt: skip


def _windows(standings: list[tuple[Account, Standing]], now: float) -> dict[Labels, float]:
    used: dict[Labels, float] = {}
    for account, standing in standings:
        if quota := standing.quota:
            for name, window in (("5h", quota.five_hour), ("7d", quota.seven_day)):
                current = quota.current(window, now)
                if current and current.utilization is not None:
                    used[account.label, name] = current.utilization
    return used
