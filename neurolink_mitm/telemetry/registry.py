"""The registry of metrics: counts metric points up by prometheus-client, and prints Prometheus' text.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import (
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client import Metric as Family

from neurolink_mitm.core.logs.capture import encodable
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.status.metrics import METRICS, Metric, Point

MOST = 500
"""Series of one metric; a point that would begin one more is added to the one whose labels are all `other`."""
OTHER = "other"
CLUSTER = "proxy_cluster_"
"""Metrics that only replicas of a cluster have begin so."""
UNCOUNTED = 64
"""Calls of `record` whose points are counted together, which takes less than a millisecond."""

_BOUND = re.compile(r'(?<=[{,]le=")[0-9][^"]*')
"""A histogram's bound, but `+Inf`. prometheus-client prints 1e+06 and 50.0 for 1000000 and 50."""

_SAMPLE = re.compile(r"^([a-z_]+)(\{?)", re.MULTILINE)
"""The name of a sample, and the bracket of its labels."""

disable_created_metrics()  # a gauge beside each counter that nobody has asked for
# with PROMETHEUS_MULTIPROC_DIR in the environment, the library would write each count to a file there
values.ValueClass = values.MutexValue


class MetricRegistry:
    """Takes metric points from any thread, and gives out families of series."""

    def __init__(self) -> None:
        counted = {name: metric for name, metric in METRICS.items() if not metric.read}
        self._series = {name: _Series(name, metric) for name, metric in counted.items()}
        self._uncounted: deque[Iterable[Point]] = deque()

    def record(self, points: Iterable[Point]) -> None:
        """Count `points` up, some requests later: at once it takes three times as long."""
        self._uncounted.append(points)
        if len(self._uncounted) >= UNCOUNTED:
            self._count()

    def _count(self) -> None:
        while True:
            try:
                points = self._uncounted.popleft()
            except IndexError:  # this thread or another has counted all
                return
            for point in points:
                self._series[point.metric].add(point.value, point.labels)

    def families(self, current: Iterable[Point]) -> Iterator[Family]:
        """Yield each metric with its series, in the table's order. `current` are the points of `read` metrics."""
        read = _read(current)
        self._count()
        for name in METRICS:
            yield read.get(name) or self._series[name].family()

    def page(self, current: Iterable[Point], replica: str | None = None) -> Iterator[str]:
        """Yield Prometheus' text, a metric at a time: the caller may let others run in between.

        Each sample gets the label `replica`, if there is one.
        """
        read = _read(current)
        self._count()
        for name, metric in METRICS.items():
            if metric.otlp_only or (name.startswith(CLUSTER) and not read[name].samples):
                continue
            text = _printed(read[name]) if metric.read else self._series[name].text()
            yield text if replica is None else _labelled(text, replica)


def _read(current: Iterable[Point]) -> dict[str, Family]:
    families = {
        # prometheus-client puts the suffix of a counter on again
        name: Family(name.removesuffix("_total"), metric.help, metric.kind)
        for name, metric in METRICS.items()
        if metric.read
    }
    for name, value, labels in current:
        named = dict(zip(METRICS[name].labels, map(_text, labels), strict=True))
        families[name].add_sample(name, named, value)
    return families


def _labelled(text: str, replica: str) -> str:
    """Return the text of a metric whose samples have the label `replica`, before any other."""
    value = _text(replica).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return _SAMPLE.sub(lambda each: f'{each[1]}{{replica="{value}"{"," if each[2] else "}"}', text)


def _printed(family: Family) -> str:
    text = generate_latest(_Single(family)).decode()
    return _BOUND.sub(lambda bound: f"{float(bound[0]):.15g}", text)


class _Single(NamedTuple):
    """prometheus-client's collector of one family."""

    family: Family

    def collect(self) -> Iterable[Family]:
        return (self.family,)


class _Series:
    """The series of one metric, `MOST` at most: clients and upstreams invent names that end up in labels."""

    def __init__(self, name: str, metric: Metric) -> None:
        self._metric: Counter | Histogram
        if metric.kind == "counter":
            self._metric = Counter(name, metric.help, metric.labels, registry=None)
        else:
            self._metric = Histogram(
                name, metric.help, metric.labels, buckets=metric.buckets, registry=None
            )
        self._add: dict[tuple[str, ...], Callable[[float], None]] = {}
        self._printed: str | None = None

    def add(self, value: float, labels: tuple[str, ...]) -> None:
        self._printed = None
        (self._add.get(labels) or self._begin(labels))(value)

    def family(self) -> Family:
        [family] = self._metric.collect()
        return family

    def text(self) -> str:
        """Print the series, which takes 15 µs for each, or return what was printed since the last point."""
        if self._printed is None:
            self._printed = _printed(self.family())
        return self._printed

    def _begin(self, labels: tuple[str, ...]) -> Callable[[float], None]:
        full = len(self._add) >= MOST
        values = [OTHER if full else _text(value) for value in labels]
        series = self._metric.labels(*values) if labels else self._metric
        add = series.inc if isinstance(series, Counter) else series.observe
        if not full:
            self._add[labels] = add
        return add


def _text(value: str) -> str:
    """Return `value` as a label: without what looks like a key, without surrogates (they are no UTF-8)."""
    return redact(encodable(value))
