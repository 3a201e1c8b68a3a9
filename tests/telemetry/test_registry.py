from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from neurolink_mitm.core.exchange import Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.rows import RequestRow, attempt_row, request_row
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.status.metrics import (
    METRICS,
    Point,
    attempt_points,
    current_points,
    request_points,
)
from neurolink_mitm.ports import Runtime
from neurolink_mitm.telemetry.registry import MOST, OTHER, UNCOUNTED, MetricRegistry
from tests.fakes import NOW, FakeCluster, make_account, make_attempt, make_exchange, make_runtime


def a_row(**fields: Any) -> RequestRow:
    changes = {key: fields.pop(key) for key in list(fields) if key in RequestRow.__struct_fields__}
    exchange = make_exchange(
        **{"attempts": [make_attempt(make_account())], "status": 200, "ended_at": NOW + 1,
           "first_byte_at": NOW + 0.2, "outcome": Outcome.COMPLETE, "model": "claude-x", **fields}
    )  # fmt: skip
    return msgspec.structs.replace(request_row(exchange), **changes)


def page(runtime: Runtime, now: float) -> str:
    replica = runtime.cluster.name if runtime.cluster else None
    return "".join(runtime.metrics.page(current_points(runtime, now), replica))


def lines(runtime: Runtime) -> dict[str, float]:
    found = (line.rpartition(" ") for line in page(runtime, NOW).splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in found}


def seen(*rows: RequestRow) -> dict[str, float]:
    metrics = MetricRegistry()
    for row in rows:
        metrics.record(request_points(row, 115_000))
    return lines(make_runtime(metrics=metrics))


def test_a_request_that_went_well() -> None:
    found = seen(a_row())
    of = '{account="work",model="claude-x",outcome="complete",status="200"}'
    assert found[f"proxy_requests_total{of}"] == 1
    assert not [name for name in found if name.startswith("proxy_errors_total")]
    assert found['proxy_request_duration_ms_bucket{le="500"}'] == 0
    assert found['proxy_request_duration_ms_bucket{le="1000"}'] == 1
    assert found["proxy_request_duration_ms_sum"] == 1000
    assert found['proxy_first_byte_ms_bucket{le="250"}'] == 1
    assert found['proxy_request_body_bytes_bucket{le="250000"}'] == 1


def test_one_that_failed() -> None:
    found = seen(a_row(outcome=Outcome.TRUNCATED))
    assert found['proxy_errors_total{account="work",outcome="truncated",status="200"}'] == 1


def test_one_that_its_client_left() -> None:
    found = seen(a_row(outcome=Outcome.CANCELLED, status=None))
    assert not [name for name in found if name.startswith("proxy_errors_total")]


def test_tokens_and_costs() -> None:
    row = a_row(inputTokens=1, outputTokens=2, cacheCreationTokens=3, cacheReadTokens=4)
    found = seen(row, row)
    of = '{account="work",model="claude-x"}'
    kinds = ("input", "output", "cache_creation", "cache_read")
    assert [found[f"proxy_tokens_{kind}_total{of}"] for kind in kinds] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("actual", "substituted"),
    [("claude-x", False), ("claude-x-20251001", False), ("claude-y", True), ("gpt-4o", True)],
)
def test_substitutions(actual: str, substituted: bool) -> None:
    """An alias is answered by its dated name."""
    found = seen(a_row(actualModel=actual))
    name = f'proxy_model_substitution_total{{actual="{actual}",asked="claude-x"}}'
    assert (name in found) is substituted


def test_a_model_that_nobody_served_is_no_label() -> None:
    found = seen(a_row(attempts=[], model="made-up", status=404, outcome=Outcome.ERROR))
    assert not [name for name in found if "made-up" in name]


def test_attempts_that_failed() -> None:
    metrics = MetricRegistry()
    failure = Failure.of_status(429, b'{"error":{"type":"rate_limit_error","message":""}}')
    attempt = make_attempt(make_account(), status=429, failure=failure)
    row = attempt_row(make_exchange(), attempt)
    metrics.record(attempt_points(row, unseen=True))
    metrics.record(attempt_points(row, unseen=False))
    found = lines(make_runtime(metrics=metrics))
    of = '{account="work",error_type="rate_limit_error",provider="anthropic",status="429"}'
    assert found[f"proxy_attempts_total{of}"] == 2
    assert found['proxy_retries_total{account="work",type="rate_limit_error"}'] == 1


