"""Build the OpenObserve dashboard: a table of panels, and the document of them that OpenObserve imports.

Schema: https://github.com/openobserve/openobserve/blob/main/src/config/src/meta/dashboards/v5/mod.rs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TITLE = "NeuroLink"
STREAM = "neurolink"
"""OpenObserve's stream of traces and logs; each metric is a stream of its own."""
_WIDTH, _HEIGHT, _PER_ROW = 24, 9, 2


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `query` is PromQL, or SQL over traces where `column` names the column that it shows by `by`."""

    title: str
    query: str
    legend: str = ""
    unit: str = "default"
    kind: str = "line"
    column: str = ""
    by: str = ""


def _rate(metric: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}[5m]))"


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[5m])))"


def _over_traces(value: str, by: str, where: str = "true") -> str:
    return (  # made of constants of this file only
        f'SELECT histogram(_timestamp) AS "x_axis_1", {value} AS "y_axis_1", {by} AS "breakdown_1"'  # noqa: S608
        f' FROM "{STREAM}" WHERE {where} GROUP BY x_axis_1, breakdown_1 ORDER BY x_axis_1'
    )


_TOKENS = ("input", "output", "cache_read", "cache_creation")
_CACHED = (
    "sum(rate(proxy_tokens_cache_read_total[5m])) / (sum(rate(proxy_tokens_cache_read_total[5m]))"
    " + sum(rate(proxy_tokens_input_total[5m])) + sum(rate(proxy_tokens_cache_creation_total[5m])))"
)

TABS: Mapping[str, tuple[Panel, ...]] = {
    "Traffic": (
        Panel("Requests/s by model", _rate("proxy_requests_total", "model"), "{model}"),
        Panel("Requests/s by outcome", _rate("proxy_requests_total", "outcome"), "{outcome}"),
        Panel("Attempts/s by provider", _rate("proxy_attempts_total", "provider"), "{provider}"),
        Panel(
            "Size of requests (95 %)",
            _quantile(0.95, "proxy_request_body_bytes"),
            "95 %",
            "bytes",
        ),
    ),
    "Failures": (
        Panel(
            "Errors/s by status",
            _rate("proxy_errors_total", "status", "outcome"),
            "{status} {outcome}",
        ),
        Panel(
            "Share of errors",
            "sum(rate(proxy_errors_total[5m])) / sum(rate(proxy_requests_total[5m]))",
            "errors",
            "percent-1",
        ),
        Panel(
            "Failed attempts/s by account",
            'sum by (account, error_type) (rate(proxy_attempts_total{error_type!=""}[5m]))',
            "{account} {error_type}",
        ),
        Panel("Retries/s", _rate("proxy_retries_total", "account"), "{account}"),
    ),
    "Latency": (
        Panel(
            "Whole answers (50 %)",
            _quantile(0.5, "proxy_request_duration_ms"),
            "50 %",
            "milliseconds",
        ),
        Panel(
            "Whole answers (95 %)",
            _quantile(0.95, "proxy_request_duration_ms"),
            "95 %",
            "milliseconds",
        ),
        Panel(
            "First byte (50 %)",
            _quantile(0.5, "proxy_first_byte_ms"),
            "50 %",
            "milliseconds",
        ),
        Panel(
            "First byte (95 %)",
            _quantile(0.95, "proxy_first_byte_ms"),
            "95 %",
            "milliseconds",
        ),
    ),
    "Accounts and routing": (
        Panel("Served/s by account", _rate("proxy_requests_total", "account"), "{account}"),
        Panel(
            "Attempts/s by account and status",
            _rate("proxy_attempts_total", "account", "status"),
            "{account} {status}",
        ),
        Panel(
            "Rate limits/s by account",
            'sum by (account) (rate(proxy_attempts_total{status="429"}[5m]))',
            "{account}",
        ),
        Panel(
            "Other models than asked for/s",
            _rate("proxy_model_substitution_total", "asked", "actual"),
            "{asked} → {actual}",
        ),
    ),
    "Tokens, cache, cost": (
        *(
            Panel(f"Tokens/s: {name}", _rate(f"proxy_tokens_{name}_total", "model"), "{model}")
            for name in _TOKENS
        ),
        Panel("Share of input from the cache", _CACHED, "cached", "percent-1"),
        Panel(
            "USD an hour by account",
            "3600 * " + _rate("proxy_cost_usd_total", "account"),
            "{account}",
            "currency-dollar",
        ),
    ),
    "Traces": (
        Panel(
            "Spans by name",
            _over_traces("count(*)", "operation_name"),
            kind="bar",
            column="_timestamp",
            by="operation_name",
        ),
        Panel(
            "Duration of spans (95 %)",
            _over_traces("approx_percentile_cont(duration, 0.95) / 1000", "operation_name"),
            unit="milliseconds",
            column="duration",
            by="operation_name",
        ),
        Panel(
            "Failed spans by name",
            _over_traces("count(*)", "operation_name", "span_status = 'ERROR'"),
            kind="bar",
            column="_timestamp",
            by="operation_name",
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """Return the document that OpenObserve imports."""
    numbers = iter(range(1, 1000))
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
    for place, panel in enumerate(panels):
        number = next(numbers)
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
            "breakdown": [_axis(panel.by, "breakdown_1", panel.by)] if traces else [],
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
