"""What a real collector is told of a real proxy's requests."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.status.metrics import SIZES, Point, current_points
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.telemetry.otlp import OtlpTelemetry
from neurolink_mitm.telemetry.registry import MetricRegistry
from neurolink_mitm.telemetry.setup import telemetry_setup
from tests.flows.harness import LIMIT, MODEL, Proxy, account, message
from tests.otlp_receiver import Receiver, attributes
from tests.waiting import wait_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_METRIC_EXPORT_INTERVAL": "100"}
PROMPT = "what-nobody-else-may-read"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@contextmanager
def telling(
    sandbox: SandboxServer, url: str, **variables: str
) -> Iterator[tuple[Proxy, OtlpTelemetry]]:
    """A proxy with accounts a and b that tells the collector at this address."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **QUICK, **variables}
    registry = MetricRegistry()
    running: list[Runtime] = []

    def current() -> list[Point]:
        return [point for runtime in running for point in current_points(runtime, time.time())]

    telemetry = OtlpTelemetry(telemetry_setup(environ), registry, current)

    def change(runtime: Runtime) -> None:
        runtime.telemetry, runtime.prices = telemetry, shipped_prices()
        runtime.metrics = registry
        running.append(runtime)

    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    try:
        with Proxy(pool, change=change) as proxy:
            yield proxy, telemetry
    finally:
        telemetry.close()


def ask(proxy: Proxy, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
    return httpx.post(
        f"{proxy.url}/v1/messages", json=message(**fields), headers=headers, timeout=LIMIT
    )


def fail_over(sandbox: SandboxServer, receiver: Receiver) -> list[object]:
    """The spans of a request that a could not serve: request, a's attempt, b's."""
    sandbox.script("a", Reply(429, headers={"retry-after": "30"}))
    with telling(sandbox, receiver.url) as (proxy, _):
        assert ask(proxy, CALLER).status_code == 200
        spans = receiver.spans(3)
    return sorted(spans, key=lambda span: (span.kind != 2, span.start_time_unix_nano))


# --- spans


def test_the_request_is_a_child_of_the_callers_span(
    sandbox: SandboxServer, receiver: Receiver
) -> None:
    request, first, second = fail_over(sandbox, receiver)
    assert {span.trace_id.hex() for span in (request, first, second)} == {TRACE}
    assert request.parent_span_id.hex() == SPAN
    assert {first.parent_span_id, second.parent_span_id} == {request.span_id}
    assert len({request.span_id, first.span_id, second.span_id}) == 3


def test_spans_say_what_happened(sandbox: SandboxServer, receiver: Receiver) -> None:
    request, first, second = fail_over(sandbox, receiver)
    assert request.name == "POST /v1/messages"
    assert first.name == second.name == f"chat {MODEL}"
    told, failed, served = map(attributes, (request, first, second))
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.system": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.finish_reasons": ["end_turn"],
        "http.response.status_code": 200,
        "neurolink.account.label": "b",
        "neurolink.attempts": 2,
        "neurolink.outcome": "complete",
        "neurolink.stream": True,
    }
    assert {name: told.get(name) for name in expected} == expected
    assert "b" in told["neurolink.why"]
    assert told["neurolink.cost_usd"] > 0
    assert (failed["neurolink.account.label"], failed["http.response.status_code"]) == ("a", 429)
    assert failed["error.type"] == "rate_limit_error"
    assert first.status.code == 2
    assert (served["neurolink.account.label"], served["http.response.status_code"]) == ("b", 200)
    assert (request.status.code, second.status.code) == (0, 0)


def test_spans_are_where_they_were_in_time(sandbox: SandboxServer, receiver: Receiver) -> None:
    request, first, second = fail_over(sandbox, receiver)
    moments = [
        request.start_time_unix_nano, first.start_time_unix_nano, first.end_time_unix_nano,
        second.start_time_unix_nano, second.end_time_unix_nano, request.end_time_unix_nano,
    ]  # fmt: skip
    assert moments == sorted(moments)
    assert 0 <= time.time() - moments[-1] / 1e9 < LIMIT


def test_without_a_caller_a_trace_begins(sandbox: SandboxServer, receiver: Receiver) -> None:
    with telling(sandbox, receiver.url) as (proxy, _):
        ask(proxy)
        [row] = proxy.rows.wait()
        spans = receiver.spans(2)
    [request] = [span for span in spans if not span.parent_span_id]
    assert (request.trace_id.hex(), request.span_id.hex()) == (row.traceId, row.spanId)