def test_accounts_as_they_are_now() -> None:
    runtime = make_runtime(make_account("work"), make_account("home"))
    state = runtime.pool.account_state("anthropic:work")
    state.cooldowns["*"] = Cooldown(1, NOW, NOW + 60, "rate limit (429)")
    state.cooldowns["claude-opus*"] = Cooldown(1, NOW - 90, NOW - 30, "over")
    state.quota = Quota(NOW, {"5h": Window(0.5, "allowed", NOW + 60)})
    state.in_flight = 2
    found = lines(runtime)
    assert found['proxy_account_cooling{account="work"}'] == 1
    assert found['proxy_account_cooling{account="home"}'] == 0
    assert found['proxy_account_cooldown_seconds{account="work",models="*"}'] == 60
    assert found['proxy_account_cooldown_seconds{account="work",models="claude-opus*"}'] == 0
    assert found['proxy_account_in_flight{account="work"}'] == 2
    assert found['proxy_account_window_used_ratio{account="work",window="5h"}'] == 0.5


def test_windows_and_forecasts() -> None:
    runtime = make_runtime(make_account("work", "sk-ant-oat01-x"))
    state = runtime.pool.account_state("anthropic:work")
    for at, used in ((NOW - 3600, 0.25), (NOW, 0.5)):
        windows = {"5h": Window(used, "", NOW + 9000), "7d_oi": Window(None, "rejected", NOW + 60)}
        state.update_quota(Quota(at, windows))
    found = lines(runtime)
    of = '{account="work",window='
    assert found[f'proxy_account_window_reset_seconds{of}"5h"}}'] == 9000
    assert found[f'proxy_account_window_reset_seconds{of}"7d_oi"}}'] == 60
    assert found[f'proxy_account_window_out_seconds{of}"5h"}}'] == 7200
    assert f'proxy_account_window_out_seconds{of}"7d_oi"}}' not in found
    assert found['proxy_pool_dry_seconds{models="*"}'] == 7200
    assert found['proxy_pool_dry_seconds{models="*fable*"}'] == 0


def test_no_secret_is_told() -> None:
    assert "sk-ant-" not in page(make_runtime(make_account("work")), NOW)


def full_page(**changes: Any) -> str:
    metrics = MetricRegistry()
    metrics.record(request_points(a_row(inputTokens=3, actualModel='odd "name"\\'), 10))
    metrics.record(request_points(a_row(outcome=Outcome.ERROR), 10))
    return page(make_runtime(make_account("work"), metrics=metrics, **changes), NOW)


in_any_pool = pytest.mark.parametrize(
    "cluster", [None, FakeCluster(), FakeCluster('eu "1"\\')], ids=["alone", "cluster", "odd"]
)


@in_any_pool
def test_the_format_is_prometheus(cluster: FakeCluster | None) -> None:
    """By its own reader for Python: names, kinds, numbers, and labels of any text."""
    told = full_page(cluster=cluster)
    found = {family.name: family for family in text_string_to_metric_families(told)}
    replicas = {each.labels.get("replica") for family in found.values() for each in family.samples}
    assert replicas == {cluster.name if cluster else None}
    assert ("proxy_cluster_replicas" in found) == (cluster is not None)
    requests = {
        (sample.labels["model"], sample.labels["outcome"]): sample.value
        for sample in found["proxy_requests"].samples
    }
    assert requests == {('odd "name"\\', "complete"): 1.0, ("claude-x", "error"): 1.0}
    kinds = {family.type for family in found.values()}
    assert kinds == {"counter", "gauge", "histogram"}
    sizes = found["proxy_request_body_bytes"].samples
    assert [s.value for s in sizes if s.labels.get("le") == "+Inf"] == [2.0]


