"""What counts as a finding, and the limits of time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from hypothesis import currently_in_test_context, target

STALL = 0.1
"""Seconds that a call may block the event loop, up to 8 MB of input."""
PER_MB = 0.008
"""Seconds more for each further MB."""
GROWTH_MB = 40.0
"""MB by which the proxy's memory may grow after the warm-up."""
ALARMS = (
    b"Traceback (most recent call last)",
    b"has crashed",
    b"never retrieved",
    b"RecursionError",
)
"""Texts in the proxy's output that are findings."""


class Diagnostic(AssertionError):
    """A finding; its text has no credential."""


def within_time(call: Callable[[], Any], size: int, per_byte: float = 0.0) -> None:
    """Run `call` on `size` bytes. On a thread, it may take `per_byte` seconds more for each byte.

    A slow run counts if it is slow three times: the machine has other work.

    Raises:
        Diagnostic: the call takes more CPU time.
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
