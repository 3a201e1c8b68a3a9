"""Where telemetry goes, by the environment variables that OpenTelemetry has agreed on.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from neurolink_mitm import __version__

TRACES, METRICS, LOGS = "traces", "metrics", "logs"
PROTOCOL = "http/protobuf"
OTLP_PORT = 14318
"""Of the collector that `telemetry setup` runs: beside 4318, where others listen."""
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PREFIX = "OTEL_EXPORTER_OTLP_"
_OFF = {
    TRACES: "OTEL_TRACES_EXPORTER",
    METRICS: "OTEL_METRICS_EXPORTER",
    LOGS: "OTEL_LOGS_EXPORTER",
}


@dataclass(frozen=True, slots=True)
class Signal:
    """How one sort of telemetry is sent. `timeout` is in seconds."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0
    compression: str = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What is sent where; nothing, where no endpoint is named. Intervals are in seconds."""

    signals: Mapping[str, Signal] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    interval: float = 5.0
    """Between two batches of spans and logs."""
    metric_interval: float = 60.0
    faults: tuple[str, ...] = ()
    """Why something of it does not count."""

    @property
    def endpoint(self) -> str | None:
        """For people: without credentials and query."""
        signal = next(iter(self.signals.values()), None)
        if signal is None:
            return None
        parts = urlsplit(signal.url)
        path = parts.path.removesuffix("/v1/traces") if TRACES in self.signals else parts.path
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def telemetry_setup(environ: Mapping[str, str]) -> Setup:
    """As the environment says. What can't be used is left out, and named among the faults."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Setup()
    faults: list[str] = []
    signals = dict(_signals(environ, faults))
    if not signals:
        return Setup(faults=tuple(dict.fromkeys(faults)))
    return Setup(
        signals=signals,
        resource=_resource(environ),
        interval=_seconds(environ, ("OTEL_BSP_SCHEDULE_DELAY",), 5.0, faults),
        metric_interval=_seconds(environ, ("OTEL_METRIC_EXPORT_INTERVAL",), 60.0, faults),
        faults=tuple(dict.fromkeys(faults)),
    )


def _signals(environ: Mapping[str, str], faults: list[str]) -> Iterator[tuple[str, Signal]]:
    for name in (TRACES, METRICS, LOGS):
        url = _url(environ, name)
        if url is None or environ.get(_OFF[name], "").strip().lower() == "none":
            continue
        fault = _fault(environ, name, url)
        if fault:
            faults.append(fault)
        else:
            yield name, _signal(environ, name, url, faults)


def _url(environ: Mapping[str, str], signal: str) -> str | None:
    """A signal's own variable names the whole address, the general one what is common to all."""
    own = environ.get(f"{_PREFIX}{signal.upper()}_ENDPOINT", "").strip()
    common = environ.get(ENDPOINT, "").strip()
    return own or (f"{common.rstrip('/')}/v1/{signal}" if common else None)


def _fault(environ: Mapping[str, str], signal: str, url: str) -> str | None:
    protocol = _value(environ, signal, "PROTOCOL") or PROTOCOL
    if protocol != PROTOCOL:
        return (
            f"{_PREFIX}PROTOCOL: telemetry is sent by {PROTOCOL} only, not {protocol!r:.40}:"
            " no such telemetry is sent"
        )
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    return None if good else f"{ENDPOINT}: is no URL like http://localhost:4318: nothing is sent"


def _signal(environ: Mapping[str, str], name: str, url: str, faults: list[str]) -> Signal:
    timeouts = (f"{_PREFIX}{name.upper()}_TIMEOUT", f"{_PREFIX}TIMEOUT")
    return Signal(
        url=url,
        headers=_headers(_value(environ, name, "HEADERS"), faults),
        timeout=_seconds(environ, timeouts, 10.0, faults),
        compression=_compression(_value(environ, name, "COMPRESSION"), faults),
        certificate=_value(environ, name, "CERTIFICATE") or None,
        client_certificate=_value(environ, name, "CLIENT_CERTIFICATE") or None,
        client_key=_value(environ, name, "CLIENT_KEY") or None,
    )


def _headers(text: str, faults: list[str]) -> dict[str, str]:
    """Those that can be sent. An error of the HTTP library's would show the value of one that can't."""
    found = _pairs(text)
    good = {name: value for name, value in found.items() if value.isascii() and value.isprintable()}
    for name in found.keys() - good.keys():
        faults.append(f"{_PREFIX}HEADERS: {name!r:.40} can't be sent: not printable ASCII")
    return good


def _value(environ: Mapping[str, str], signal: str, name: str) -> str:
    own = environ.get(f"{_PREFIX}{signal.upper()}_{name}")
    return (own or environ.get(f"{_PREFIX}{name}") or "").strip()


def _compression(value: str, faults: list[str]) -> str:
    if value in ("", "none", "gzip", "deflate"):
        return value or "none"
    faults.append(f"{_PREFIX}COMPRESSION: {value!r:.40} is none of none, gzip, deflate: not used")
    return "none"


def _seconds(
    environ: Mapping[str, str], names: tuple[str, ...], default: float, faults: list[str]
) -> float:
    """Of the first that is set; they are in milliseconds."""
    name = next((name for name in names if environ.get(name)), None)
    if name is None:
        return default
    try:
        milliseconds = float(environ[name])
    except ValueError:
        milliseconds = 0.0
    if 1 <= milliseconds <= 3_600_000:
        return milliseconds / 1000
    faults.append(f"{name}: is no number of milliseconds up to an hour: {default:.0f} s are taken")
    return default


def _resource(environ: Mapping[str, str]) -> Mapping[str, str]:
    own = {"service.name": "neurolink", "service.version": __version__}
    told = _pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), lower=False)
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    return own | told | ({"service.name": name} if name else {})


def _pairs(text: str, *, lower: bool = True) -> dict[str, str]:
    """`name=value,…`, values percent-encoded. https://www.w3.org/TR/baggage/#header-content"""
    found = {}
    for pair in text.split(","):
        name, sign, value = pair.partition("=")
        if sign and name.strip():
            found[name.strip().lower() if lower else name.strip()] = unquote(value).strip()
    return found
