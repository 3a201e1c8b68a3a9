"""What a finished request adds to the metrics.

Labels come from few: accounts and providers are the configuration's, and of what callers and upstreams can make up
(models, error types) only so many different ones are told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from neurolink_mitm.core.record import AttemptRow, RequestRow

OTHER = "other"
DISTINCT = 100
"""Values of a label; all further ones are `other`."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_KILOBYTES = (1, 4, 16, 64, 128, 256, 512, 1024, 4096, 16384)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; `buckets` are the bounds of a histogram."""

    kind: Literal["counter", "histogram"]
    unit: str
    text: str
    buckets: tuple[float, ...] = ()


_MILLISECONDS = tuple(1000 * bound for bound in _SECONDS)
METRICS: Mapping[str, Metric] = {
    "proxy_requests_total": Metric("counter", "{request}", "Requests that have ended."),
    "proxy_errors_total": Metric("counter", "{request}", "Requests that were not answered whole."),
    "proxy_attempts_total": Metric("counter", "{attempt}", "Requests sent upstream."),
    "proxy_retries_total": Metric(
        "counter", "{attempt}", "Attempts that failed unseen by the client."
    ),
    "proxy_request_duration_ms": Metric(
        "histogram", "ms", "From a request's first byte to its answer's last.", _MILLISECONDS
    ),
    "proxy_first_byte_ms": Metric(
        "histogram", "ms", "From a request's first byte to its answer's first.", _MILLISECONDS
    ),
    "proxy_request_body_bytes": Metric(
        "histogram", "By", "Size of what was asked.", tuple(1024.0 * kb for kb in _KILOBYTES)
    ),
    "proxy_cost_usd_total": Metric(
        "counter", "USD", "By the price table; for a subscription what it would have cost."
    ),
    "proxy_tokens_input_total": Metric("counter", "{token}", "Input that no cache held."),
    "proxy_tokens_output_total": Metric("counter", "{token}", "Output."),
    "proxy_tokens_cache_read_total": Metric("counter", "{token}", "Input read from the cache."),
    "proxy_tokens_cache_creation_total": Metric("counter", "{token}", "Input put in the cache."),
    "proxy_model_substitution_total": Metric(
        "counter", "{request}", "Requests answered by another model than they asked for."
    ),
    "gen_ai.client.operation.duration": Metric(
        "histogram", "s", "Requests to models.", tuple(0.01 * 2**n for n in range(14))
    ),
    "gen_ai.client.token.usage": Metric(
        "histogram",
        "{token}",
        "Tokens of a request; all of its input.",
        tuple(4**n for n in range(14)),
    ),
}

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Measure:
    """So much is added to a metric."""

    name: str
    value: float
    labels: Labels


def measures(
    row: RequestRow,
    attempts: tuple[AttemptRow, ...],
    *,
    body_bytes: int,
    error_type: str | None,
    served_by: str | None,
    gen_ai: Labels,
) -> Iterator[Measure]:
    """`served_by` is the model that was asked upstream, whatever dated name it gives itself.

    `gen_ai` are the labels of the conventions' own metrics; empty for what is no request to a model.
    """
    # a name that nobody has served is the client's invention
    model = row.actualModel if attempts else None
    base = labels(model=model, provider=row.provider, account=row.account)
    outcome = {**base, "outcome": row.outcome}
    status = labels(status=_status(row.responseStatus))
    yield Measure("proxy_requests_total", 1, {**outcome, **status})
    if error_type is not None:
        yield Measure("proxy_errors_total", 1, {**outcome, **status, "error_type": error_type})
    yield from map(_attempt, attempts)
    yield from map(_retry, attempts[:-1])
    yield Measure("proxy_request_duration_ms", row.responseTimeMs, outcome)
    if row.ttfbMs is not None:
        yield Measure("proxy_first_byte_ms", row.ttfbMs, base)
    yield Measure("proxy_request_body_bytes", body_bytes, base)
    for name, value in _counted(row):
        yield Measure(name, value, base)
    if attempts and served_by and row.model and served_by != row.model:
        swapped = labels(asked=row.model, actual=served_by, provider=row.provider)
        yield Measure("proxy_model_substitution_total", 1, swapped)
    if gen_ai:
        yield from _conventional(row, gen_ai, error_type)


def _counted(row: RequestRow) -> Iterator[tuple[str, float]]:
    told = {
        "proxy_cost_usd_total": row.costUsd,
        "proxy_tokens_input_total": row.inputTokens,
        "proxy_tokens_output_total": row.outputTokens,
        "proxy_tokens_cache_read_total": row.cacheReadTokens,
        "proxy_tokens_cache_creation_total": row.cacheCreationTokens,
    }
    return ((name, value) for name, value in told.items() if value)


def _conventional(row: RequestRow, gen_ai: Labels, error_type: str | None) -> Iterator[Measure]:
    """https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/"""
    failed = {"error.type": error_type} if error_type else {}
    seconds = row.responseTimeMs / 1000
    yield Measure("gen_ai.client.operation.duration", seconds, {**gen_ai, **failed})
    parts = (row.inputTokens, row.cacheReadTokens, row.cacheCreationTokens)
    asked = [part for part in parts if part is not None]
    for kind, tokens in (("input", sum(asked) if asked else None), ("output", row.outputTokens)):
        if tokens is not None:
            told = {**gen_ai, "gen_ai.token.type": kind}
            yield Measure("gen_ai.client.token.usage", tokens, told)


def _attempt(row: AttemptRow) -> Measure:
    told = labels(
        account=row.account,
        provider=row.provider,
        status=_status(row.responseStatus),
        error_type=row.errorType,
    )
    return Measure("proxy_attempts_total", 1, told)


def _retry(row: AttemptRow) -> Measure:
    return Measure("proxy_retries_total", 1, labels(account=row.account, type=row.errorType))


def _status(status: int | None) -> str | None:
    return None if status is None else str(status)


def labels(**values: str | None) -> Labels:
    """Without those that are not known."""
    return {name: value for name, value in values.items() if value is not None}


class Bounded:
    """Keeps the number of different labels small, whoever makes them up."""

    def __init__(self, distinct: int = DISTINCT) -> None:
        self._distinct = distinct
        self._known: defaultdict[str, set[str]] = defaultdict(set)

    def __call__(self, labels: Labels) -> dict[str, str]:
        return {name: self._value(name, value) for name, value in labels.items()}

    def _value(self, name: str, value: str) -> str:
        known = self._known[name]
        if value not in known:
            if len(known) >= self._distinct:
                return OTHER
            known.add(value)
        return value