def test_a_trace_that_the_caller_does_not_record_is_left_out(
    sandbox: SandboxServer, receiver: Receiver
) -> None:
    with telling(sandbox, receiver.url) as (proxy, _):
        ask(proxy, {"traceparent": f"00-{TRACE}-{SPAN}-00"})
        [log] = receiver.logs(1)
    assert (receiver.spans(), log.trace_id.hex()) == ([], TRACE)


# --- metrics and logs


def test_metrics_are_the_sum_of_what_upstream_sent(
    sandbox: SandboxServer, receiver: Receiver
) -> None:
    sandbox.script("a", Reply(), Reply(429, headers={"retry-after": "30"}))
    with telling(sandbox, receiver.url) as (proxy, _):
        answers = [ask(proxy), ask(proxy), ask(proxy), ask(proxy, model="no-such-model")]
        rows = proxy.rows.wait(4)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    bodies = [answer.request.content for answer in answers]
    counted = {
        "proxy_requests_total": 4,
        "proxy_errors_total": 1,
        "proxy_attempts_total": 4,
        "proxy_retries_total": 1,
        "proxy_tokens_input_total": sum(row.inputTokens or 0 for row in rows),
        "proxy_tokens_output_total": sum(row.outputTokens or 0 for row in rows),
        "proxy_request_body_bytes": sum(len(sent) for sent in bodies),
    }
    found = {name: receiver.total(name) for name in counted}
    assert found == counted
    assert counted["proxy_tokens_output_total"] > 0
    assert receiver.total("proxy_cost_usd_total") == pytest.approx(
        sum(r.costUsd or 0 for r in rows)
    )
    assert receiver.total("proxy_request_duration_ms") == pytest.approx(
        sum(row.responseTimeMs for row in rows)
    )
    assert receiver.total("proxy_requests_total", account="a", outcome="complete") == 1
    assert receiver.total("proxy_requests_total", account="b", outcome="complete") == 2
    assert receiver.total("proxy_attempts_total", account="a", status="429") == 1


def test_a_collector_gets_what_prometheus_gets(sandbox: SandboxServer, receiver: Receiver) -> None:
    """The same metrics, labels and values; of OpenTelemetry's conventions there are two more."""
    sandbox.script("a", Reply(429, headers={"retry-after": "30"}))
    with telling(sandbox, receiver.url) as (proxy, telemetry):
        ask(proxy)
        proxy.rows.wait()
        text = httpx.get(f"{proxy.url}/metrics", timeout=LIMIT).text
        telemetry.close()
    told: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removesuffix("_sum")
            if not name.endswith(("_bucket", "_count")):
                labels = tuple(sorted((k, v) for k, v in sample.labels.items() if v))
                told[name, labels] = sample.value
    sums = receiver.sums()
    conventions = {key for key in sums if key[0].startswith("gen_ai.client.")}
    assert len(conventions) == 3
    assert sums.keys() - conventions == told.keys()
    moving = ("proxy_account_cooldown", "proxy_loop_lag")
    same = {key: value for key, value in told.items() if not key[0].startswith(moving)}
    assert {key: sums[key] for key in same} == pytest.approx(same)
    assert receiver.buckets("proxy_request_body_bytes") == SIZES


def test_a_request_has_one_log_record(sandbox: SandboxServer, receiver: Receiver) -> None:
    with telling(sandbox, receiver.url) as (proxy, _):
        ask(proxy, CALLER)
        [row] = proxy.rows.wait()
        [log] = receiver.logs(1)
    assert log.body.string_value == "POST /v1/messages 200 complete"
    assert (log.severity_text, log.trace_id.hex(), log.span_id.hex()) == ("INFO", TRACE, row.spanId)
    told = attributes(log)
    assert (told["requestId"], told["account"]) == (row.requestId, "a")


def test_status_pages_are_not_told(sandbox: SandboxServer, receiver: Receiver) -> None:
    with telling(sandbox, receiver.url) as (proxy, _):
        httpx.get(f"{proxy.url}/status", timeout=LIMIT)
        ask(proxy)
    assert len(receiver.logs(1)) == 1


def test_neither_prompts_nor_keys_are_told(sandbox: SandboxServer, receiver: Receiver) -> None:
    with telling(sandbox, receiver.url) as (proxy, _):
        key = {"x-api-key": "sk-ant-test-callers-own"}
        ask(proxy, key, messages=[{"role": "user", "content": PROMPT}])
        ask(proxy, key, model=f"claude-sk-ant-{PROMPT}")
        httpx.get(f"{proxy.url}/v1/files?api_key={PROMPT}", headers=key, timeout=LIMIT)
    assert len(receiver.logs(3)) == 3
    answer = b"".join(each.answer for each in sandbox.requests)
    assert b"text_delta" in answer
    for secret in (PROMPT.encode(), b"sk-ant-test", b"say hi"):
        assert secret not in receiver.everything


