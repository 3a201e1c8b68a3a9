"""Counters, gauges and histograms, and their text for Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST = 500
"""Series of one metric; what else would begin one is counted with its labels as `other`."""
OTHER = "other"

Labels = tuple[str, ...]


@dataclass(slots=True)
class Counter:
    """One number for each combination of labels; as a gauge it is set anew each time."""

    name: str
    help: str
    labels: Labels = ()
    kind: str = "counter"
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, amount: float, *labels: str) -> None:
        labels = _within(self.values, labels)
        self.values[labels] = self.values.get(labels, 0) + amount

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, self.kind, self.help)
        for labels, value in sorted(self.values.items()):
            yield f"{self.name}{_shown(self.labels, labels)} {_number(value)}"


def gauge(name: str, text: str, labels: Labels, values: dict[Labels, float]) -> Counter:
    """As of now."""
    return Counter(name, text, labels, "gauge", values)


@dataclass(slots=True)
class Histogram:
    """How many values were at or below each bound."""

    name: str
    help: str
    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, "histogram", self.help)
        seen = 0
        for bound, count in zip((*map(_number, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{self.name}_bucket{{le="{bound}"}} {seen}'
        yield f"{self.name}_sum {_number(self.sum)}"
        yield f"{self.name}_count {seen}"


def exposed(metrics: Iterable[Counter | Histogram]) -> str:
    return "".join(f"{line}\n" for metric in metrics for line in metric.lines())


def _within(known: dict[Labels, float], labels: Labels) -> Labels:
    """A client, or an upstream, chooses names: they must not fill the memory of who collects them."""
    if labels in known or len(known) < MOST:
        return labels
    return (OTHER,) * len(labels)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _shown(names: Labels, values: Labels) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    text = ",".join(pairs)
    return f"{{{text}}}" if text else ""


def _escaped(value: str) -> str:
    value = value.encode(errors="backslashreplace").decode()
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
