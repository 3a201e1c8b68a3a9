"""The table of metrics, and the metric points of attempts, of finished requests, and of this moment.

`/metrics` (`telemetry/registry.py`) and OTLP (`telemetry/otlp_pipeline.py`) both show this one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple, Protocol

from neurolink_mitm import __version__
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.readings import runs_out_at
from neurolink_mitm.core.status.event_loop import BOUNDS, Lag
from neurolink_mitm.core.status.forecast import dry_times

DURATIONS = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 900_000)
"""Upper bounds of buckets, in milliseconds."""
CONNECTING = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
"""Upper bounds of buckets, in milliseconds."""
SIZES = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 64_000_000)
"""Upper bounds of buckets, in bytes."""
BY = ("account", "model")
LONGEST = 100
"""Characters of a name that clients or upstreams have chosen."""
_GEN_AI = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.request.model",
    "gen_ai.response.model", "error.type",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table. `unit` is UCUM, for OTLP; `buckets` are the upper bounds of a histogram.

    `read` metrics are not counted up but read as they stand when somebody asks.
    """

    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    read: bool = False
    otlp_only: bool = False


C, G, H = (
    partial(Metric, "counter"),
    partial(Metric, "gauge", read=True),
    partial(Metric, "histogram"),
)
_SECONDS, _TOKENS = tuple(0.01 * 2**n for n in range(14)), tuple(4**n for n in range(14))
METRICS: Mapping[str, Metric] = {
    "proxy_requests_total": C("{request}", "Requests that are over.", ("account", "model", "outcome", "status")),
    "proxy_api_requests_total": C("{request}", "Requests that are over, by the API of the client.", ("api", "outcome")),
    "proxy_client_requests_total": C("{request}", "Requests that are over, by client key.", ("client", "outcome")),
    "proxy_client_cost_usd_total": C("USD", "US dollars at list prices, by client key.", ("client",)),
    "proxy_errors_total": C("{request}", "Requests that were not answered whole.", ("account", "outcome", "status")),
    "proxy_attempts_total": C("{attempt}", "Requests sent upstream.", ("account", "error_type", "provider", "status")),
    "proxy_retries_total": C("{attempt}", "Attempts that failed unseen by the client.", ("account", "type")),
    "proxy_attempt_connections_total": C("{attempt}", "Attempts, by whether a connection was reused.", ("reused",)),
    "proxy_attempt_connect_ms": H("ms", "Milliseconds to connect to upstream.", (), CONNECTING),
    "proxy_attempt_tls_ms": H("ms", "Milliseconds of TLS handshakes with upstream.", (), CONNECTING),
    "proxy_attempt_wait_ms": H("ms", "Milliseconds from a sent request to upstream's first byte.", (), DURATIONS),
    "proxy_request_duration_ms": H("ms", "Milliseconds from a request to the end of its answer.", (), DURATIONS),
    "proxy_first_byte_ms": H("ms", "Milliseconds from a request to the first byte of its answer.", (), DURATIONS),
    "proxy_request_body_bytes": H("By", "Bytes of request bodies as clients sent them.", (), SIZES),
    "proxy_tokens_input_total": C("{token}", "Tokens of prompts outside the cache, as answers told.", BY),
    "proxy_tokens_output_total": C("{token}", "Tokens of answers, as answers told.", BY),
    "proxy_tokens_cache_creation_total": C("{token}", "Tokens of prompts written to the cache, as answers told.", BY),
    "proxy_tokens_cache_read_total": C("{token}", "Tokens of prompts read from the cache, as answers told.", BY),
    "proxy_tokens_cache_moved_total": C("{token}", "Tokens written to a cache again, as another account served.", BY),
    "proxy_cost_usd_total": C("USD", "US dollars at list prices, where these are known.", BY),
    "proxy_model_substitution_total": C("{request}", "Requests that another model answered.", ("asked", "actual")),
    "proxy_loop_lag_ms": H("ms", "Milliseconds by which the event loop was late.", (), BOUNDS),
    "proxy_loop_lag_recent_ms": G("ms", "The event loop's lag in the last minute.", ("quantile",)),
    "proxy_loop_lag_max_ms": G("ms", "Its longest lag since the start."),
    "proxy_loop_stalls_total": C("{stall}", "How often the event loop stood still for 250 ms or more.", read=True),
    "proxy_pauses_total": C("{pause}", "How often the whole process did not run (SIGSTOP, sleep).", read=True),
    "proxy_journal_dropped_total": C("{row}", "Rows of the logs that were lost.", read=True),
    "proxy_start_time_seconds": G("s", "When it began, since the epoch."),
    "proxy_build_info": G("1", "Which version runs.", ("version",)),
    "proxy_account_cooling": G("1", "Whether the account is left alone now.", ("account",)),
    "proxy_account_cooldown_seconds": G(
        "s", "Until it is used again; `*` is the whole account.", ("account", "models")
    ),
    "proxy_requests_held": G("{request}", "Requests that wait for an account to recover."),
    "proxy_account_in_flight": G("{request}", "Requests that it serves now.", ("account",)),
    "proxy_account_window_used_ratio": G(
        "1", "Share of a subscription's window that is used up.", ("account", "window")
    ),
    "proxy_account_window_reset_seconds": G("s", "Until the window is reset.", ("account", "window")),
    "proxy_account_window_out_seconds": G(
        "s", "Until it is used up at the pace of the last hour, if before its reset.", ("account", "window")
    ),
    "proxy_pool_dry_seconds": G(
        "s", "Until no subscription has headroom, if that is foreseen; `*` is all models.", ("models",)
    ),
    "proxy_cluster_replicas": G("{replica}", "Replicas of the pool, this one included."),
    "proxy_cluster_replicas_differing": G("{replica}", "Those of another version or configuration than most."),
    "proxy_cluster_breaker_open": G("1", "Whether Redis is away: each replica goes on by what it knows."),
    "proxy_cluster_redis_errors_total": C("{error}", "Commands that Redis has not answered.", read=True),
    "proxy_cluster_redis_lag_seconds": G("s", "Until Redis' last answer."),
    "proxy_cluster_news_lag_seconds": G("s", "Until what replicas publish is heard here."),
    "proxy_cluster_lag_seconds": G("s", "Since all that is shared was last read; a second if all is well."),
    "proxy_cluster_clock_skew_seconds": G("s", "That this machine's clock is ahead of Redis'."),
    # of OpenTelemetry's conventions; Prometheus has their figures in the metrics above
    "gen_ai.client.operation.duration": H("s", "Requests to models.", _GEN_AI, _SECONDS, otlp_only=True),
    "gen_ai.client.token.usage": H(
        "{token}", "Tokens of a request; all of its input.", (*_GEN_AI, "gen_ai.token.type"), _TOKENS, otlp_only=True
    ),
}  # fmt: skip


