"""The table of metrics, and the metric points of attempts, of finished requests, and of this moment.

`/metrics` (`telemetry/registry.py`) and OTLP (`telemetry/otlp_pipeline.py`) both show this one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from neurolink_mitm import __version__
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.status.event_loop import BOUNDS, Lag

Kind = Literal["counter", "gauge", "histogram"]

DURATIONS = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 900_000)
"""Upper bounds of buckets, in milliseconds."""
SIZES = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 64_000_000)
"""Upper bounds of buckets, in bytes."""
LONGEST = 100
"""Characters of a name that clients or upstreams have chosen."""
_GEN_AI = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model",
    "gen_ai.response.model", "error.type",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table. `buckets` are the upper bounds of a histogram; `unit` is UCUM, for OTLP.

    `read` metrics are not counted up but read as they stand when somebody asks.
    """

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = "1"
    buckets: tuple[float, ...] = ()
    read: bool = False
    otlp_only: bool = False


def _counter(help: str, *labels: str, unit: str, read: bool = False) -> Metric:
    return Metric("counter", help, labels, unit, read=read)


def _gauge(help: str, *labels: str, unit: str = "1") -> Metric:
    return Metric("gauge", help, labels, unit, read=True)


def _histogram(help: str, buckets: tuple[float, ...], unit: str) -> Metric:
    return Metric("histogram", help, (), unit, buckets)


def _gen_ai(help: str, buckets: tuple[float, ...], unit: str, *labels: str) -> Metric:
    """A metric of OpenTelemetry's conventions; Prometheus has its figures in `proxy_…` metrics."""
    return Metric("histogram", help, (*_GEN_AI, *labels), unit, buckets, otlp_only=True)


METRICS: Mapping[str, Metric] = {
    "proxy_requests_total": _counter(
        "Requests that are over.", "account", "model", "outcome", "status", unit="{request}"
    ),
    "proxy_errors_total": _counter(
        "Requests that were not answered whole.", "account", "outcome", "status", unit="{request}"
    ),
    "proxy_attempts_total": _counter(
        "Requests sent upstream.", "account", "error_type", "provider", "status", unit="{attempt}"
    ),
    "proxy_retries_total": _counter(
        "Attempts that failed unseen by the client.", "account", "type", unit="{attempt}"
    ),
    "proxy_request_duration_ms": _histogram(
        "Milliseconds from a request to the end of its answer.", DURATIONS, "ms"
    ),
    "proxy_first_byte_ms": _histogram(
        "Milliseconds from a request to the first byte of its answer.", DURATIONS, "ms"
    ),
    "proxy_request_body_bytes": _histogram(
        "Bytes of request bodies as clients sent them.", SIZES, "By"
    ),
    "proxy_tokens_input_total": _counter(
        "Tokens of prompts outside the cache, as answers told.", "account", "model", unit="{token}"
    ),
    "proxy_tokens_output_total": _counter(
        "Tokens of answers, as answers told.", "account", "model", unit="{token}"
    ),
    "proxy_tokens_cache_creation_total": _counter(
        "Tokens of prompts written to the cache, as answers told.", "account", "model", unit="{token}"
    ),
    "proxy_tokens_cache_read_total": _counter(
        "Tokens of prompts read from the cache, as answers told.", "account", "model", unit="{token}"
    ),
    "proxy_cost_usd_total": _counter(
        "US dollars at list prices, where these are known.", "account", "model", unit="USD"
    ),
    "proxy_model_substitution_total": _counter(
        "Requests that another model answered.", "asked", "actual", unit="{request}"
    ),
    "proxy_loop_lag_ms": _histogram("Milliseconds by which the event loop was late.", BOUNDS, "ms"),
    "proxy_loop_lag_recent_ms": _gauge(
        "The event loop's lag in the last minute.", "quantile", unit="ms"
    ),
    "proxy_loop_lag_max_ms": _gauge("Its longest lag since the start.", unit="ms"),
    "proxy_loop_stalls_total": _counter(
        "How often the event loop stood still for 250 ms or more.", unit="{stall}", read=True
    ),
    "proxy_pauses_total": _counter(
        "How often the whole process did not run (SIGSTOP, sleep).", unit="{pause}", read=True
    ),
    "proxy_journal_dropped_total": _counter("Rows of the logs that were lost.", unit="{row}", read=True),
    "proxy_start_time_seconds": _gauge("When it began, since the epoch.", unit="s"),
    "proxy_build_info": _gauge("Which version runs.", "version"),
    "proxy_account_cooling": _gauge("Whether the account is left alone now.", "account"),
    "proxy_account_cooldown_seconds": _gauge(
        "Until it is used again; `*` is the whole account.", "account", "models", unit="s"
    ),
    "proxy_account_in_flight": _gauge("Requests that it serves now.", "account", unit="{request}"),
    "proxy_account_window_used_ratio": _gauge(
        "Share of a subscription's window that is used up.", "account", "window"
    ),
    "gen_ai.client.operation.duration": _gen_ai(
        "Requests to models.", tuple(0.01 * 2**n for n in range(14)), "s"
    ),
    "gen_ai.client.token.usage": _gen_ai(
        "Tokens of a request; all of its input.", tuple(4**n for n in range(14)), "{token}",
        "gen_ai.token.type",
    ),
}  # fmt: skip


