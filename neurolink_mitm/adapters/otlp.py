"""Sends telemetry to an OpenTelemetry collector, from a thread that exists only where one is named.

Finished requests wait in a bounded queue; the thread imports OpenTelemetry, makes spans, metrics and logs of them, and
sends these. A collector that is slow or gone costs what does not fit into the queue, which is counted.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from neurolink_mitm.adapters.extras import how_to_install
from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.telemetry import finished
from neurolink_mitm.core.telemetry_setup import Setup

if TYPE_CHECKING:  # takes 0.3 s and 15 MB: the thread imports it, when there is something to send
    from neurolink_mitm.adapters.otlp_pipeline import Pipeline

_Ended = tuple[Exchange, Sequence[str]]
"""A request, and ids for its attempts' spans."""

logger = logging.getLogger("neurolink.telemetry")

BACKLOG = 2048
"""Finished requests that wait."""
BATCH = 256
"""Requests in one message to the collector."""
LAST_CHANCE, LAST_CHANCE_FAILING = 2.0, 0.5
"""Seconds that the end of the proxy waits for a collector: one that took the last batch, and one that did not."""
MISSING = f"telemetry is not sent: OpenTelemetry is not installed; run {how_to_install('otel')}"


@dataclass(frozen=True, slots=True)
class Sent:
    """How many spans and log records a collector took, how many are lost, and why."""

    taken: int
    lost: int
    error: str | None


class OtlpTelemetry:
    """Takes finished requests; off while `configure` names no endpoint."""

    def __init__(self, setup: Setup, backlog: int = BACKLOG) -> None:
        self.exported = 0
        self.dropped = 0
        self.last_error: str | None = None
        self._setup = setup
        self._installed = bool(setup.signals) and installed()
        self._backlog = backlog
        self._queue: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._pipeline: Pipeline | None = None
        self._failing = False

    @property
    def on(self) -> bool:
        return self._installed

    @property
    def faults(self) -> tuple[str, ...]:
        """What the user should know of the setup."""
        missing = (MISSING,) if self._setup.signals and not self._installed else ()
        return (*self._setup.faults, *missing)

    def configure(self, setup: Setup) -> None:
        """Takes effect with the next batch; whatever waits goes to the new place."""
        if setup == self._setup:
            return
        self._setup = setup
        self._installed = bool(setup.signals) and installed()
        for fault in self.faults:
            logger.warning("%s", fault)

    def record(self, exchange: Exchange, span_ids: Sequence[str]) -> None:
        if self._ending.is_set() or self._queue.qsize() >= self._backlog:
            self.dropped += pieces(exchange)
            return
        self._queue.put((exchange, span_ids))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()

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
        """Send what is left, within a few seconds."""
        if self._thread is None or self._ending.is_set():
            return
        self._ending.set()
        self._thread.join(LAST_CHANCE_FAILING if self._failing else LAST_CHANCE)
        if self._pipeline:
            self._pipeline.abort()

    def _run(self) -> None:
        due = time.monotonic() + self._setup.metric_interval
        ended = False
        while not ended:
            ended = self._ending.wait(self._setup.interval)
            with_metrics = ended or time.monotonic() >= due
            self._round(with_metrics=with_metrics)
            if with_metrics:
                due = time.monotonic() + self._setup.metric_interval

    def _round(self, *, with_metrics: bool) -> None:
        waiting = self._waiting()
        batches = [waiting[i : i + BATCH] for i in range(0, len(waiting), BATCH)]
        errors = [self._send(batch) for batch in batches]
        if with_metrics or not self._setup.signals:
            errors.append(self._send_metrics())
        if errors:
            self._report(next((error for error in errors if error), None))

    def _waiting(self) -> list[_Ended]:
        """Taken out of the queue."""
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    def _send(self, batch: list[_Ended]) -> str | None:
        lost = sum(pieces(exchange) for exchange, _ in batch)
        try:
            pipeline = self._current()
            requests = [finished(*ended) for ended in batch]
            sent = pipeline.send(requests) if pipeline else Sent(0, lost, None)
        except Exception as e:  # whatever it is, it must not end the telling of further requests
            sent = Sent(0, lost, f"{type(e).__name__}: {e}")
        self.exported += sent.taken
        self.dropped += sent.lost
        return sent.error

    def _send_metrics(self) -> str | None:
        try:
            pipeline = self._current()
            return pipeline.send_metrics() if pipeline else None
        except Exception as e:
            return f"{type(e).__name__}: {e}"

    def _current(self) -> Pipeline | None:
        """That of the setup of now; what an older one has counted goes to its place first."""
        setup, before = self._setup, self._pipeline
        if before is not None and before.setup != setup:
            self._pipeline = None
            before.send_metrics()
            before.abort()
        if self._pipeline is None and setup.signals:
            from neurolink_mitm.adapters.otlp_pipeline import Pipeline

            self._pipeline = Pipeline(setup)
        return self._pipeline

    def _report(self, error: str | None) -> None:
        """A collector that fails is told of once, and once more when it is back."""
        if error is None and self._failing:
            logger.warning("telemetry is sent again; %d spans and records were lost", self.dropped)
        if error is not None and not self._failing:
            logger.warning("telemetry can't be sent, requests go on: %s", error)
        self._failing = error is not None
        self.last_error = error or self.last_error


def installed() -> bool:
    """Whether the extra `otel` is there; imports next to nothing."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def pieces(exchange: Exchange) -> int:
    """Its spans, and the log record."""
    return len(exchange.attempts) + 2
