"""OpenTelemetry's SDK and OTLP exporters, fed with plain values. Imported only where there is something to send.

The SDK makes spans, aggregates metrics and encodes; it is the telemetry thread that batches, so that nothing here
starts a thread of its own, and what is lost is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Counter, Histogram
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, TraceFlags

from neurolink_mitm import __version__
from neurolink_mitm.adapters.otlp import Sent
from neurolink_mitm.core.measures import METRICS, Bounded, Metric
from neurolink_mitm.core.redaction import redact, without_passwords
from neurolink_mitm.core.telemetry import Finished, Span
from neurolink_mitm.core.telemetry_setup import LOGS, TRACES, Setup, Signal
from neurolink_mitm.core.telemetry_setup import METRICS as METRICS_SIGNAL

NAME = "neurolink"
_LONGEST_ERROR = 300


class Pipeline:
    """All that goes to one setup."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        resource = Resource.create(dict(setup.resource))
        signals = setup.signals
        self._traces = _Traces(signals[TRACES], resource) if TRACES in signals else None
        self._logs = _Logs(signals[LOGS], resource) if LOGS in signals else None
        measured = METRICS_SIGNAL in signals
        self._metrics = _Metrics(signals[METRICS_SIGNAL], resource) if measured else None

    def send(self, requests: Sequence[Finished]) -> Sent:
        """Count them, and send their spans and log records. Blocks up to the collector's timeout."""
        if self._metrics:
            self._metrics.count(requests)
        taken, lost = 0, 0
        with _Errors() as errors:
            for part in (self._traces, self._logs):
                if part is None:
                    continue
                count, good = part.send(requests)
                taken, lost = (taken + count, lost) if good else (taken, lost + count)
        return Sent(taken, lost, errors.first if lost else None)

    def send_metrics(self) -> str | None:
        """As they stand; why that failed."""
        if self._metrics is None:
            return None
        with _Errors() as errors:
            good = self._metrics.send()
        return None if good else errors.first

    def abort(self) -> None:
        """Nothing is tried again."""
        for part in (self._traces, self._logs, self._metrics):
            if part is not None:
                part.exporter.shutdown()


class _Given(IdGenerator):
    """Ids that are known already: the log has them, too."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Traces:
    def __init__(self, signal: Signal, resource: Resource) -> None:
        self.exporter = OTLPSpanExporter(**_how(signal))
        self._ids = _Given()
        self._ended = InMemorySpanExporter()
        provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=self._ids)
        provider.add_span_processor(SimpleSpanProcessor(self._ended))
        self._tracer = provider.get_tracer(NAME, __version__)

    def send(self, requests: Sequence[Finished]) -> tuple[int, bool]:
        for request in requests:
            self._add(request)
        spans = self._ended.get_finished_spans()
        self._ended.clear()
        good = not spans or self.exporter.export(spans) is SpanExportResult.SUCCESS
        return len(spans), good

    def _add(self, request: Finished) -> None:
        self._ids.trace_id = int(request.trace_id, 16)
        caller = Context()
        if request.caller:
            flags = TraceFlags.SAMPLED if request.caller.sampled else TraceFlags.DEFAULT
            caller = _context(request.trace_id, request.caller.span_id, TraceFlags(flags))
        here = trace.set_span_in_context(
            self._span(request.request, caller, SpanKind.SERVER), Context()
        )
        for attempt in request.attempts:
            self._span(attempt, here, SpanKind.CLIENT)

    def _span(self, span: Span, parent: Context, kind: SpanKind) -> trace.Span:
        self._ids.span_id = int(span.span_id, 16)
        made = self._tracer.start_span(
            span.name,
            parent,
            kind,
            attributes=dict(span.attributes),
            start_time=_nanoseconds(span.began_at),
        )
        if span.error is not None:
            made.set_status(Status(trace.StatusCode.ERROR, span.error))
        made.end(_nanoseconds(span.ended_at))
        return made


class _Logs:
    def __init__(self, signal: Signal, resource: Resource) -> None:
        self.exporter = OTLPLogExporter(**_how(signal))
        self._emitted = InMemoryLogRecordExporter()
        provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self._emitted))
        self._logger = provider.get_logger(NAME, __version__)

    def send(self, requests: Sequence[Finished]) -> tuple[int, bool]:
        for request in requests:
            self._add(request)
        records = self._emitted.get_finished_logs()
        self._emitted.clear()
        good = not records or self.exporter.export(records) is LogRecordExportResult.SUCCESS
        return len(records), good

    def _add(self, request: Finished) -> None:
        log, ended = request.log, _nanoseconds(request.request.ended_at)
        sampled = request.caller is None or request.caller.sampled
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        self._logger.emit(
            timestamp=ended,
            observed_timestamp=ended,
            context=_context(request.trace_id, request.request.span_id, flags),
            severity_number=SeverityNumber[log.severity],
            severity_text=log.severity,
            body=log.text,
            attributes=dict(log.attributes),
            event_name="neurolink.request",
        )


class _Metrics:
    def __init__(self, signal: Signal, resource: Resource) -> None:
        self.exporter = OTLPMetricExporter(**_how(signal))
        self._reader = InMemoryMetricReader()
        provider = MeterProvider([self._reader], resource, shutdown_on_exit=False)
        meter = provider.get_meter(NAME, __version__)
        self._bounded = Bounded()
        self._instruments = {name: _instrument(meter, name, m) for name, m in METRICS.items()}

    def count(self, requests: Sequence[Finished]) -> None:
        for measure in (each for request in requests for each in request.measures):
            instrument, labels = self._instruments[measure.name], self._bounded(measure.labels)
            if isinstance(instrument, Counter):
                instrument.add(measure.value, labels)
            else:
                instrument.record(measure.value, labels)

    def send(self) -> bool:
        data = self._reader.get_metrics_data()
        return data is None or self.exporter.export(data) is MetricExportResult.SUCCESS


class _Errors(logging.Handler):
    """What the exporters say of a failure: they return only that there was one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first: str | None = None
        self._logger = logging.getLogger("opentelemetry")

    def __enter__(self) -> _Errors:
        self._propagates = self._logger.propagate
        self._logger.propagate = False  # it is told by us, once
        self._logger.addHandler(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagates
        self.first = self.first or "the collector did not take it"

    def emit(self, record: logging.LogRecord) -> None:
        said = " ".join(without_passwords(redact(record.getMessage())).split())
        self.first = self.first or said[:_LONGEST_ERROR]


def _how(signal: Signal) -> dict[str, Any]:
    return {
        "endpoint": signal.url,
        "headers": dict(signal.headers),
        "timeout": signal.timeout,
        "compression": Compression(signal.compression),
        "certificate_file": signal.certificate,
        "client_certificate_file": signal.client_certificate,
        "client_key_file": signal.client_key,
    }


def _instrument(meter: Any, name: str, metric: Metric) -> Counter | Histogram:
    made: Counter | Histogram
    if metric.kind == "counter":
        made = meter.create_counter(name, metric.unit, metric.text)
    else:
        made = meter.create_histogram(
            name,
            metric.unit,
            metric.text,
            explicit_bucket_boundaries_advisory=metric.buckets,
        )
    return made


def _context(trace_id: str, span_id: str, flags: TraceFlags) -> Context:
    there = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(there), Context())


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
