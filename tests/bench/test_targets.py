from __future__ import annotations

from dataclasses import replace

import pytest

from bench.comparison import Table
from bench.distance import Distance, Situation
from bench.samples import Cell, Cost, Sample, Times
from bench.slow import SlowRun
from bench.summary import Line, OptionLine, Ratios
from bench.targets import Verdict, verdicts
from bench.variants import EARLIER

CELL = Cell("streamed", 20)
SAMPLE = Sample(Times(1, 1, 1, 1, 1), Cost(1, 100))
WATCHING = "CPU with journal, usage and capture of errors, streamed x 20"


def table(part: str, row: str = "neurolink", cpu: float | None = None, cell: Cell = CELL) -> Table:
    line = Line(row, cell, 1, SAMPLE, Ratios(0.9, 0.9, cpu))
    return Table(part, part, "mitmdump", 1, 1, [line], [], [])


@pytest.mark.parametrize(
    ("part", "row", "what", "limit"),
    [
        ("plain", "neurolink", "CPU per streamed request", 0.55),
        ("tls", "neurolink", "CPU per streamed request over TLS", 0.65),
        ("accounts", "500 accounts", "CPU with 500 accounts", 1.1),
        ("console", "neurolink-console", "CPU without --quiet", 1.05),
        ("chat", "chat", "CPU per streamed chat request", 1.25),
    ],
)
def test_cpu(part: str, row: str, what: str, limit: float) -> None:
    target = f"{what}, streamed x 20: at most {limit:.2f} x mitmdump"
    for ratio, met in ((limit, True), (limit + 0.01, False)):
        assert verdicts([table(part, row, ratio)])[0] == Verdict(target, f"{ratio:.2f} x", met)


@pytest.mark.parametrize(("later", "met"), [(5.0, True), (5.1, False)])
def test_the_first_byte_of_a_chat_request(later: float, met: bool) -> None:
    alone = Cell("streamed", 1)
    lines = [
        Line(row, alone, 1, Sample(Times(first, 1, 1, 1, 1), None), Ratios(None, None, None))
        for row, first in (("messages", 1.0), ("chat", 1.0 + later))
    ]
    (*_, verdict) = verdicts([replace(table("chat"), lines=lines)])
    assert verdict == Verdict(
        "first byte of a chat request, beside Messages: at most 5 ms", f"{later} ms", met
    )


def test_what_was_not_run_has_no_target() -> None:
    assert verdicts([]) == []
    assert verdicts([table("tls", "direct", 0.5)]) == []
    assert verdicts([table("tls", cpu=0.5, cell=Cell("whole", 1))]) == []


@pytest.mark.parametrize(("peak", "met"), [(140.0, True), (140.1, False)])
def test_memory_of_ordinary_requests(peak: float, met: bool) -> None:
    sample = Sample(SAMPLE.times, Cost(1, peak))
    line = Line("neurolink", Cell("whole", 20), 1, sample, Ratios(None, None, None))
    (verdict,) = verdicts([replace(table("plain"), lines=[line])])
    assert (verdict.target, verdict.met) == (
        "RSS peak of ordinary requests: at most 140 MB",
        met,
    )


def test_without_mitmdump_nothing_is_known() -> None:
    assert [each.met for each in verdicts([table("tls")])] == [None]


def of_options(*options: OptionLine) -> list[Verdict]:
    return verdicts([replace(table("plain", "direct"), options=options)])


@pytest.mark.parametrize(("ratio", "met"), [(1.15, True), (1.16, False)])
def test_what_watching_may_cost(ratio: float, met: bool) -> None:
    found = of_options(OptionLine("neurolink", CELL, 3.0, ratio, 1.0))
    assert found == [Verdict(f"{WATCHING}: at most 1.15 x neurolink-off", f"{ratio:.2f} x", met)]


@pytest.mark.parametrize(
    "line",
    [
        OptionLine("neurolink", CELL, 3.0, None, 1.0),
        OptionLine("neurolink-capture-all", CELL, 3.0, 9.0, 1.0),
        OptionLine("neurolink", Cell("whole", 20), 3.0, 9.0, 1.0),
    ],
    ids=["off", "row", "whole"],
)
def test_an_ordinary_run_has_no_such_target(line: OptionLine) -> None:
    assert of_options(line) == []


@pytest.mark.parametrize(
    ("earlier", "found", "met"), [(1.25, "0.80 x", True), (0.95, "1.05 x", False)]
)
def test_against_an_earlier_one(earlier: float, found: str, met: bool) -> None:
    """Its line says how much more it took than today's."""
    target = f"plain: CPU, streamed x 20: at most 1.02 x {EARLIER}"
    line = OptionLine(EARLIER, CELL, 3.0, None, earlier)
    assert of_options(line) == [Verdict(target, found, met)]


def distance(situation: Situation, ms: float, row: str = "neurolink") -> Distance:
    return Distance(row, situation, 30, ms, ms)


@pytest.mark.parametrize(
    ("situation", "limit"),
    [("new client", 67.0), ("keep-alive", 67.0), ("after idleness", 167.0), ("failover", 75.0)],
)
def test_a_distant_upstream(situation: Situation, limit: float) -> None:
    """Upstream's own 2 ms are those of the row `direct`."""
    direct = distance("keep-alive", 52.0, "direct")
    for ms, met in ((limit, True), (limit + 0.1, False)):
        (verdict,) = verdicts([], [direct, distance(situation, ms)])
        assert verdict.met is met
        assert verdict.found.startswith(f"{ms:.1f} of {limit:.1f} ms")


SLOW = SlowRun(
    row="neurolink",
    tls=False,
    streams=1000,
    complete=1000,
    faults={},
    seconds=15.0,
    first_byte_p50_ms=10.0,
    gap_p99_ms=600.0,
    cpu_ms=5.0,
    rss_before_mb=80.0,
    rss_peak_mb=220.0,
    rss_after_mb=140.0,
    rss_later_mb=143.0,
    later_requests=400,
    helpers_rss_mb=0.0,
)


def test_slow_streams() -> None:
    assert [each.met for each in verdicts([], [], [SLOW])] == [True] * 4


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"complete": 999}, "1000 slow streams: none lost"),
        ({"gap_p99_ms": 601.0}, "1000 slow streams: gap p99: at most 600 ms"),
        ({"rss_peak_mb": 221.0}, "1000 slow streams: RSS peak: at most 220 MB"),
        (
            {"rss_later_mb": 144.0},
            "1000 slow streams: RSS flat after them: at most 3 MB more",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_slow_run_that_misses(change: dict[str, float], target: str) -> None:
    missed = [each.target for each in verdicts([], [], [replace(SLOW, **change)]) if not each.met]
    assert missed == [target]


def test_another_rows_slow_streams_are_no_target() -> None:
    assert verdicts([], [], [replace(SLOW, row="mitmdump", complete=0)]) == []
