"""OpenTelemetry's SDK and OTLP exporters, fed with plain values. Imported only where a collector is named.

The SDK reads the `OTEL_*` variables, batches, sends, and tries again. Ours are the ids of spans, the metrics (those of
the registry: the SDK does not count a second time), and the account of what was lost.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import requests
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, TraceFlags
from prometheus_client import Metric as Family

from neurolink_mitm import __version__
from neurolink_mitm.core.redact.text import redact, without_passwords
from neurolink_mitm.core.status.metrics import METRICS
from neurolink_mitm.telemetry.records import Finished, Span
from neurolink_mitm.telemetry.setup import LOG_QUEUE_SIZE, LOGS, QUEUE_SIZE, TRACES, Setup
from neurolink_mitm.telemetry.setup import METRICS as METRICS_SIGNAL

NAME = "neurolink"
_LONGEST_ERROR = 300

Sent = Callable[[str, int, str | None], None]
"""Called with a signal, the number of its spans or records that were sent, and why that failed.

The error is empty where the SDK has logged it before: it does not repeat itself within 20 seconds.
"""


class Pipeline:
    """The SDK for one setup: for each signal an exporter, and the SDK's processor that batches for it."""

    def __init__(
        self,
        setup: Setup,
        families: Callable[[], Iterable[Family]],
        sent: Sent,
        instance: str | None = None,
    ) -> None:
        """`instance` tells this process from others of the same service."""
        for name in ("opentelemetry", "urllib3"):  # `OtlpTelemetry` logs a failure, once
            logging.getLogger(name).addHandler(_messages)
            logging.getLogger(name).propagate = False
        made: Mapping[str, Callable[[Resource, Sent], _Signal]]
        made = {TRACES: _Traces, LOGS: _Logs, METRICS_SIGNAL: partial(_Metrics, families)}
        with _environment(setup.variables), _messages.collected():
            resource = _resource(instance)
            self._signals = [made[signal](resource, sent) for signal in setup.signals]

    def add(self, request: Finished) -> bool:
        """Queue the request's spans and log record in the SDK; return False if a queue is full."""
        size = 1 + len(request.attempts)
        if not all(signal.has_room(size) for signal in self._signals):
            return False
        for signal in self._signals:
            signal.add(request)
        return True

    def close(self, seconds: float) -> int:
        """Export what is left, for at most `seconds`. Return the number of spans and records that are lost."""
        ends = [threading.Thread(target=s.processor.shutdown, daemon=True) for s in self._signals]
        for end in ends:
            end.start()
        until = time.monotonic() + seconds
        for end in ends:
            end.join(max(0.0, until - time.monotonic()))
        for signal, end in zip(self._signals, ends, strict=True):
            if end.is_alive():
                signal.exporter.shutdown()  # nothing is tried again
        return sum(signal.waiting for signal in self._signals)


class _Signal:
    """A signal's exporter and processor. `waiting` counts spans or records that are neither exported nor dropped."""

    processor: Any

    def __init__(self, signal: str, exporter: Any, sent: Sent, queue_size: str = "") -> None:
        """`queue_size` is the variable that has the size of the SDK's queue; empty if `add` queues nothing."""
        self.exporter = exporter
        self._signal, self._sent = signal, sent
        self._most = float(os.environ[queue_size]) if queue_size else math.inf
        self._made = self._over = 0
        self._export = exporter.export
        exporter.export = self._send

    @property
    def waiting(self) -> int:
        return self._made - self._over

    def has_room(self, count: int) -> bool:
        """Return whether `count` more fit into the SDK's queue, which would drop its oldest without counting them."""
        return self.waiting + count <= self._most

    def add(self, request: Finished) -> None:
        """Queue the telemetry of `request`."""

    def _send(self, batch: Any, **options: Any) -> Any:
        """Export `batch` by the exporter, and report the outcome."""
        count = 0 if isinstance(batch, sdk.MetricsData) else len(batch)
        with _messages.collected() as messages:
            try:
                result = self._export(batch, **options)
            finally:
                self._over += count
        error = None if result.name == "SUCCESS" else "".join(messages[:1])
        self._sent(self._signal, count, error)
        return result