@pytest.mark.real("promtool")
@in_any_pool
def test_promtool_can_read_it(cluster: FakeCluster | None) -> None:
    """That names end in `_ms`, and that a gauge of the last minute has quantiles, is only a matter of taste to it."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=full_page(cluster=cluster), text=True,
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    taste = re.compile(r'_ms .*(abbreviated|base unit|"quantile" label)|build_info')
    said = [line for line in done.stderr.splitlines() if not taste.search(line)]
    assert (said, done.returncode in (0, 3)) == ([], True)


def dashboard_queries() -> list[str]:
    text = (files("neurolink_mitm.telemetry") / "grafana.json").read_text()
    return [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("query", dashboard_queries())
def test_a_dashboard_asks_in_promql(query: str) -> None:
    promql_parser.parse(re.sub(r"\$__\w+", "5m", query))  # Grafana puts durations there


def test_a_dashboard_asks_for_what_is_there() -> None:
    asked = {name for query in dashboard_queries() for name in re.findall(r"proxy_\w+", query)}
    told = set(re.findall(r"# TYPE (\w+)", full_page(cluster=FakeCluster())))
    assert {name.removesuffix("_bucket") for name in asked} <= told
    assert len(asked) > 8


# --- the registry


def test_bounds_stand_there_as_they_always_did() -> None:
    """prometheus-client would print 1e+06 and 50.0, which makes other series of them."""
    found = set(re.findall(r'[{,]le="(.*?)"', full_page()))
    expected = {
        f"{bound:d}"
        for metric in METRICS.values()
        for bound in metric.buckets
        if not metric.otlp_only
    }
    assert found == expected | {"+Inf"}


def test_what_has_a_meaning_in_labels_is_escaped() -> None:
    found = seen(a_row(actualModel='q"\\\n\udcff'))
    assert [name for name in found if r'model="q\"\\\n\\udcff"' in name]


def test_series_are_bounded() -> None:
    metrics = MetricRegistry()
    for number in range(MOST * 2):
        metrics.record([Point("proxy_retries_total", 1, (str(number), "b"))])
    metrics.record([Point("proxy_retries_total", 1, ("0", "b"))])
    found = {k: v for k, v in lines(make_runtime(metrics=metrics)).items() if "retries" in k}
    assert len(found) == MOST + 1
    assert found[f'proxy_retries_total{{account="{OTHER}",type="{OTHER}"}}'] == MOST
    assert found['proxy_retries_total{account="0",type="b"}'] == 2


def test_what_looks_like_a_key_is_no_label() -> None:
    metrics = MetricRegistry()
    key = "sk-ant-test-in-a-name"
    metrics.record(request_points(a_row(model=f"claude-{key}", actualModel=f"gpt-{key}"), 10))
    assert key not in page(make_runtime(metrics=metrics), NOW)


def test_lag_is_a_histogram() -> None:
    metrics = MetricRegistry()
    for ms in (0.5, 500, 700):
        metrics.record([Point("proxy_loop_lag_ms", ms)])
    found = lines(make_runtime(metrics=metrics))
    assert found['proxy_loop_lag_ms_bucket{le="500"}'] == 2
    assert found["proxy_loop_lag_ms_sum"] == 1200.5


def test_no_metric_holds_the_event_loop_up() -> None:
    """A full one is printed at once, and others run before the next."""
    metrics = MetricRegistry()
    for number in range(MOST):
        metrics.record(request_points(a_row(actualModel=f"{number:060}", outputTokens=3), 10))
    runtime = make_runtime(metrics=metrics, cluster=FakeCluster())
    parts = [len(part) for part in metrics.page(current_points(runtime, NOW))]
    assert len(parts) == sum(not metric.otlp_only for metric in METRICS.values())
    assert max(parts) < 150_000


def test_the_library_writes_no_files(tmp_path: Path) -> None:
    """With either of these variables, prometheus-client would write each count to a file."""
    code = (
        "from neurolink_mitm.core.status.metrics import Point\n"
        "from neurolink_mitm.telemetry.registry import MetricRegistry\n"
        "MetricRegistry().record([Point('proxy_loop_lag_ms', 1)])\n"
    )
    names = "PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"
    environ = {**os.environ, **dict.fromkeys(names, str(tmp_path))}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=environ, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_page_is_as_new_as_its_points() -> None:
    runtime = make_runtime()
    for count in (1, 2):
        runtime.metrics.record([Point("proxy_retries_total", 1, ("work", "x"))])
        assert lines(runtime)['proxy_retries_total{account="work",type="x"}'] == count


def test_no_point_is_lost_between_threads() -> None:
    """Points that wait are counted by whoever comes: one that records, or one that reads."""
    metrics = MetricRegistry()
    runtime = make_runtime(metrics=metrics)

    def record() -> None:
        for _ in range(1001):
            metrics.record((Point("proxy_request_body_bytes", 1),))

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        page(runtime, NOW)
        assert len(metrics._uncounted) <= UNCOUNTED + len(threads)
    assert lines(runtime)["proxy_request_body_bytes_count"] == 4004
