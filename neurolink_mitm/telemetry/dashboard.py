"""Build the OpenObserve dashboard: a table of panels, and the document of them that OpenObserve imports.

Schema: https://github.com/openobserve/openobserve/blob/main/src/config/src/meta/dashboards/v5/mod.rs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

TITLE = "NeuroLink"
STREAM = "neurolink"
"""OpenObserve's stream of traces and logs; each metric is a stream of its own."""
_WIDTH, _HEIGHT, _PER_ROW = 24, 9, 2


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `query` is PromQL, or SQL over traces where `column` names the column that it shows by name of span."""

    title: str
    query: str
    legend: str = ""
    unit: str = "default"
    kind: str = "line"
    column: str = ""


def _rates(title: str, metric: str, *by: str, legend: str = "") -> Panel:
    query = f"sum by ({', '.join(by)}) (rate({metric}[5m]))"
    return Panel(title, query, legend or " ".join(f"{{{name}}}" for name in by))


def _quantile(title: str, percent: int, metric: str, unit: str) -> Panel:
    query = f"histogram_quantile({percent / 100}, sum by (le) (rate({metric}_bucket[5m])))"
    return Panel(f"{title} ({percent} %)", query, f"{percent} %", unit)


def _over_traces(value: str, where: str = "true") -> str:
    return (  # made of constants of this file only
        f'SELECT histogram(_timestamp) AS "x_axis_1", {value} AS "y_axis_1", {_SPAN_NAME} AS "breakdown_1"'  # noqa: S608
        f' FROM "{STREAM}" WHERE {where} GROUP BY x_axis_1, breakdown_1 ORDER BY x_axis_1'
    )


def _spans(title: str, where: str = "true") -> Panel:
    return Panel(title, _over_traces("count(*)", where), kind="bar", column="_timestamp")


_SPAN_NAME = "operation_name"
_TOKENS = ("input", "output", "cache_read", "cache_creation")
_LATENCIES = {
    "Whole answers": "proxy_request_duration_ms",
    "First byte": "proxy_first_byte_ms",
    "Wait for upstream's first byte": "proxy_attempt_wait_ms",
    "Connecting": "proxy_attempt_connect_ms",
    "TLS handshakes": "proxy_attempt_tls_ms",
}
_CACHED = (
    "sum(rate(proxy_tokens_cache_read_total[5m])) / (sum(rate(proxy_tokens_cache_read_total[5m]))"
    " + sum(rate(proxy_tokens_input_total[5m])) + sum(rate(proxy_tokens_cache_creation_total[5m])))"
)
_ERRORS = "sum(rate(proxy_errors_total[5m])) / sum(rate(proxy_requests_total[5m]))"

TABS: Mapping[str, tuple[Panel, ...]] = {
    "Traffic": (
        _rates("Requests/s by model", "proxy_requests_total", "model"),
        _rates("Requests/s by API", "proxy_api_requests_total", "api"),
        _rates("Requests/s by client", "proxy_client_requests_total", "client"),
        _rates("Requests/s by outcome", "proxy_requests_total", "outcome"),
        _rates("Attempts/s by provider", "proxy_attempts_total", "provider"),
        _rates("Attempts/s on a reused connection", "proxy_attempt_connections_total", "reused"),
        _quantile("Size of requests", 95, "proxy_request_body_bytes", "bytes"),
    ),
    "Failures": (
        _rates("Errors/s by status", "proxy_errors_total", "status", "outcome"),
        Panel("Share of errors", _ERRORS, "errors", "percent-1"),
        _rates(
            "Failed attempts/s by account",
            'proxy_attempts_total{error_type!=""}',
            "account",
            "error_type",
        ),
        _rates("Retries/s", "proxy_retries_total", "account"),
    ),
    "Latency": tuple(
        _quantile(title, percent, metric, "milliseconds")
        for title, metric in _LATENCIES.items()
        for percent in (50, 95)
    ),
    "Accounts and routing": (
        _rates("Served/s by account", "proxy_requests_total", "account"),
        _rates("Attempts/s by account and status", "proxy_attempts_total", "account", "status"),
        _rates("Rate limits/s by account", 'proxy_attempts_total{status="429"}', "account"),
        _rates(
            "Other models than asked for/s",
            "proxy_model_substitution_total",
            "asked",
            "actual",
            legend="{asked} → {actual}",
        ),
    ),
    "Tokens, cache, cost": (
        *(_rates(f"Tokens/s: {kind}", f"proxy_tokens_{kind}_total", "model") for kind in _TOKENS),
        _rates("Tokens/s: cached again", "proxy_tokens_cache_moved_total", "account"),
        Panel("Share of input from the cache", _CACHED, "cached", "percent-1"),
        Panel(
            "USD an hour by account",
            "3600 * sum by (account) (rate(proxy_cost_usd_total[5m]))",
            "{account}",
            "currency-dollar",
        ),
        Panel(
            "USD an hour by client",
            "3600 * sum by (client) (rate(proxy_client_cost_usd_total[5m]))",
            "{client}",
            "currency-dollar",
        ),
    ),
    "Cluster": (
        Panel("Replicas", "max(proxy_cluster_replicas)", "seen"),
        Panel("Replicas that differ", "max(proxy_cluster_replicas_differing)", "differ"),
        Panel("Replicas without Redis", "sum(proxy_cluster_breaker_open)", "without Redis"),
        Panel(
            "Errors of Redis/s",
            "sum(rate(proxy_cluster_redis_errors_total[5m]))",
            "errors",
        ),
        Panel("Since all was read", "max(proxy_cluster_lag_seconds)", "longest", "seconds"),
        Panel("Answers of Redis", "max(proxy_cluster_redis_lag_seconds)", "longest", "seconds"),
        Panel("News", "max(proxy_cluster_news_lag_seconds)", "longest", "seconds"),
        Panel(
            "Clocks ahead of Redis'",
            "max(abs(proxy_cluster_clock_skew_seconds))",
            "furthest",
            "seconds",
        ),
    ),
    "Traces": (
        _spans("Spans by name"),
        Panel(
            "Duration of spans (95 %)",
            _over_traces("approx_percentile_cont(duration, 0.95) / 1000"),
            unit="milliseconds",
            column="duration",
        ),
        _spans("Failed spans by name", "span_status = 'ERROR'"),
    ),
}


def dashboard() -> dict[str, Any]:
    """Return the document that OpenObserve imports."""
    numbers = count(1)
    return {
        "version": 5,
        "dashboardId": "",
        "title": TITLE,
        "description": "What the NeuroLink proxy exports by OpenTelemetry.",
        "role": "",
        "owner": "",
        "tabs": [
            {"tabId": f"tab{number}", "name": name, "panels": list(_panels(panels, numbers))}
            for number, (name, panels) in enumerate(TABS.items(), 1)
        ],
        "variables": {"list": [], "showDynamicFilters": False},
        "defaultDatetimeDuration": {"type": "relative", "relativeTimePeriod": "6h"},
    }


def _panels(panels: tuple[Panel, ...], numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
    for place, (panel, number) in enumerate(zip(panels, numbers, strict=False)):
        row, column = divmod(place, _PER_ROW)
        yield {
            "id": f"Panel_{number}",
            "type": panel.kind,
            "title": panel.title,
            "description": "",
            "config": {
                "show_legends": True,
                "legends_position": None,
                "unit": panel.unit,
                "decimals": 2,
            },
            "queryType": "sql" if panel.column else "promql",
            "queries": [_query(panel)],
            "layout": {
                "x": column * _WIDTH,
                "y": row * _HEIGHT,
                "w": _WIDTH,
                "h": _HEIGHT,
                "i": number,
            },
            "htmlContent": "",
            "markdownContent": "",
        }


def _query(panel: Panel) -> dict[str, Any]:
    traces = bool(panel.column)
    return {
        "query": panel.query,
        "vrlFunctionQuery": "",
        "customQuery": True,
        "fields": {
            "stream": STREAM if traces else "",
            "stream_type": "traces" if traces else "metrics",
            "x": [_axis("Time", "x_axis_1", "_timestamp")] if traces else [],
            "y": [_axis(panel.title, "y_axis_1", panel.column)] if traces else [],
            "z": [],
            "breakdown": [_axis(_SPAN_NAME, "breakdown_1", _SPAN_NAME)] if traces else [],
            "filter": {"filterType": "group", "logicalOperator": "AND", "conditions": []},
        },
        "config": {
            "promql_legend": panel.legend,
            "layer_type": "scatter",
            "weight_fixed": 1,
            "limit": 0,
            "min": 0,
            "max": 100,
            "time_shift": [],
        },
    }


def _axis(label: str, alias: str, column: str) -> dict[str, Any]:
    return {"label": label, "alias": alias, "column": column, "color": None, "isDerived": False}