class _Ids(IdGenerator):
    """Generator that returns the ids that the log has, too."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Traces(_Signal):
    def __init__(self, resource: Resource, sent: Sent) -> None:
        super().__init__(TRACES, OTLPSpanExporter(session=_session()), sent, QUEUE_SIZE)
        self._ids = _Ids()
        self.processor = BatchSpanProcessor(self.exporter)
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
        provider.add_span_processor(self.processor)
        self._tracer = provider.get_tracer(NAME, __version__)

    def add(self, request: Finished) -> None:
        self._ids.trace_id = int(request.trace_id, 16)
        caller = request.caller
        above = _context(request, caller.span_id) if caller else Context()
        server = self._span(request.request, above, SpanKind.SERVER)
        here = trace.set_span_in_context(server, Context())
        for attempt in request.attempts:
            self._span(attempt, here, SpanKind.CLIENT)

    def _span(self, span: Span, parent: Context, kind: SpanKind) -> trace.Span:
        self._ids.span_id = int(span.span_id, 16)
        made = self._tracer.start_span(
            span.name, parent, kind, span.attributes, start_time=_nanoseconds(span.began_at)
        )
        if span.error is not None:
            made.set_status(Status(trace.StatusCode.ERROR, span.error))
        self._made += made.get_span_context().trace_flags.sampled
        made.end(_nanoseconds(span.ended_at))
        return made


class _Logs(_Signal):
    def __init__(self, resource: Resource, sent: Sent) -> None:
        super().__init__(LOGS, OTLPLogExporter(session=_session()), sent, LOG_QUEUE_SIZE)
        self.processor = BatchLogRecordProcessor(self.exporter)
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_log_record_processor(self.processor)
        self._logger = provider.get_logger(NAME, __version__)

    def add(self, request: Finished) -> None:
        log, ended = request.log, _nanoseconds(request.request.ended_at)
        self._made += 1
        self._logger.emit(
            timestamp=ended,
            observed_timestamp=ended,
            context=_context(request, request.request.span_id),
            severity_number=SeverityNumber[log.severity],
            severity_text=log.severity,
            body=log.text,
            attributes=log.attributes,
            event_name="neurolink.request",
        )


class _Metrics(_Signal):
    """The registry's metrics. They are cumulative, as Prometheus' are."""

    def __init__(
        self, families: Callable[[], Iterable[Family]], resource: Resource, sent: Sent
    ) -> None:
        super().__init__(METRICS_SIGNAL, OTLPMetricExporter(session=_session()), sent)
        self._resource, self._families, self._began = resource, families, time.time_ns()
        self.processor = sdk.PeriodicExportingMetricReader(self.exporter)
        self.processor._set_collect_callback(lambda *_, **__: self._data())

    def _data(self) -> sdk.MetricsData:
        now = time.time_ns()
        families = zip(METRICS, self._families(), strict=True)
        metrics = [_metric(name, each, self._began, now) for name, each in families if each.samples]
        scope = sdk.ScopeMetrics(InstrumentationScope(NAME, __version__), metrics, "")
        return sdk.MetricsData([sdk.ResourceMetrics(self._resource, [scope], "")])


def _metric(name: str, family: Family, began: int, now: int) -> sdk.Metric:
    kind, cumulative = METRICS[name].kind, sdk.AggregationTemporality.CUMULATIVE
    data: sdk.Sum | sdk.Gauge | sdk.Histogram
    if kind == "histogram":
        data = sdk.Histogram(list(_histograms(name, family, began, now)), cumulative)
    else:
        start = began if kind == "counter" else 0
        points = [
            sdk.NumberDataPoint(_attributes(sample.labels), start, now, float(sample.value))
            for sample in family.samples
        ]
        data = sdk.Sum(points, cumulative, True) if kind == "counter" else sdk.Gauge(points)
    return sdk.Metric(name, METRICS[name].help, METRICS[name].unit, data)


def _histograms(
    name: str, family: Family, began: int, now: int
) -> Iterator[sdk.HistogramDataPoint]:
    """prometheus-client has a sample for each bucket, which counts those below, too, one for the sum, one for all."""
    nothing: Any = None  # smallest and largest value: Prometheus has none
    for labels, group in groupby(family.samples, lambda sample: _attributes(sample.labels)):
        samples = list(group)
        below = [0, *(int(each.value) for each in samples if "le" in each.labels)]
        [total] = [each.value for each in samples if each.name.endswith("_sum")]
        yield sdk.HistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=below[-1],
            sum=total,
            bucket_counts=[upper - lower for lower, upper in pairwise(below)],
            explicit_bounds=METRICS[name].buckets,
            min=nothing,
            max=nothing,
        )


def _attributes(labels: Mapping[str, str]) -> dict[str, str]:
    """Return `labels` without empty ones, which are absent to Prometheus, and without bounds of buckets."""
    return {name: value for name, value in labels.items() if value and name != "le"}


class _Messages(logging.Handler):
    """Handler that collects why an export failed: the SDK's exporters only log it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._here = threading.local()

    @contextmanager
    def collected(self) -> Iterator[list[str]]:
        """Collect messages of this thread meanwhile. Other messages of the SDK are dropped."""
        messages: list[str] = []
        self._here.messages = messages
        try:
            yield messages
        finally:
            self._here.messages = None

    def emit(self, record: logging.LogRecord) -> None:
        messages = getattr(self._here, "messages", None)
        if messages is not None:
            text = " ".join(without_passwords(redact(record.getMessage())).split())
            messages.append("".join(c for c in text if c.isprintable())[:_LONGEST_ERROR])


_messages = _Messages()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace the `OTEL_*` variables of the process by `variables` meanwhile.

    The SDK reads nothing else, and those of `.env` are not in the process's environment.
    """
    before = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
    try:
        for name in before:
            del os.environ[name]
        os.environ.update(variables)
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)


def _resource(instance: str | None) -> Resource:
    """Return what all telemetry of this process has in common; the `OTEL_*` variables may say otherwise.

    https://opentelemetry.io/docs/specs/semconv/resource/#service
    """
    own = {"service.name": NAME, "service.version": __version__}
    own |= {"service.instance.id": instance} if instance else {}
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})


def _session() -> requests.Session:
    """Return a session that reads no response body: nothing in it matters, and it may have no end."""
    session = requests.Session()
    session.stream = True
    return session


def _context(request: Finished, span_id: str) -> Context:
    """Return the context of a span in the trace of `request`, sampled unless the caller does not sample it."""
    sampled = request.caller is None or request.caller.sampled
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    ids = int(request.trace_id, 16), int(span_id, 16)
    span = NonRecordingSpan(SpanContext(*ids, is_remote=True, trace_flags=flags))
    return trace.set_span_in_context(span, Context())


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
