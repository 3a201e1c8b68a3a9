"""The points of a request and of its attempts; tests/telemetry/test_registry.py has what becomes of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.logs.rows import attempt_row, request_row
from neurolink_mitm.core.status.metrics import (
    LONGEST,
    METRICS,
    Point,
    attempt_points,
    current_points,
    gen_ai_points,
    request_points,
)
from tests.fakes import (
    NOW,
    FakeCluster,
    make_account,
    make_attempt,
    make_exchange,
    make_failure,
    make_runtime,
)

ROW = msgspec.structs.replace(
    request_row(make_exchange(attempts=[make_attempt()])),
    model="claude-x", provider="anthropic", account="work", outcome="complete", actualModel="claude-x",
    responseStatus=200, responseTimeMs=1500.0, ttfbMs=200.0, inputTokens=7, outputTokens=5,
    cacheReadTokens=0, cacheCreationTokens=None, costUsd=0.25,
)  # fmt: skip
FAILED = attempt_row(
    make_exchange(), make_attempt(make_account("home"), status=429, failure=make_failure())
)
TIMED = msgspec.structs.replace(FAILED, connectMs=10.0, tlsMs=20.0, waitMs=30.0)
GEN_AI = {"gen_ai.system": "anthropic"}


def points(**changes: Any) -> dict[str, Point]:
    made = request_points(msgspec.structs.replace(ROW, **changes), 9)
    return {point.metric: point for point in made}


def test_a_request_is_counted_and_measured() -> None:
    assert list(points().values()) == [
        Point("proxy_requests_total", 1, ("work", "claude-x", "complete", "200")),
        Point("proxy_api_requests_total", 1, ("anthropic", "complete")),
        Point("proxy_request_duration_ms", 1500.0),
        Point("proxy_first_byte_ms", 200.0),
        Point("proxy_request_body_bytes", 9),
        Point("proxy_tokens_input_total", 7, ("work", "claude-x")),
        Point("proxy_tokens_output_total", 5, ("work", "claude-x")),
        Point("proxy_cost_usd_total", 0.25, ("work", "claude-x")),
    ]


def test_a_client_is_counted_by_its_name() -> None:
    made = points(client="bob")
    assert made["proxy_client_requests_total"].labels == ("bob", "complete")
    assert made["proxy_client_cost_usd_total"] == Point(
        "proxy_client_cost_usd_total", 0.25, ("bob",)
    )


def test_an_attempt_is_counted_and_a_retry_only_where_nobody_saw_it() -> None:
    attempt = Point("proxy_attempts_total", 1, ("home", "http_429", "anthropic", "429"))
    assert list(attempt_points(FAILED, unseen=False)) == [attempt]
    retry = Point("proxy_retries_total", 1, ("home", "http_429"))
    assert list(attempt_points(FAILED, unseen=True)) == [attempt, retry]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),  # nothing was sent
        (
            {"reused": True, "wait_seconds": 0.2},
            [
                ("proxy_attempt_connections_total", 1, ("true",)),
                ("proxy_attempt_wait_ms", 200.0, ()),
            ],
        ),
        (
            {"connect_seconds": 0.01, "tls_seconds": 0.02},
            [
                ("proxy_attempt_connections_total", 1, ("false",)),
                ("proxy_attempt_connect_ms", 10.0, ()),
                ("proxy_attempt_tls_ms", 20.0, ()),
            ],
        ),
    ],
    ids=["none", "reused", "new"],
)
def test_the_times_of_connections_are_those_of_new_ones(
    fields: dict[str, Any], expected: list[tuple[str, float, tuple[str, ...]]]
) -> None:
    _, *times = attempt_points(attempt_row(make_exchange(), make_attempt(**fields)), unseen=False)
    assert times == expected


def test_the_conventions_count_all_input() -> None:
    row = msgspec.structs.replace(ROW, cacheReadTokens=100, cacheCreationTokens=10)
    duration, *used = gen_ai_points(row, GEN_AI)
    labels = ("", "", "anthropic", "", "", "")
    assert duration == Point("gen_ai.client.operation.duration", 1.5, labels)
    assert [(point.value, point.labels[-1]) for point in used] == [(117, "input"), (5, "output")]


@pytest.mark.parametrize("changes", [{"actualModel": "m" * 5000}, {"model": "m" * 5000}], ids=str)
def test_no_label_is_endless(changes: dict[str, str]) -> None:
    assert (
        max(len(label) for point in points(**changes).values() for label in point.labels) == LONGEST
    )


def test_every_point_has_the_labels_of_its_metric() -> None:
    runtime = make_runtime(make_account("work"), cluster=FakeCluster())
    made = [
        *points(outcome="error", actualModel="other", cacheReadTokens=1, cacheCreationTokens=1,
                movedCacheTokens=1, client="bob").values(),
        *attempt_points(TIMED, unseen=True),
        *gen_ai_points(ROW, GEN_AI),
        *current_points(runtime, NOW),
    ]  # fmt: skip
    assert all(len(point.labels) == len(METRICS[point.metric].labels) for point in made)
    of_subscriptions = {
        "proxy_account_cooldown_seconds",
        "proxy_account_window_used_ratio",
        "proxy_account_window_reset_seconds",
        "proxy_account_window_out_seconds",
        "proxy_pool_dry_seconds",
    }
    assert {point.metric for point in made} == METRICS.keys() - of_subscriptions - {
        "proxy_loop_lag_ms"
    }