# --- the way there


def test_headers_and_resource_are_as_the_environment_says(
    sandbox: SandboxServer, receiver: Receiver
) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20dGVzdA==",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=home,host.name=desk",
        "OTEL_SERVICE_NAME": "mine",
    }
    with telling(sandbox, receiver.url, **variables) as (proxy, _):
        ask(proxy)
        receiver.spans(2)
    assert {each["authorization"] for each in receiver.headers} == {"Basic dGVzdA=="}
    assert {each["content-encoding"] for each in receiver.headers} == {"gzip"}
    resource = receiver.resource
    assert (resource["service.name"], resource["host.name"]) == ("mine", "desk")


def test_a_signal_may_go_alone(sandbox: SandboxServer, receiver: Receiver) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces",
    }
    with telling(sandbox, receiver.url, **variables) as (proxy, _):
        ask(proxy)
    assert {path for path, _ in receiver.bodies} == {"/v1/traces"}


def test_what_waits_is_sent_at_the_end(sandbox: SandboxServer, receiver: Receiver) -> None:
    with telling(sandbox, receiver.url, OTEL_BSP_SCHEDULE_DELAY="3600000") as (proxy, telemetry):
        ask(proxy)
        proxy.rows.wait()
        assert receiver.bodies == []
    assert (len(receiver.spans()), telemetry.exported, telemetry.dropped) == (2, 3, 0)
    assert receiver.total("proxy_requests_total") == 1


def test_status_tells_of_it(sandbox: SandboxServer, receiver: Receiver) -> None:
    url = receiver.url.replace("://", "://user:pass@")
    with telling(sandbox, url) as (proxy, telemetry):
        ask(proxy)
        wait_until(lambda: telemetry.exported == 3, "it is sent")
        told = httpx.get(f"{proxy.url}/status", timeout=LIMIT).json()["telemetry"]
    expected = {"endpoint": receiver.url, "exported": 3, "dropped": 0, "lastError": None}
    assert told == expected


# --- a collector in trouble


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_dead_collector_costs_a_counter(sandbox: SandboxServer) -> None:
    limit = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1500"}
    with telling(sandbox, f"http://127.0.0.1:{free_port()}", **limit) as (proxy, telemetry):
        assert ask(proxy).status_code == 200
        wait_until(lambda: telemetry.dropped, "it is given up")
        assert ask(proxy).status_code == 200
        report = httpx.get(f"{proxy.url}/status", timeout=LIMIT).json()["telemetry"]
        began = time.monotonic()
        telemetry.close()
        assert time.monotonic() - began < 2
    assert (report["exported"], report["dropped"] > 0) == (0, True)
    assert "refused" in report["lastError"]


def test_a_collector_that_hangs_holds_nobody_up(sandbox: SandboxServer, receiver: Receiver) -> None:
    receiver.holds = True
    with telling(sandbox, receiver.url) as (proxy, telemetry):
        ask(proxy)
        wait_until(lambda: receiver.asked, "the collector was asked")
        began = time.monotonic()
        for _ in range(10):
            assert ask(proxy).status_code == 200
        assert time.monotonic() - began < 5
        began = time.monotonic()
        telemetry.close()
        assert time.monotonic() - began < 5


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the proxy's log gets; caplog listens to the SDK's loggers as well, which lead nowhere."""
    return [each.getMessage() for each in caplog.records if each.name.startswith("neurolink")]


def test_a_collector_that_refuses_is_told_of_once(
    sandbox: SandboxServer, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 401
    with telling(sandbox, receiver.url) as (proxy, telemetry):
        ask(proxy)
        wait_until(lambda: telemetry.dropped == 3, "the first is lost")
        ask(proxy)
        wait_until(lambda: telemetry.dropped == 6, "the second is lost")
        receiver.status = 200
        ask(proxy)
        receiver.spans(2)
        wait_until(lambda: len(told(caplog)) > 1, "it is back")
    said = told(caplog)
    assert len(said) == 2, said
    assert "401" in said[0]
    assert said[1].startswith("telemetry is sent again; 6 ")


def test_another_collector_takes_effect_at_once(sandbox: SandboxServer, receiver: Receiver) -> None:
    with Receiver() as other, telling(sandbox, other.url) as (proxy, telemetry):
        ask(proxy)
        other.spans(2)
        telemetry.configure(telemetry_setup({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **QUICK}))
        ask(proxy)
        receiver.spans(2)
        telemetry.configure(telemetry_setup({}))
        assert not telemetry.on
        ask(proxy)
        proxy.rows.wait(3)
    assert len(other.spans()) == len(receiver.spans()) == 2
