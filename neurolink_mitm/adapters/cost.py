"""The price table that is shipped with the product.

`spend.json`: what was spent today, counted across restarts and by all proxies of one home.
"""

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


@cache
def shipped_prices() -> Prices:
    """Made from LiteLLM's by `make prices`."""
    table = msgspec.json.decode((files("neurolink_mitm.core.cost") / "prices.json").read_bytes())
    return Prices({name: models for name, models in table.items() if isinstance(models, dict)})


logger = logging.getLogger("neurolink.spending")


EVERY = 2.0
"""Seconds between two writes: each answer that is paid for would cause one, and what a kill loses is no more."""


LONGEST_DAY = 26 * 3600.0
"""Seconds: the longest day of any calendar, and some more."""


class Day(msgspec.Struct, rename="camel"):
    """USD spent in the day that ends at `day_ends_at` (seconds since the epoch, midnight where the user is)."""

    usd: float = 0.0
    day_ends_at: float = 0.0


class Spending:
    """Counts at once what a budget looks at, and writes in a thread of its own."""

    def __init__(self, path: Path, budget: Budget, now: float | None = None) -> None:
        """`now` bounds a day that was written under a wrong clock."""
        self._path = path
        self._budget = budget
        self._unwritten = 0.0
        self._closing = False
        self._failing = False
        self._due = 0.0
        self._changed = threading.Condition()
        known = read_day(path)
        budget.spent, budget.day_ends_at = known.usd, known.day_ends_at
        if now is not None:
            with self._changed:
                self._bound(now)
        self._thread = Worker(self._run, "spending")

    def add(self, usd: float, now: float) -> None:
        """Book what an answer cost. Does not block and does not raise."""
        with self._changed:
            self._roll(now)
            self._budget.spent += usd
            if usd and not self._unwritten:  # else the thread knows already
                self._changed.notify()
            self._unwritten += usd

    def clock_moved(self, by: float) -> None:
        """The clock was set back: what was spent is spent, but the day ends no later than one can."""
        with self._changed:
            self._bound(time.time())

    def _bound(self, now: float) -> None:
        """Of a day that was begun under a clock that was ahead, all is counted for today, and written anew."""
        budget = self._budget
        if budget.day_ends_at > now + LONGEST_DAY:
            budget.day_ends_at = next_midnight(now)
            self._unwritten = budget.spent
            self._changed.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, within `timeout` seconds."""
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
            self._due = time.monotonic() + EVERY
            written = self._write(usd, day_ends_at)
            with self._changed:
                if written is None and self._closing:
                    return
                if written is None:
                    self._changed.wait(1.0)  # what is left is tried again, with what comes
                elif day_ends_at == self._budget.day_ends_at:
                    self._unwritten -= usd
                    self._budget.spent = written + self._unwritten

    def _write(self, usd: float, day_ends_at: float) -> float | None:
        """Add to what the file says, which another proxy may have changed. Returns the sum; None if it failed."""
        try:
            with locked(self._path):
                known = read_day(self._path)
                before = known.usd if known.day_ends_at == day_ends_at else 0.0
                day = Day(before + usd, day_ends_at)
                write_atomic(self._path, msgspec.json.encode(day) + b"\n")
        except Exception as e:  # whatever it is, what comes next is written
            if not self._failing:
                logger.error("%s can't be written: the cap may be exceeded after a restart: %s",
                             self._path.name, e)  # fmt: skip
            self._failing = True
            return None
        self._failing = False
        return day.usd


def read_day(path: Path) -> Day:
    """Nothing spent where there is no file; one that can't be read is set aside."""
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
    """When the day ends where the user is; by the calendar, since not every day has 24 hours."""
    tomorrow = datetime.fromtimestamp(now).date() + timedelta(days=1)
    return time.mktime(tomorrow.timetuple())
