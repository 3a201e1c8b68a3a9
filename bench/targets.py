"""The targets for CPU, latency and memory, and whether a run meets them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.samples import Cell
from bench.slow import SlowRun
from bench.summary import BASELINE, Line, OptionLine, Ratios
from bench.variants import EARLIER, OFF

ROW = "neurolink"
CPU_RATIO = 0.75
FIRST_BYTE_RATIO = 0.8
RSS_MB = 140.0
WATCHING_RATIO = 1.15
# A proxy that kept requests would grow by more than 100 KB with each; an allocator varies less.
FLAT_MB = 3.0


@dataclass(frozen=True)
class Verdict:
    """The result for a target; `met` is None if the run did not measure it."""

    target: str
    found: str
    met: bool | None


def verdicts(
    lines: Sequence[Line], slow_runs: Sequence[SlowRun], options: Sequence[OptionLine] = ()
) -> list[Verdict]:
    slow = next((run for run in slow_runs if run.row == ROW), None)
    return [*_ratio_verdicts(lines), *_slow_verdicts(slow), *_option_verdicts(options)]


def _ratio_verdicts(lines: Sequence[Line]) -> Iterator[Verdict]:
    for concurrency in (20, 1):
        ratios = _ratios(lines, Cell("streamed", concurrency))
        yield _at_most(
            f"CPU per streamed request, concurrency {concurrency}", ratios.cpu_ms, CPU_RATIO
        )
    for concurrency in (20, 1):
        ratios = _ratios(lines, Cell("streamed", concurrency))
        yield _at_most(
            f"first byte p50, streamed, concurrency {concurrency}",
            ratios.first_byte_p50,
            FIRST_BYTE_RATIO,
        )


def _ratios(lines: Sequence[Line], cell: Cell) -> Ratios:
    found = (line.ratios for line in lines if (line.row, line.cell) == (ROW, cell))
    return next(found, Ratios(None, None, None))


def _at_most(what: str, ratio: float | None, limit: float, base: str = BASELINE) -> Verdict:
    target = f"{what}: at most {limit:.2f} x {base}"
    if ratio is None:
        return Verdict(target, "not measured", None)
    return Verdict(target, f"{ratio:.2f} x", ratio <= limit)


def _option_verdicts(options: Sequence[OptionLine]) -> Iterator[Verdict]:
    """Yield the results for the variants that were measured."""
    for concurrency in (20, 1):
        what = f"CPU with journal, usage and capture of errors, concurrency {concurrency}"
        found = {line.row: line for line in options if line.cell == Cell("streamed", concurrency)}
        default, earlier = found.get(ROW), found.get(EARLIER)
        if default and default.by_off:
            yield _at_most(what, default.by_off, WATCHING_RATIO, OFF)
        if earlier and earlier.by_default:
            yield _at_most(what, 1 / earlier.by_default, WATCHING_RATIO, EARLIER)


def _slow_verdicts(slow: SlowRun | None) -> Iterator[Verdict]:
    after = f"RSS after the run: at most {RSS_MB:.0f} MB"
    flat = f"RSS flat from then on: at most {FLAT_MB:.0f} MB more"
    lost = "slow concurrent streams: none lost"
    if slow is None:
        yield from (Verdict(target, "not measured", None) for target in (after, flat, lost))
        return
    growth = slow.rss_later_mb - slow.rss_after_mb
    yield Verdict(after, f"{slow.rss_after_mb:.1f} MB", slow.rss_after_mb <= RSS_MB)
    yield Verdict(flat, f"{growth:+.1f} MB in {slow.later_requests} requests", growth <= FLAT_MB)
    missing = slow.streams - slow.complete
    yield Verdict(lost, f"{missing} of {slow.streams} lost", missing == 0)
