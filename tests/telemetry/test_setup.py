from __future__ import annotations

import pytest

from neurolink_mitm.telemetry.setup import Setup, telemetry_setup

URL = "http://collector:4318"
BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL}


def signals(**environ: str) -> list[str]:
    return list(telemetry_setup({f"OTEL_{k}": value for k, value in environ.items()}).signals)


def variables(**environ: str) -> dict[str, str]:
    """What the SDK is given, beside the endpoint and what is there anyway."""
    setup = telemetry_setup(BASE | {f"OTEL_{k}": value for k, value in environ.items()})
    plain = telemetry_setup(BASE).variables.items()
    return dict(setup.variables.items() - plain)


def test_it_is_off_where_nothing_is_said() -> None:
    assert telemetry_setup({}) == Setup()
    assert telemetry_setup({}).endpoint is None


def test_one_endpoint_is_for_all() -> None:
    assert signals(EXPORTER_OTLP_ENDPOINT=URL) == ["traces", "metrics", "logs"]


def test_only_what_has_an_endpoint_is_sent() -> None:
    assert signals(EXPORTER_OTLP_TRACES_ENDPOINT=URL) == ["traces"]


@pytest.mark.parametrize(
    ("name", "left"),
    [("METRICS", ["traces", "logs"]), ("TRACES", ["metrics", "logs"]), ("LOGS", ["traces", "metrics"])],
)  # fmt: skip
def test_a_signal_can_be_switched_off(name: str, left: list[str]) -> None:
    assert signals(EXPORTER_OTLP_ENDPOINT=URL, **{f"{name}_EXPORTER": "none"}) == left


def test_all_can_be_switched_off() -> None:
    assert signals(EXPORTER_OTLP_ENDPOINT=URL, SDK_DISABLED="TRUE") == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf only, not 'grpc'"),
        ("EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf only"),
        ("EXPORTER_OTLP_ENDPOINT", "collector:4318", "no URL"),
        ("EXPORTER_OTLP_ENDPOINT", "http://", "no URL"),
        ("EXPORTER_OTLP_ENDPOINT", "http://collector:port", "no URL"),
    ],
)
def test_what_can_not_be_used_is_off_and_told(variable: str, value: str, said: str) -> None:
    setup = telemetry_setup({**BASE, f"OTEL_{variable}": value})
    assert setup.signals == ()
    assert said in setup.faults[0]


def test_a_fault_is_told_once_and_shows_no_key() -> None:
    setup = telemetry_setup({"OTEL_EXPORTER_OTLP_ENDPOINT": "user:hunter2@collector"})
    assert len(setup.faults) == 1
    assert "hunter2" not in str(setup)


@pytest.mark.parametrize(
    "name",
    [
        "BSP_SCHEDULE_DELAY",
        "METRIC_EXPORT_INTERVAL",
        "EXPORTER_OTLP_LOGS_TIMEOUT",
        "BLRP_MAX_QUEUE_SIZE",
    ],
)
@pytest.mark.parametrize(
    "value", ["soon", "0", "-1", "nan", "inf", "99999999", "9" * 5000], ids=len
)
def test_a_bad_number_is_told_and_not_taken(name: str, value: str) -> None:
    setup = telemetry_setup({**BASE, f"OTEL_{name}": value})
    assert setup.variables == telemetry_setup(BASE).variables
    assert f"OTEL_{name}" in setup.faults[0]


def test_a_timeout_is_in_milliseconds_and_the_sdk_takes_seconds() -> None:
    """https://github.com/open-telemetry/opentelemetry-python/issues/4044"""
    found = variables(EXPORTER_OTLP_TIMEOUT="2000", EXPORTER_OTLP_LOGS_TIMEOUT="50")
    assert found == {"OTEL_EXPORTER_OTLP_TIMEOUT": "2.0", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "0.05"}


def test_log_records_go_as_often_as_spans() -> None:
    assert variables(BSP_SCHEDULE_DELAY="250")["OTEL_BLRP_SCHEDULE_DELAY"] == "250"
    own = variables(BSP_SCHEDULE_DELAY="250", BLRP_SCHEDULE_DELAY="100")
    assert own["OTEL_BLRP_SCHEDULE_DELAY"] == "100"


def test_headers_are_as_the_sdk_reads_them() -> None:
    found = variables(EXPORTER_OTLP_HEADERS="Api-Key=a%20b , x=1==,bad,=no")
    assert found == {"OTEL_EXPORTER_OTLP_HEADERS": "Api-Key=a%20b,x=1%3D%3D"}


@pytest.mark.parametrize(
    "pair",
    ["api-key=two%0Alines", "api-key=%E2%82%AC", "api key=x", "äpi-key=x"],
    ids=["lines", "unicode", "space", "name"],
)
def test_a_header_that_can_not_be_sent_is_told_without_its_value(pair: str) -> None:
    setup = telemetry_setup({**BASE, "OTEL_EXPORTER_OTLP_HEADERS": f"{pair}hunter2,x=1"})
    assert setup.variables["OTEL_EXPORTER_OTLP_HEADERS"] == "x=1"
    assert f"{pair.partition('=')[0]!r}" in setup.faults[0]
    assert "hunter2" not in str(setup.faults)


def test_credentials_are_in_no_text() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:hunter2@collector:4318/otlp?key=hunter2",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hunter2",
    }
    setup = telemetry_setup(environ)
    assert "hunter2" not in repr(setup)
    assert setup.endpoint
    assert "hunter2" not in setup.endpoint


@pytest.mark.parametrize("url", [URL, "https://user:pass@collector/otlp"], ids=["plain", "named"])
def test_people_are_shown_the_endpoint(url: str) -> None:
    shown = telemetry_setup({"OTEL_EXPORTER_OTLP_ENDPOINT": url}).endpoint
    assert shown == url.replace("user:pass@", "")


def test_compression() -> None:
    assert variables(EXPORTER_OTLP_COMPRESSION="gzip") == {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    bad = telemetry_setup({**BASE, "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli"})
    assert bad.variables == telemetry_setup(BASE).variables
    assert "'brotli'" in bad.faults[0]


def test_other_variables_are_the_sdks_to_read() -> None:
    named = {"SERVICE_NAME": "mine", "RESOURCE_ATTRIBUTES": "a=b", "TRACES_SAMPLER": "always_off"}
    assert variables(**named) == {f"OTEL_{name}": value for name, value in named.items()}
    assert "HOME" not in telemetry_setup({**BASE, "HOME": "/"}).variables
