"""What counts as a finding, and how long something may take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import currently_in_test_context, target

STALL = 0.1
"""Seconds that nothing may hold the event loop for, up to 8 MB of input."""
PER_MB = 0.008
GROWTH_MB = 40.0
"""MB by which the proxy's memory may differ between the end of the warm-up and the end."""
ALARMS = (
    b"Traceback (most recent call last)",
    b"has crashed",
    b"never retrieved",
    b"RecursionError",
)
"""In what the proxy writes to its console."""


class Diagnostic(AssertionError):
    """Something gave way; the text says what, and holds no credential."""


def within_time(call: Callable[[], Any], size: int, per_byte: float = 0.0) -> None:
    """Run `call` on `size` bytes; it may take `per_byte` seconds more for each where it runs beside the event loop.

    A slow run counts only if it is slow three times: others use the machine, too.

    Raises:
        Finding: it takes longer than that (of CPU).
    """
    spent = _cpu(call)
    if currently_in_test_context():
        target(spent * 1e6 / (size + 1000), label=f"microseconds a byte, {call.__qualname__}")
    allowed = STALL + PER_MB * max(0.0, size / 1024 / 1024 - 8) + per_byte * size
    if spent > allowed:
        spent = min(spent, _cpu(call), _cpu(call))
    if spent > allowed:
        raise Diagnostic(f"{size} bytes take {spent:.2f} s of CPU")


def _cpu(call: Callable[[], Any]) -> float:
    before = time.thread_time()
    call()
    return time.thread_time() - before
