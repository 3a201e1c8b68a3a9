"""The parts of a run, one after the other."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import psutil

from bench import processes
from bench.certificates import Certificates, make_certificates
from bench.children import HOST, StartError
from bench.comparison import Comparison, Table, compare, comparisons
from bench.distance import Distance, measure_distance
from bench.measure import MeasureError
from bench.plan import Plan
from bench.rows import Rows, starts_of
from bench.slow import SlowRun, hold_streams

PARTS = ("plain", "tls", "accounts", "console", "chat", "latency", "slow")


@dataclass
class Results:
    """The results of the parts; `faults` are the errors of those that could not be finished."""

    tables: list[Table] = field(default_factory=list)
    distances: list[Distance] = field(default_factory=list)
    slow: list[SlowRun] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def noting_faults(self, part: str) -> Iterator[None]:
        """Add the part's error to `faults`, so that it does not end the others."""
        try:
            yield
        except (StartError, MeasureError, OSError, psutil.Error) as error:
            self.faults.append("; ".join([f"{part}: {error}", *getattr(error, "__notes__", ())]))


def run_parts(
    parts: Collection[str], plan: Plan, rows: Rows, begin: Callable[[str], None]
) -> Results:
    """Run the parts; `begin` is called with the name of each."""
    results = Results()
    with processes.home() as folder:
        certificates = make_certificates(folder, HOST)
        for part, run in _runs(plan, rows, certificates, results):
            if part in parts:
                begin(part)
                with results.noting_faults(part):
                    run()
    return results


def _runs(
    plan: Plan, rows: Rows, certificates: Certificates, results: Results
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name of each part with a function that adds its results."""
    for each in comparisons(rows):
        yield each.part, partial(_compare, each, plan, certificates, results)
    yield "latency", lambda: results.distances.extend(measure_distance(rows, plan, certificates))
    yield "slow", partial(_hold_streams, plan, rows, certificates, results)


def _compare(each: Comparison, plan: Plan, certificates: Certificates, results: Results) -> None:
    results.tables.append(compare(each, plan, certificates))


def _hold_streams(plan: Plan, rows: Rows, certificates: Certificates, results: Results) -> None:
    """Hold the streams on each proxy; over TLS on NeuroLink only, whose memory it is about."""
    for start in rows.proxies.values():
        with results.noting_faults("slow"):
            results.slow.append(hold_streams(start, plan, None))
    for start in starts_of(*rows.variants).values():
        with results.noting_faults("slow, TLS"):
            results.slow.append(hold_streams(start, plan, certificates))
