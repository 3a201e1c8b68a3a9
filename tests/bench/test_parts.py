from __future__ import annotations

import pytest

from bench.comparison import comparisons
from bench.measure import MeasureError
from bench.parts import PARTS, Results
from bench.rows import Rows


def test_a_part_that_fails_does_not_end_the_others() -> None:
    results = Results()
    error = MeasureError("neurolink: not finished")
    error.add_note("neurolink said last: no room")
    with results.noting_faults("tls"):
        raise error
    assert results.faults == ["tls: neurolink: not finished; neurolink said last: no room"]


def test_a_fault_of_the_benchmark_does() -> None:
    with pytest.raises(ZeroDivisionError), Results().noting_faults("tls"):
        raise ZeroDivisionError


def test_each_comparison_is_a_part() -> None:
    assert {each.part for each in comparisons(Rows())} == set(PARTS) - {"latency", "slow"}
