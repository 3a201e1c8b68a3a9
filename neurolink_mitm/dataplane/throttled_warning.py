"""A warning that clients can cause at will, logged once a minute."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

EVERY = 60.0
"""Seconds between two lines."""


class ThrottledWarning:
    """Logs one line a minute, with the number of warnings since the last line."""

    def __init__(
        self, logger: logging.Logger, message: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._message = message
        self._clock = clock
        self._last = -math.inf
        self._times = 0

    def warn(self) -> None:
        self._times += 1
        now = self._clock()
        if now - self._last >= EVERY:
            more = f" ({self._times} times since the last line)" if self._times > 1 else ""
            self._logger.warning("%s%s", self._message, more)
            self._last, self._times = now, 0