class Point(NamedTuple):
    """A metric point: what is added to a metric's series, or read of it. `labels` are values in the table's order."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


class Journaling(Protocol):
    def report(self) -> Mapping[str, object]: ...


class Measured(Protocol):
    """The parts of the Runtime that `current_points` reads."""

    @property
    def pool(self) -> Pool: ...
    @property
    def journal(self) -> Journaling: ...
    @property
    def lag(self) -> Lag: ...
    @property
    def started_at(self) -> float: ...


def attempt_points(row: AttemptRow, *, unseen: bool) -> Iterator[Point]:
    """Yield the points of an attempt that is over; `unseen`: it failed, and the client got nothing of it."""
    account, status = row.account or "", str(row.responseStatus or "")
    error = (row.errorType or "")[:LONGEST]
    yield Point("proxy_attempts_total", 1, (account, error, row.provider, status))
    if unseen:
        yield Point("proxy_retries_total", 1, (account, error))


def request_points(row: RequestRow, size: int) -> Iterator[Point]:
    """Yield the points of a request that is over; `size` is that of its body in bytes."""
    account, status = row.account or "", str(row.responseStatus or "")
    # a name that nobody has served is the client's invention
    model = (row.actualModel or "")[:LONGEST] if row.attempts else ""
    yield Point("proxy_requests_total", 1, (account, model, row.outcome, status))
    if row.outcome in ("error", "truncated"):
        yield Point("proxy_errors_total", 1, (account, row.outcome, status))
    yield Point("proxy_request_duration_ms", row.responseTimeMs)
    if row.ttfbMs is not None:
        yield Point("proxy_first_byte_ms", row.ttfbMs)
    yield Point("proxy_request_body_bytes", size)
    for metric, amount in (
        ("proxy_tokens_input_total", row.inputTokens),
        ("proxy_tokens_output_total", row.outputTokens),
        ("proxy_tokens_cache_creation_total", row.cacheCreationTokens),
        ("proxy_tokens_cache_read_total", row.cacheReadTokens),
        ("proxy_cost_usd_total", row.costUsd),
    ):
        if amount:
            yield Point(metric, amount, (account, model))
    if row.model and _is_other(row.model, model):
        yield Point("proxy_model_substitution_total", 1, (row.model[:LONGEST], model))


def _is_other(asked: str, actual: str) -> bool:
    """An alias is answered by the name with its date: that is no other model."""
    return bool(actual) and actual != asked and not actual.startswith(f"{asked}-")


def gen_ai_points(row: RequestRow, attributes: Mapping[str, object]) -> Iterator[Point]:
    """Yield the points that OpenTelemetry's conventions want of a request to a model.

    https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
    """
    labels = tuple(str(attributes.get(name) or "")[:LONGEST] for name in _GEN_AI)
    yield Point("gen_ai.client.operation.duration", row.responseTimeMs / 1000, labels)
    parts = (row.inputTokens, row.cacheReadTokens, row.cacheCreationTokens)
    prompt = [part for part in parts if part is not None]
    for kind, tokens in (("input", sum(prompt) if prompt else None), ("output", row.outputTokens)):
        if tokens is not None:
            yield Point("gen_ai.client.token.usage", tokens, (*labels, kind))


def current_points(running: Measured, now: float) -> Iterator[Point]:
    """Yield the points of all `read` metrics as they stand at `now`. Any thread may ask."""
    lag = running.lag
    for share in (0.5, 0.99):
        yield Point("proxy_loop_lag_recent_ms", round(lag.quantile(share), 3), (f"{share:g}",))
    yield Point("proxy_loop_lag_max_ms", round(lag.longest, 3))
    yield Point("proxy_loop_stalls_total", lag.stalls)
    yield Point("proxy_pauses_total", lag.pauses)
    dropped = running.journal.report().get("dropped")
    yield Point("proxy_journal_dropped_total", dropped if isinstance(dropped, int) else 0)
    yield Point("proxy_start_time_seconds", running.started_at)
    yield Point("proxy_build_info", 1, (__version__,))
    pool = running.pool
    for account in (*pool.accounts, *pool.others):
        state = pool.standing(account.key)
        # a copy, since the event loop may change the dictionary meanwhile
        yield from _account(account, replace(state, cooldowns=dict(state.cooldowns)), now)


def _account(account: Account, state: AccountState, now: float) -> Iterable[Point]:
    label = account.label
    yield Point("proxy_account_cooling", state.worst(now).cooling(now), (label,))
    for scope, cooldown in state.cooldowns.items():
        left = max(0.0, round(cooldown.until - now, 3))
        yield Point("proxy_account_cooldown_seconds", left, (label, scope))
    yield Point("proxy_account_in_flight", state.in_flight, (label,))
    if quota := state.quota:
        for name, window in (("5h", quota.five_hour), ("7d", quota.seven_day)):
            current = quota.current(window, now)
            if current and current.utilization is not None:
                yield Point("proxy_account_window_used_ratio", current.utilization, (label, name))
