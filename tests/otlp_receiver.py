"""An OpenTelemetry collector: takes OTLP over HTTP and decodes it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import wait_until

MESSAGES = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass
class Receiver:
    """Starts and stops with `with`. Answers `status`, or nothing as long as `holds` is set."""

    status: int = 200
    holds: bool = False
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0

    def __enter__(self) -> Self:
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def release(self) -> None:
        """Answer all that were held, and from now on."""
        self.holds = False
        self._released.set()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """What is answered. A message that is none fails here, and is answered 400 by that."""
        self.asked += 1
        if self.holds:
            self._released.wait(60)
        if self.status != 200:
            return self.status
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        MESSAGES[path]().ParseFromString(body)
        self.headers.append(headers)
        self.bodies.append((path, body))
        return 200

    @property
    def everything(self) -> bytes:
        return b"".join(body for _, body in self.bodies)

    def spans(self, count: int = 0) -> list[Any]:
        """All so far, once there are so many."""
        wait_until(lambda: len(list(self._spans())) >= count, f"{count} spans have come")
        return list(self._spans())

    def logs(self, count: int = 0) -> list[Any]:
        wait_until(lambda: len(list(self._logs())) >= count, f"{count} log records have come")
        return list(self._logs())

    def sums(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Of each counter its newest value, of each histogram its sum, by name and labels."""
        found = {}
        for metric in self._metrics():
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                labels = tuple(sorted((a.key, a.value.string_value) for a in point.attributes))
                value = point.sum if kind == "histogram" else point.as_double or point.as_int
                found[metric.name, labels] = value
        return found

    def buckets(self, name: str) -> tuple[float, ...]:
        """The bounds of a histogram."""
        [*_, metric] = (metric for metric in self._metrics() if metric.name == name)
        return tuple(metric.histogram.data_points[0].explicit_bounds)

    def total(self, name: str, **labels: str) -> float:
        """Over all label sets that have these."""
        return sum(
            value
            for (each, found), value in self.sums().items()
            if each == name and set(labels.items()) <= set(found)
        )

    @property
    def resource(self) -> dict[str, str]:
        message = ExportTraceServiceRequest.FromString(self._of("/v1/traces")[0])
        return attributes(message.resource_spans[0].resource)

    def _of(self, path: str) -> list[bytes]:
        return [body for each, body in self.bodies if each == path]

    def _spans(self) -> Iterator[Any]:
        for body in self._of("/v1/traces"):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    yield from scope.spans

    def _logs(self) -> Iterator[Any]:
        for body in self._of("/v1/logs"):
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    yield from scope.log_records

    def _metrics(self) -> Iterator[Any]:
        for body in self._of("/v1/metrics"):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics


def attributes(of: Any) -> dict[str, Any]:
    """Those of a span, a log record or a resource, as Python's values."""
    return {each.key: _value(each.value) for each in of.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status = receiver.take(self.path, headers, body)
            except Exception:
                status = 400
            try:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
            except OSError:
                return  # the proxy did not wait

        def log_message(self, *args: object) -> None: ...

    return Handler
