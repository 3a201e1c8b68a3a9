"""The shipped price table, and `spend.json`: what all proxies of one home have spent today."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.files import locked, set_aside, write_atomic
from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.json_errors import UNREADABLE

logger = logging.getLogger("neurolink.spending")

WRITE_INTERVAL = 2.0
"""Seconds between two writes; a killed proxy loses the spending of these."""
LONGEST_DAY = 26 * 3600.0
"""Seconds; no day is longer, wherever the clocks change."""


@cache
def shipped_prices() -> Prices:
    """Return the shipped table, which `make prices` makes of LiteLLM's."""
    table = msgspec.json.decode((files("neurolink_mitm.core.cost") / "prices.json").read_bytes())
    return Prices({name: models for name, models in table.items() if isinstance(models, dict)})


class Day(msgspec.Struct, rename="camel"):
    """USD spent in the day that ends at `day_ends_at` (seconds since the epoch, local midnight)."""

    usd: float = 0.0
    day_ends_at: float = 0.0


class Spending:
    """Books spending on a budget at once, and writes in a thread of its own."""

    def __init__(self, path: Path, budget: Budget, now: float | None = None) -> None:
        """Read what was spent; `now` bounds a day that was written under a wrong clock."""
        self._path = path
        self._budget = budget
        self._unwritten = 0.0
        self._closing = False
        self._failing = False
        self._due = 0.0
        self._changed = threading.Condition()
        day = read_day(path)
        budget.spent, budget.day_ends_at = day.usd, day.day_ends_at
        if now is not None:
            with self._changed:
                self._bound(now)
        self._thread = Worker(self._run, "spending")

    def add(self, usd: float, now: float) -> None:
        """Book the cost of a response. Does not block and does not raise."""
        with self._changed:
            self._roll(now)
            self._budget.spent += usd
            if usd and not self._unwritten:  # else the thread was notified before
                self._changed.notify()
            self._unwritten += usd

    def clock_moved(self, by: float) -> None:
        """Keep what was spent today, after the clock was set by `by` seconds; the day ends within `LONGEST_DAY`."""
        with self._changed:
            self._bound(time.time())

    def _bound(self, now: float) -> None:
        """Count a day that began under a clock that was ahead for today, and write it anew."""
        budget = self._budget
        if budget.day_ends_at > now + LONGEST_DAY:
            budget.day_ends_at = next_midnight(now)
            self._unwritten = budget.spent
            self._changed.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is unwritten, within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.end(timeout)

    def _roll(self, now: float) -> None:
        if now >= self._budget.day_ends_at:
            self._budget.spent = self._unwritten = 0.0
            self._budget.day_ends_at = next_midnight(now)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._unwritten and not self._closing:
                    self._changed.wait()
                if not self._unwritten:
                    return
                self._changed.wait_for(lambda: self._closing, self._due - time.monotonic())
                usd, day_ends_at = self._unwritten, self._budget.day_ends_at
            self._due = time.monotonic() + WRITE_INTERVAL
            written = self._write(usd, day_ends_at)
            with self._changed:
                if written is None and self._closing:
                    return
                if written is None:
                    self._changed.wait(1.0)  # then it is tried again
                elif day_ends_at == self._budget.day_ends_at:
                    self._unwritten -= usd
                    self._budget.spent = written + self._unwritten

    def _write(self, usd: float, day_ends_at: float) -> float | None:
        """Add `usd` to the file, which another proxy may have changed. Return the sum; None if that failed."""
        try:
            with locked(self._path):
                before = read_day(self._path)
                spent = before.usd if before.day_ends_at == day_ends_at else 0.0
                day = Day(spent + usd, day_ends_at)
                write_atomic(self._path, msgspec.json.encode(day) + b"\n")
        except Exception as e:  # the thread goes on, whatever it is
            if not self._failing:
                logger.error("%s can't be written: the cap may be exceeded after a restart: %s",
                             self._path.name, e)  # fmt: skip
            self._failing = True
            return None
        self._failing = False
        return day.usd


def read_day(path: Path) -> Day:
    """Return the content of `spend.json`; nothing is spent without a file, and a broken one is set aside."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Day)
    except FileNotFoundError:
        return Day()
    except OSError as e:
        logger.error("%s can't be read: %s", path, e.strerror)
    except UNREADABLE:
        set_aside(path)
    return Day()


def next_midnight(now: float) -> float:
    """Return the next local midnight, by the calendar: not every day has 24 hours."""
    tomorrow = datetime.fromtimestamp(now).date() + timedelta(days=1)
    return time.mktime(tomorrow.timetuple())
