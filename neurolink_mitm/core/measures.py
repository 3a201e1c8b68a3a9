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
        "counter", "{attempt}", "Requests sent upstream after a first one had failed."
    ),
    "proxy_request_duration_ms": Metric(
        "histogram", "ms", "From a request's first byte to its answer's last.", _MILLISECONDS
    ),
    "proxy_time_to_first_byte_ms": Metric(
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
) -> Iterator[Measure]:
    """`served_by` is the model that was asked upstream, whatever dated name it gives itself."""
    base = labels(model=row.model, provider=row.provider, account=row.account)
    outcome = {**base, "outcome": row.outcome}
    yield Measure("proxy_requests_total", 1, outcome)
    if error_type is not None:
        yield Measure("proxy_errors_total", 1, {**base, "error_type": error_type})
    yield from map(_attempt, attempts)
    if len(attempts) > 1:
        yield Measure("proxy_retries_total", len(attempts) - 1, base)
    yield Measure("proxy_request_duration_ms", row.responseTimeMs, outcome)
    if row.ttfbMs is not None:
        yield Measure("proxy_time_to_first_byte_ms", row.ttfbMs, base)
    yield Measure("proxy_request_body_bytes", body_bytes, base)
    counted = {
        "proxy_cost_usd_total": row.costUsd,
        "proxy_tokens_input_total": row.inputTokens,
        "proxy_tokens_output_total": row.outputTokens,
        "proxy_tokens_cache_read_total": row.cacheReadTokens,
        "proxy_tokens_cache_creation_total": row.cacheCreationTokens,
    }
    for name, value in counted.items():
        if value:
            yield Measure(name, value, base)
    if served_by and row.model and served_by != row.model:
        swapped = labels(requested=row.model, served=served_by, provider=row.provider)
        yield Measure("proxy_model_substitution_total", 1, swapped)


def _attempt(row: AttemptRow) -> Measure:
    status = None if row.responseStatus is None else str(row.responseStatus)
    told = labels(
        account=row.account, provider=row.provider, status=status, error_type=row.errorType
    )
    return Measure("proxy_attempts_total", 1, told)


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
