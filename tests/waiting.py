"""Waiting for what another thread or process does, and never for longer than it may take."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT = 60.0
"""Seconds that any wait may take; a machine that is busy with other things is slow."""


def wait_until(holds: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Until it holds. Fails, saying `what` was waited for."""
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {what}"
        time.sleep(0.01)
