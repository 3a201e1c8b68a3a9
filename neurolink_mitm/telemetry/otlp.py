"""Export telemetry by OTLP, in a thread that exists only where a collector is named.

The thread imports the SDK, makes spans and log records of finished requests, and leaves them to the SDK, which batches
and sends them in threads of its own. A collector that is slow or gone costs what does not fit into the SDK's queues,
which is counted.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from prometheus_client import Metric as Family

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.system import how_to_install
from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.status.metrics import Point
from neurolink_mitm.telemetry.records import finished
from neurolink_mitm.telemetry.registry import MetricRegistry
from neurolink_mitm.telemetry.setup import Setup

if TYPE_CHECKING:  # takes 0.3 s and 15 MB: the thread imports it, when there is something to send
    from neurolink_mitm.telemetry.otlp_pipeline import Pipeline

logger = logging.getLogger("neurolink.telemetry")

BACKLOG = 2048
"""Finished requests that wait for the thread."""
LAST_CHANCE, LAST_CHANCE_FAILING = 2.0, 0.5
"""Seconds that `close` waits for a collector: one that accepted the last batch, and one that did not."""
QUEUE = "queue"
"""The name under which the hand-over to the SDK fails; exporters fail under their signals' names."""
FULL = "the collector is too slow, and what waits for it is at its most"
MISSING = f"telemetry is not sent: OpenTelemetry is not installed; run {how_to_install('otel')}"


class OtlpTelemetry:
    """The OTLP export of finished requests and metrics; off while the setup has no signals."""

    def __init__(
        self,
        setup: Setup,
        registry: MetricRegistry | None = None,
        current: Callable[[], Iterable[Point]] = tuple,
        instance: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Metrics are those of `registry`, and the points that `current` returns in any thread.

        `instance` is the name of this replica in a cluster, None without one.
        """
        self.exported = 0
        self.dropped = 0
        self.last_error: str | None = None
        self._setup = setup
        self._registry = registry or MetricRegistry()
        self._current = current
        self._instance = instance
        self.on = bool(setup.signals) and installed()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = False
        self._thread: Worker | None = None
        self._pipeline: Pipeline | None = None
        self._failing: set[str] = set()
        self._lock = threading.Lock()

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults of the setup, for the user."""
        missing = (MISSING,) if self._setup.signals and not self.on else ()
        return (*self._setup.faults, *missing)

    def start(self) -> None:
        """Start the thread, and with it the export of metrics. `record` does so, too."""
        if self.on and self._thread is None and not self._ended:
            self._jobs.put(self._follow)
            self._thread = Worker(self._run, "telemetry")

    def configure(self, setup: Setup) -> None:
        """Export as `setup` says from now on."""
        if setup == self._setup:
            return
        self._setup = setup
        self.on = bool(setup.signals) and installed()
        for fault in self.faults:
            logger.warning("%s", fault)
        if self._thread:
            self._jobs.put(self._follow)

    def record(self, exchange: Exchange, span_ids: Sequence[str]) -> None:
        """Queue `exchange`, which has ended. Never blocks."""
        self.start()
        if self._ended or self._jobs.qsize() >= BACKLOG:
            self._lose(pieces(exchange))
        else:
            self._jobs.put(partial(self._add, exchange, span_ids))

    def report(self) -> Mapping[str, object] | None:
        if not self.on:
            return None
        return {
            "endpoint": self._setup.endpoint,
            "exported": self.exported,
            "dropped": self.dropped,
            "lastError": self.last_error,
        }

    def close(self) -> None:
        """Export what is left, within `LAST_CHANCE` seconds."""
        if self._thread is None or self._ended:
            return
        self._ended = True
        self._jobs.put(None)
        self._thread.end(self._patience + 0.5)

    @property
    def _patience(self) -> float:
        return LAST_CHANCE_FAILING if self._failing else LAST_CHANCE

    def _run(self) -> None:
        for job in iter(self._jobs.get, None):
            job()
        self._end_pipeline()

    def _follow(self) -> None:
        """Replace the pipeline of the previous setup by one of the current setup."""
        self._end_pipeline()
        self._failing.clear()
        if not self._setup.signals:
            return
        try:
            from neurolink_mitm.telemetry.otlp_pipeline import Pipeline

            self._pipeline = Pipeline(self._setup, self._families, self._sent, self._instance())
        except Exception as e:  # of a library, or of a variable that it alone looks at
            self._sent(QUEUE, 0, f"{type(e).__name__}: {e}")

    def _families(self) -> Iterable[Family]:
        return self._registry.families(self._current())

    def _add(self, exchange: Exchange, span_ids: Sequence[str]) -> None:
        try:
            request = finished(exchange, span_ids)
            self._registry.record(request.points)
            if self._pipeline is None:
                self._lose(pieces(exchange))
            elif self._pipeline.add(request):
                self._sent(QUEUE, 0, None)
            else:
                self._sent(QUEUE, pieces(exchange), FULL)
        except Exception as e:  # whatever it is, the thread must go on with further requests
            self._sent(QUEUE, pieces(exchange), f"{type(e).__name__}: {e}")

    def _end_pipeline(self) -> None:
        before, self._pipeline = self._pipeline, None
        if before:
            self._lose(before.close(self._patience))

    def _lose(self, count: int) -> None:
        with self._lock:
            self.dropped += count

    def _sent(self, signal: str, count: int, error: str | None) -> None:
        """Count `count` spans or records as exported, or as dropped by `error`. Any thread may call it.

        A failing collector is logged once, and once more when it has recovered.
        """
        with self._lock:
            failed = bool(self._failing)
            if error is None:
                self.exported += count
                self._failing.discard(signal)
            else:
                self.dropped += count
                self._failing.add(signal)
                self.last_error = error or self.last_error
            if error is not None and not failed:
                logger.warning("telemetry can't be sent, requests go on: %s", self.last_error)
            elif failed and not self._failing:
                logger.warning(
                    "telemetry is sent again; %d spans and records were lost", self.dropped
                )


def installed() -> bool:
    """Return whether the extra `otel` is installed, without importing it."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def pieces(exchange: Exchange) -> int:
    """Return the number of its spans and log records."""
    return len(exchange.attempts) + 2
