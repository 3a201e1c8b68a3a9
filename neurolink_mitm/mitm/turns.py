"""Lets the event loop have the interpreter back soon, while a thread beside it is at long work."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHORT = 0.001
"""Seconds after which who waits for the interpreter gets it. Python's own 5 ms are better at all other times: threads
that have next to nothing to do then don't break off the loop in the middle of a request."""

_lock = threading.Lock()
_usual: list[float] = []
"""The interval to go back to, once for each who is at work."""


@contextmanager
def short_turns() -> Iterator[None]:
    """For as long as somebody is at work in it."""
    with _lock:
        _usual.append(_usual[0] if _usual else sys.getswitchinterval())
        sys.setswitchinterval(SHORT)
    try:
        yield
    finally:
        with _lock:
            usual = _usual.pop()
            if not _usual:
                sys.setswitchinterval(usual)
