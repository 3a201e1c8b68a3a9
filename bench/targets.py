"""The targets for CPU, latency and memory, and whether a run meets them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.comparison import Table
from bench.distance import ROUND_TRIP_MS, Distance, Situation
from bench.rows import BASELINE, DIRECT
from bench.samples import STREAMED
from bench.slow import SlowRun
from bench.summary import Line
from bench.variants import AS_CHAT, AS_MESSAGES, CONSOLE, DEFAULT, EARLIER, MANY, OFF, with_accounts

CPU_RATIO = 0.55
TLS_CPU_RATIO = 0.65
FIRST_BYTE_RATIO = 0.8
WATCHING_RATIO = 1.15
EARLIER_RATIO = 1.02
CONSOLE_RATIO = 1.05
ACCOUNTS_RATIO = 1.1
CHAT_RATIO = 1.25
CHAT_FIRST_BYTE_MS = 5.0
"""Milliseconds that the first byte of a single chat completion may come later than that of a Messages request."""
NEAR_ROUND_TRIPS = 1.3
"""Round trips to the first byte, beside upstream's own time, where a connection is ready."""
IDLE_ROUND_TRIPS = 3.3
FAILOVER_ROUND_TRIPS = 1.5
PEAK_MB = 220.0
RSS_MB = 140.0
# A proxy that kept requests would grow by more than 100 KB with each; an allocator varies less.
FLAT_MB = 3.0
GAP_MS = 600.0


@dataclass(frozen=True)
class Verdict:
    """The result for a target; `met` is None if the run did not measure it."""

    target: str
    found: str
    met: bool | None


def verdicts(
    tables: Sequence[Table],
    distances: Sequence[Distance] = (),
    slow_runs: Sequence[SlowRun] = (),
) -> list[Verdict]:
    """Return the results of what was measured."""
    slow = [run for run in slow_runs if run.row == DEFAULT]
    return [
        *(verdict for table in tables for verdict in _table_verdicts(table)),
        *_distance_verdicts(distances),
        *(verdict for run in slow for verdict in _slow_verdicts(run)),
    ]


def _table_verdicts(table: Table) -> Iterator[Verdict]:
    match table.part:
        case "plain":
            yield from _cpu_verdicts(table, "CPU per streamed request", CPU_RATIO)
            yield from _first_byte_verdicts(table)
            yield from _memory_verdict(table)
        case "tls":
            yield from _cpu_verdicts(table, "CPU per streamed request over TLS", TLS_CPU_RATIO)
        case "accounts":
            many = with_accounts(MANY).name
            yield from _cpu_verdicts(table, f"CPU with {many}", ACCOUNTS_RATIO, many)
        case "console":
            yield from _cpu_verdicts(table, "CPU without --quiet", CONSOLE_RATIO, CONSOLE)
        case "chat":
            what = "CPU per streamed chat request"
            yield from _cpu_verdicts(table, what, CHAT_RATIO, AS_CHAT.name)
            yield from _chat_first_byte(table)
    yield from _option_verdicts(table)


def _cpu_verdicts(table: Table, what: str, limit: float, row: str = DEFAULT) -> Iterator[Verdict]:
    for line in _streamed(table, row):
        yield _at_most(f"{what}, {line.cell}", line.ratios.cpu_ms, limit, table.baseline)


def _first_byte_verdicts(table: Table) -> Iterator[Verdict]:
    for line in _streamed(table, DEFAULT):
        what = f"first byte p50, {line.cell}"
        yield _at_most(what, line.ratios.first_byte_p50, FIRST_BYTE_RATIO)


def _chat_first_byte(table: Table) -> Iterator[Verdict]:
    alone = {line.row: line.sample.times for line in table.lines if line.cell == STREAMED[0]}
    if {AS_CHAT.name, AS_MESSAGES.name} <= alone.keys():
        later = alone[AS_CHAT.name].first_byte_p50 - alone[AS_MESSAGES.name].first_byte_p50
        yield _below(
            "first byte of a chat request, beside Messages", later, CHAT_FIRST_BYTE_MS, "ms"
        )


