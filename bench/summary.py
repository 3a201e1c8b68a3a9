"""Condenses the samples of all rounds to a line for each row and cell."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from statistics import median

from bench.samples import Cell, Cost, Measured, Sample, Times
from bench.variants import DEFAULT, OFF


@dataclass(frozen=True)
class Ratios:
    """The row's figures divided by those of another row: medians of the rounds' ratios."""

    first_byte_p50: float | None
    total_p50: float | None
    cpu_ms: float | None


@dataclass(frozen=True)
class Line:
    row: str
    cell: Cell
    rounds: int
    sample: Sample
    ratios: Ratios


@dataclass(frozen=True)
class OptionLine:
    """CPU per request of a variant, and its ratios to `OFF` and `DEFAULT`."""

    row: str
    cell: Cell
    cpu_ms: float
    by_off: float | None
    by_default: float | None


def lines(
    measured: Sequence[Measured], rows: Sequence[str], cells: Sequence[Cell], baseline: str
) -> list[Line]:
    """Return a line for each cell and row, with its ratios to the row `baseline`."""
    return [_line(measured, row, cell, baseline) for cell in cells for row in rows]


def option_lines(
    measured: Sequence[Measured], rows: Sequence[str], cells: Sequence[Cell]
) -> list[OptionLine]:
    """Return the lines of the variants; none for a single one."""
    if len(rows) < 2:
        return []
    return [_option_line(measured, row, cell) for cell in cells for row in rows]


def _option_line(measured: Sequence[Measured], row: str, cell: Cell) -> OptionLine:
    own, off, default = (
        [_cpu_ms(sample) for sample in _by_turn(measured, name, cell)]
        for name in (row, OFF, DEFAULT)
    )
    cpu_ms = median(cpu for cpu in own if cpu is not None)
    return OptionLine(row, cell, cpu_ms, _median_ratio(own, off), _median_ratio(own, default))


def _cpu_ms(sample: Sample) -> float | None:
    return sample.cost.cpu_ms if sample.cost else None


def _line(measured: Sequence[Measured], row: str, cell: Cell, baseline: str) -> Line:
    own = _by_turn(measured, row, cell)
    base = _by_turn(measured, baseline, cell)

    def ratio(figure: Callable[[Sample], float | None]) -> float | None:
        return _median_ratio(map(figure, own), map(figure, base))

    ratios = Ratios(
        ratio(lambda sample: sample.times.first_byte_p50),
        ratio(lambda sample: sample.times.total_p50),
        ratio(_cpu_ms),
    )
    return Line(row, cell, len(own), _median_sample(own), ratios)


def _by_turn(measured: Sequence[Measured], row: str, cell: Cell) -> list[Sample]:
    return [each.sample for each in measured if (each.row, each.cell) == (row, cell)]


def _median_sample(samples: Sequence[Sample]) -> Sample:
    costs = [sample.cost for sample in samples if sample.cost]
    times = Times(*_medians([sample.times for sample in samples]))
    return Sample(times, Cost(*_medians(costs)) if costs else None)


def _medians(rows: Sequence[Times] | Sequence[Cost]) -> Iterable[float]:
    return map(median, zip(*map(astuple, rows), strict=True))


def _median_ratio(own: Iterable[float | None], base: Iterable[float | None]) -> float | None:
    """Return the median of the ratios within each round, whose rows had the same noise."""
    ratios = [mine / theirs for mine, theirs in zip(own, base, strict=False) if mine and theirs]
    return median(ratios) if ratios else None
