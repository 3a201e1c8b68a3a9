"""Check the `OTEL_*` variables, which OpenTelemetry's SDK then reads by itself.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

TRACES, METRICS, LOGS = "traces", "metrics", "logs"
PROTOCOL = "http/protobuf"
OTLP_PORT = 14318
"""Port of the collector that `telemetry setup` runs; 4318 may be in use."""
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
QUEUE_SIZE, LOG_QUEUE_SIZE = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_QUEUE_SIZE"
_DELAY, _METRICS_DELAY = "OTEL_BSP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL"
_PREFIX = "OTEL_EXPORTER_OTLP_"
_DEFAULTS = {_DELAY: "5000", _METRICS_DELAY: "60000", QUEUE_SIZE: "2048"}
_LONGEST_NUMBER = 3_600_000
"""An hour, where a variable is in milliseconds."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the environment asks for: `signals` are those with a collector, `variables` are fit for the SDK."""

    signals: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    endpoint: str | None = None
    """The collector's address, for people: without credentials and query."""
    faults: tuple[str, ...] = ()
    """Why a variable does not count."""


def telemetry_setup(environ: Mapping[str, str]) -> Setup:
    """Return the setup that `environ` asks for, without the variables that are named in its faults."""
    variables = {k: v.strip() for k, v in environ.items() if k.startswith("OTEL_") and v.strip()}
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Setup()
    urls = {signal: url for signal in (TRACES, METRICS, LOGS) if (url := _url(variables, signal))}
    by_signal = {signal: _fault(variables, signal, url) for signal, url in urls.items()}
    signals = tuple(signal for signal, fault in by_signal.items() if fault is None)
    faults = [fault for fault in by_signal.values() if fault]
    usable = _usable(variables, faults) if signals else {}
    endpoint = _shown(signals[0], urls[signals[0]]) if signals else None
    return Setup(signals, usable, endpoint, tuple(dict.fromkeys(faults)))


def _url(variables: Mapping[str, str], signal: str) -> str | None:
    """Return where `signal` is sent: its own variable has the whole URL, the general one what precedes `/v1/…`."""
    if variables.get(f"OTEL_{signal.upper()}_EXPORTER", "").lower() == "none":
        return None
    common = variables.get(ENDPOINT)
    own = variables.get(f"{_PREFIX}{signal.upper()}_ENDPOINT")
    return own or (f"{common.rstrip('/')}/v1/{signal}" if common else None)


def _fault(variables: Mapping[str, str], signal: str, url: str) -> str | None:
    common = variables.get(f"{_PREFIX}PROTOCOL", PROTOCOL)
    protocol = variables.get(f"{_PREFIX}{signal.upper()}_PROTOCOL", common)
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


def _shown(signal: str, url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.removesuffix("/v1/traces") if signal == TRACES else parts.path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _usable(variables: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """Return the variables without those that the SDK would fail on, or would show in an error with their value."""
    usable = dict(variables)
    for name in variables:
        for pattern, check in _CHECKS:
            if pattern.fullmatch(name):
                value = check(name, usable.pop(name), faults)
                usable |= {name: value} if value else {}
    usable = _DEFAULTS | usable
    return {  # one delay and one size for spans and log records, where those have none of their own
        "OTEL_BLRP_SCHEDULE_DELAY": usable[_DELAY],
        LOG_QUEUE_SIZE: usable[QUEUE_SIZE],
        **usable,
    }


def _headers(name: str, value: str, faults: list[str]) -> str:
    """Return the headers that can be sent. For any other, the HTTP library's error would show its value."""
    good = []
    for pair in value.split(","):
        header, sign, text = pair.partition("=")
        header, text = header.strip(), unquote(text).strip()
        if not sign or not header:
            continue
        if _TOKEN.fullmatch(header) and text.isascii() and text.isprintable():
            good.append(f"{header}={quote(text)}")
        else:
            faults.append(f"{name}: {header.lower()!r:.40} can't be sent: not printable ASCII")
    return ",".join(good)


def _compression(name: str, value: str, faults: list[str]) -> str:
    if value.lower() in ("none", "gzip", "deflate"):
        return value
    faults.append(f"{name}: {value!r:.40} is none of none, gzip, deflate: not used")
    return ""


def _seconds(name: str, value: str, faults: list[str]) -> str:
    """Return the specification's milliseconds as the SDK's seconds.

    https://github.com/open-telemetry/opentelemetry-python/issues/4044
    """
    milliseconds = _number(name, value, faults)
    return f"{int(milliseconds) / 1000}" if milliseconds else ""


def _number(name: str, value: str, faults: list[str]) -> str:
    if re.fullmatch(r"[0-9]{1,9}", value) and 1 <= int(value) <= _LONGEST_NUMBER:
        return value
    default = f"{_DEFAULTS[name]} is" if name in _DEFAULTS else "the default is"
    faults.append(f"{name}: is no whole number up to {_LONGEST_NUMBER}: {default} taken")
    return ""


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2"""
_CHECKS: tuple[tuple[re.Pattern[str], Callable[[str, str, list[str]], str]], ...] = (
    (re.compile(rf"{_PREFIX}(\w+_)?HEADERS"), _headers),
    (re.compile(rf"{_PREFIX}(\w+_)?COMPRESSION"), _compression),
    (re.compile(rf"{_PREFIX}(\w+_)?TIMEOUT"), _seconds),
    (re.compile(r"OTEL_(BSP|BLRP|METRIC_EXPORT)_\w+"), _number),
)
