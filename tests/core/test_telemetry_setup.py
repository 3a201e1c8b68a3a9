from __future__ import annotations

import pytest

from neurolink_mitm import __version__
from neurolink_mitm.core.telemetry_setup import Setup, telemetry_setup

URL = "http://collector:4318"
BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL}


def urls(**environ: str) -> dict[str, str]:
    signals = telemetry_setup({f"OTEL_{name}": value for name, value in environ.items()}).signals
    return {name: signal.url for name, signal in signals.items()}


def test_it_is_off_where_nothing_is_said() -> None:
    assert telemetry_setup({}) == Setup()
    assert telemetry_setup({}).endpoint is None


@pytest.mark.parametrize("url", [URL, f"{URL}/"], ids=["bare", "slash"])
def test_one_endpoint_is_for_all(url: str) -> None:
    assert urls(EXPORTER_OTLP_ENDPOINT=url) == {
        "traces": f"{URL}/v1/traces",
        "metrics": f"{URL}/v1/metrics",
        "logs": f"{URL}/v1/logs",
    }


def test_an_endpoint_of_its_own_is_taken_as_it_stands() -> None:
    found = urls(EXPORTER_OTLP_ENDPOINT=URL, EXPORTER_OTLP_LOGS_ENDPOINT="https://logs/here")
    assert (found["logs"], found["traces"]) == ("https://logs/here", f"{URL}/v1/traces")


def test_only_what_has_an_endpoint_is_sent() -> None:
    assert urls(EXPORTER_OTLP_TRACES_ENDPOINT=URL) == {"traces": URL}


@pytest.mark.parametrize(
    ("name", "left"),
    [("METRICS", ["traces", "logs"]), ("TRACES", ["metrics", "logs"]), ("LOGS", ["traces", "metrics"])],
)  # fmt: skip
def test_a_signal_can_be_switched_off(name: str, left: list[str]) -> None:
    found = urls(EXPORTER_OTLP_ENDPOINT=URL, **{f"{name}_EXPORTER": "none"})
    assert list(found) == left


def test_all_can_be_switched_off() -> None:
    assert urls(EXPORTER_OTLP_ENDPOINT=URL, SDK_DISABLED="TRUE") == {}


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
    assert setup.signals == {}
    assert said in setup.faults[0]


def test_a_fault_is_told_once_and_shows_no_key() -> None:
    setup = telemetry_setup({"OTEL_EXPORTER_OTLP_ENDPOINT": "user:hunter2@collector"})
    assert len(setup.faults) == 1
    assert "hunter2" not in str(setup)


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "99999999"])
def test_a_bad_number_is_told_and_not_taken(value: str) -> None:
    setup = telemetry_setup({**BASE, "OTEL_BSP_SCHEDULE_DELAY": value})
    assert setup.interval == 5.0
    assert "OTEL_BSP_SCHEDULE_DELAY" in setup.faults[0]


def test_numbers_are_in_milliseconds() -> None:
    setup = telemetry_setup(
        {
            **BASE,
            "OTEL_BSP_SCHEDULE_DELAY": "250",
            "OTEL_METRIC_EXPORT_INTERVAL": "1500",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2000",
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "3000",
        }
    )
    assert (setup.interval, setup.metric_interval) == (0.25, 1.5)
    assert (setup.signals["traces"].timeout, setup.signals["logs"].timeout) == (2.0, 3.0)


def test_headers_are_decoded() -> None:
    setup = telemetry_setup({**BASE, "OTEL_EXPORTER_OTLP_HEADERS": "Api-Key=a%20b , x=1==,bad,=no"})
    assert setup.signals["traces"].headers == {"api-key": "a b", "x": "1=="}


@pytest.mark.parametrize("value", ["two%0Alines", "%E2%82%AC"], ids=["lines", "unicode"])
def test_a_header_that_can_not_be_sent_is_told_without_its_value(value: str) -> None:
    setup = telemetry_setup({**BASE, "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={value}hunter2,x=1"})
    assert setup.signals["logs"].headers == {"x": "1"}
    assert "'api-key'" in setup.faults[0]
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
    good = telemetry_setup({**BASE, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"})
    bad = telemetry_setup({**BASE, "OTEL_EXPORTER_OTLP_COMPRESSION": "brotli"})
    assert (good.signals["logs"].compression, good.faults) == ("gzip", ())
    assert bad.signals["logs"].compression == "none"
    assert "'brotli'" in bad.faults[0]


def test_the_resource_is_named() -> None:
    assert telemetry_setup(BASE).resource == {
        "service.name": "neurolink",
        "service.version": __version__,
    }
    named = {"OTEL_SERVICE_NAME": "mine", "OTEL_RESOURCE_ATTRIBUTES": "service.name=x,Team=a%2Cb"}
    resource = telemetry_setup({**BASE, **named}).resource
    assert (resource["service.name"], resource["Team"]) == ("mine", "a,b")