def _memory_verdict(table: Table) -> Iterator[Verdict]:
    costs = [line.sample.cost for line in table.lines if line.row == DEFAULT]
    peaks = [cost.peak_rss_mb for cost in costs if cost]
    if peaks:
        yield _below("RSS peak of ordinary requests", max(peaks), RSS_MB)


def _streamed(table: Table, row: str) -> list[Line]:
    return [line for line in table.lines if line.row == row and line.cell.kind == "streamed"]


def _at_most(what: str, ratio: float | None, limit: float, base: str = BASELINE) -> Verdict:
    target = f"{what}: at most {limit:.2f} x {base}"
    if ratio is None:
        return Verdict(target, "not measured", None)
    return Verdict(target, f"{ratio:.2f} x", ratio <= limit)


def _distance_verdicts(distances: Sequence[Distance]) -> Iterator[Verdict]:
    found = {(each.row, each.situation): each for each in distances}
    direct = found.get((DIRECT, "keep-alive"))
    own_ms = max(direct.p50_ms - ROUND_TRIP_MS, 0) if direct else 0.0
    limits: tuple[tuple[Situation, float, float], ...] = (
        ("new client", NEAR_ROUND_TRIPS, own_ms),
        ("keep-alive", NEAR_ROUND_TRIPS, own_ms),
        ("after idleness", IDLE_ROUND_TRIPS, own_ms),
        ("failover", FAILOVER_ROUND_TRIPS, 0),
    )
    for situation, round_trips, more_ms in limits:
        distance = found.get((DEFAULT, situation))
        if distance:
            yield _distance_verdict(distance, round_trips, more_ms)


def _distance_verdict(distance: Distance, round_trips: float, more_ms: float) -> Verdict:
    limit = round_trips * ROUND_TRIP_MS + more_ms
    own = f" + upstream's {more_ms:.1f} ms" if more_ms else ""
    target = f"distant upstream, {distance.situation}: at most {round_trips} round trips{own}"
    found = f"{distance.p50_ms:.1f} of {limit:.1f} ms ({distance.round_trips:.2f} round trips)"
    return Verdict(target, found, distance.p50_ms <= limit)


def _option_verdicts(table: Table) -> Iterator[Verdict]:
    """Yield the results for the variants that were measured."""
    what = "CPU with journal, usage and capture of errors"
    for line in table.options:
        if line.cell.kind != "streamed":
            continue
        if line.row == DEFAULT and line.by_off:
            yield _at_most(f"{what}, {line.cell}", line.by_off, WATCHING_RATIO, OFF)
        if line.row == EARLIER and line.by_default:
            yield _at_most(
                f"{table.title}: CPU, {line.cell}", 1 / line.by_default, EARLIER_RATIO, EARLIER
            )


def _slow_verdicts(run: SlowRun) -> Iterator[Verdict]:
    crowd = f"{run.streams} slow streams{' over TLS' if run.tls else ''}"
    missing = run.streams - run.complete
    growth = run.rss_later_mb - run.rss_after_mb
    grown = f"{growth:+.1f} MB in {run.later_requests} requests"
    yield Verdict(f"{crowd}: none lost", f"{missing} of {run.streams} lost", missing == 0)
    yield _below(f"{crowd}: gap p99", run.gap_p99_ms, GAP_MS, "ms")
    yield _below(f"{crowd}: RSS peak", run.rss_peak_mb, PEAK_MB)
    flat = f"{crowd}: RSS flat after them: at most {FLAT_MB:.0f} MB more"
    yield Verdict(flat, grown, growth <= FLAT_MB)


def _below(what: str, figure: float, limit: float, unit: str = "MB") -> Verdict:
    target = f"{what}: at most {limit:.0f} {unit}"
    return Verdict(target, f"{figure:.1f} {unit}", figure <= limit)
