"""Sums up days with many rows in a thread of its own, the newest first, while somebody looks at what there is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from neurolink_mitm.records import rollup_files
from neurolink_mitm.records.retention import PAUSE
from neurolink_mitm.records.rollups import BrokenError

logger = logging.getLogger("neurolink.journal")

TRY_AGAIN = 60.0
"""Seconds until a day that can't be summed up is tried again."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the days are summed up."""

    done: int
    days: int


@dataclass(slots=True)
class RollupBuilder:
    """At most one thread sums up; a day that fails is left out for a while."""

    logs: Path
    pause: float = PAUSE
    failed: dict[date, str] = field(default_factory=dict)
    """By day: why it can't be summed up."""
    _failed_at: float = 0.0
    _wanted: list[date] = field(default_factory=list)
    _done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def build(self, days: Collection[date]) -> Progress | None:
        """Sum up the days, beside those that were asked for before; return how far that is, or None at the end."""
        with self._lock:
            if self.failed and time.monotonic() - self._failed_at > TRY_AGAIN:
                self.failed.clear()
            new = sorted(set(days) - set(self._wanted) - self.failed.keys(), reverse=True)
            self._wanted += new
            if self._thread is None and len(self._wanted) > self._done:
                # a daemon: whatever it writes is replaced as a whole, and the proxy's end need not wait for it
                self._thread = threading.Thread(target=self._run, name="roll-ups", daemon=True)
                self._thread.start()
            return Progress(self._done, len(self._wanted)) if self._thread else None

    def join(self, timeout: float) -> None:
        """Wait until all days are summed up."""
        if thread := self._thread:
            thread.join(timeout)

    def _run(self) -> None:
        while day := self._next():
            why = self._refresh(day)
            with self._lock:
                self._done += 1
                if why:
                    self.failed[day] = why
                    self._failed_at = time.monotonic()

    def _next(self) -> date | None:
        with self._lock:
            if self._done < len(self._wanted):
                return self._wanted[self._done]
            self._thread, self._wanted, self._done = None, [], 0
            return None

    def _refresh(self, day: date) -> str | None:
        try:
            rollup_files.refresh(self.logs, day, lambda _: time.sleep(self.pause))
        except (OSError, BrokenError) as e:
            logger.error("the rows of %s can't be summed up: %s", day, e)
            return str(getattr(e, "strerror", None) or e)
        except Exception as e:
            logger.exception("the rows of %s can't be summed up", day)
            return type(e).__name__
        return None