class Point(NamedTuple):
    """A metric point: what is added to a metric's series, or read of it. `labels` are values in the table's order."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


class Journaling(Protocol):
    def report(self) -> Mapping[str, object]: ...


class Clustered(Protocol):
    def gauges(self, now: float) -> Mapping[str, float]: ...


class Measured(Protocol):
    """The parts of the Runtime that `current_points` reads."""

    @property
    def pool(self) -> Pool: ...
    @property
    def waiting(self) -> WaitingRoom: ...
    @property
    def journal(self) -> Journaling: ...
    @property
    def lag(self) -> Lag: ...
    @property
    def started_at(self) -> float: ...
    @property
    def cluster(self) -> Clustered | None: ...


def attempt_points(row: AttemptRow, *, unseen: bool) -> Iterator[Point]:
    """Yield the points of an attempt that is over; `unseen`: it failed, and the client got nothing of it."""
    account, status = row.account or "", str(row.responseStatus or "")
    error = (row.errorType or "")[:LONGEST]
    yield Point("proxy_attempts_total", 1, (account, error, row.provider, status))
    if unseen:
        yield Point("proxy_retries_total", 1, (account, error))
    if row.reused or row.connectMs:
        yield Point("proxy_attempt_connections_total", 1, ("true" if row.reused else "false",))
    for metric, ms in (
        ("proxy_attempt_connect_ms", row.connectMs),
        ("proxy_attempt_tls_ms", row.tlsMs),
        ("proxy_attempt_wait_ms", row.waitMs),
    ):
        if ms:
            yield Point(metric, ms)


def request_points(row: RequestRow, size: int) -> Iterator[Point]:
    """Yield the points of a request that is over; `size` is that of its body in bytes."""
    account, status = row.account or "", str(row.responseStatus or "")
    # a name that nobody has served is the client's invention
    model = (row.actualModel or "")[:LONGEST] if row.attempts else ""
    yield Point("proxy_requests_total", 1, (account, model, row.outcome, status))
    yield Point("proxy_api_requests_total", 1, (row.api, row.outcome))
    if row.client:
        yield Point("proxy_client_requests_total", 1, (row.client, row.outcome))
        if row.costUsd:
            yield Point("proxy_client_cost_usd_total", row.costUsd, (row.client,))
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
        ("proxy_tokens_cache_moved_total", row.movedCacheTokens),
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
    yield Point("proxy_requests_held", len(running.waiting.held))
    if running.cluster:
        yield from (Point(name, value) for name, value in running.cluster.gauges(now).items())
    pool = running.pool
    for models, dry in dry_times(pool, now).items():
        if dry:
            yield Point("proxy_pool_dry_seconds", round(dry.start - now, 3), (models,))
    for account, state in pool.states_of(pool.targets):
        # a copy, since the event loop may change the dictionary meanwhile
        yield from _account(account, replace(state, cooldowns=dict(state.cooldowns)), now)


def _account(account: Account, state: AccountState, now: float) -> Iterable[Point]:
    label = account.label
    yield Point("proxy_account_cooling", state.longest_cooldown(now).cooling(now), (label,))
    for scope, cooldown in state.cooldowns.items():
        left = max(0.0, round(cooldown.until - now, 3))
        yield Point("proxy_account_cooldown_seconds", left, (label, scope))
    yield Point("proxy_account_in_flight", state.in_flight, (label,))
    for name, window in state.quota.current(now).items() if state.quota else ():
        if window.utilization is not None:
            yield Point("proxy_account_window_used_ratio", window.utilization, (label, name))
        if window.reset is not None:
            left = round(window.reset - now, 3)
            yield Point("proxy_account_window_reset_seconds", left, (label, name))
        if out_at := runs_out_at(window, state.pace(name, now), now):
            yield Point("proxy_account_window_out_seconds", round(out_at - now, 3), (label, name))
