"""Twice the input, at most 2.5 × the time, and little of it: for each pattern and pass that sees foreign bytes.

    @pytest.mark.parametrize("unit", UNITS)
    def test_it_is_linear(unit: str) -> None:
        assert_linear(redact, repeated(unit))

Time is the CPU's, of this thread, so that a busy machine does not count; garbage is not collected meanwhile.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
Text = TypeVar("Text", str, bytes)

FACTOR = 2.5
DOUBLINGS = 2
"""Measured at once: so what is quadratic stands out."""
MEASURABLE = 0.003
"""Seconds that are measured at least: less says nothing."""
SLOWEST = 4e-6
"""Seconds a character: what costs thousands of steps each is linear, too."""
LARGEST = 1 << 20
TRIES = 4
"""A size: the caches of a machine that others use, too, may be cold once, but not always."""


def assert_linear(
    do: Callable[[T], object], make: Callable[[int], T], *, factor: float = FACTOR
) -> None:
    """`make(n)` is an input of about n bytes. `do` may return an iterator: it is run to its end."""
    size = _measurable(do, make)
    found: list[str] = []
    for measured in (size, size << DOUBLINGS):
        found += (failure := _not_linear(do, make, measured, factor))
        if not failure:
            return
    raise AssertionError(f"{'; '.join(found)}: {make(100)!r:.300}")


def _not_linear(
    do: Callable[[T], object], make: Callable[[int], T], size: int, factor: float
) -> list[str]:
    """Return what was measured when no try was linear. Where the data outgrow a cache that other processes use, too,
    one size can look so; what is quadratic looks so at the next one as well."""
    one, more = make(size), make(2**DOUBLINGS * size)
    ratios: list[float] = []
    while len(ratios) < TRIES:
        runs = 3 if ratios else 1
        seconds = cpu_seconds(do, more, runs)
        ratio = seconds / max(cpu_seconds(do, one, runs), MEASURABLE)
        ratios.append(ratio ** (1 / DOUBLINGS))
        if ratios[-1] <= factor and seconds <= SLOWEST * 2**DOUBLINGS * size:
            return []
    factors = ", ".join(f"{ratio:.1f}" for ratio in ratios)
    return [f"twice {size} bytes take {factors} times as long, at last {seconds:.3f} s"]


def cpu_seconds(do: Callable[[T], object], given: T, times: int = 3) -> float:
    """The least of several runs."""
    with _no_collection():
        return min(_once(do, given) for _ in range(times))


def repeated(
    unit: Text, before: Text | None = None, after: Text | None = None
) -> Callable[[int], Text]:
    """Inputs that are one unit again and again."""
    none = unit[:0]

    def make(size: int) -> Text:
        return (before or none) + unit * max(1, size // len(unit)) + (after or none)

    return make


def _measurable(do: Callable[[T], object], make: Callable[[int], T]) -> int:
    size = 2048
    while size < LARGEST and cpu_seconds(do, make(size), 1) < MEASURABLE:
        size *= 2
    return size


def _once(do: Callable[[T], object], given: T) -> float:
    began = time.thread_time()
    result = do(given)
    if isinstance(result, Iterator):
        deque(result, maxlen=0)
    return time.thread_time() - began


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect(0)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
