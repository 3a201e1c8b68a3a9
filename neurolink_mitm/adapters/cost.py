"""The shipped price table, and `spend.json`: what all proxies of one home have spent today."""

from __future__ import annotations

import logging
import threading
import time
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.files import locked, read_whole, set_aside, write_atomic
from neurolink_mitm.core.cost.budget import Budget, ClientUse, Sum
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.timestamps import next_midnight

logger = logging.getLogger("neurolink.spending")

WRITE_INTERVAL = 2.0
"""Seconds between two writes; a killed proxy loses the spending of these."""
MOST_CLIENTS = 1_000
"""Clients whose use is kept; beyond that, those that came last."""
MOST_USD = 1e9
"""USD of one request: JSON has no number for infinity, which a price of 1e308 comes to."""
LONGEST_DAY = 26 * 3600.0
"""Seconds; no day is longer, wherever the clocks change."""


@cache
def shipped_prices() -> Prices:
    """Return the shipped table, which `make prices` makes of LiteLLM's."""
    table = msgspec.json.decode((files("neurolink_mitm.core.cost") / "prices.json").read_bytes())
    return Prices({name: models for name, models in table.items() if isinstance(models, dict)})


class Day(msgspec.Struct, rename="camel", omit_defaults=True):
    """USD spent in the day that ends at `day_ends_at` (seconds since the epoch, local midnight), and use by client."""

    usd: Sum = 0.0
    day_ends_at: Sum = 0.0
    clients: dict[str, ClientUse] = msgspec.field(default_factory=dict)
    """By the name of the client key; `today_usd` is of the same day."""
    cluster: Any = None
    """The day of the cluster that this proxy is or was a part of, for `cluster/limits/spending.py`."""

    def add(self, more: Day) -> None:
        """Add what is not written; of an earlier day than `day_ends_at` of `more`, today's sums are dropped."""
        if self.day_ends_at != more.day_ends_at:
            self.begin(more.day_ends_at)
        self.usd += more.usd
        for name, use in more.clients.items():
            self.clients.setdefault(name, ClientUse()).add(use)
        while len(self.clients) > MOST_CLIENTS:
            del self.clients[min(self.clients, key=lambda name: self.clients[name].last_used_at)]

    def begin(self, ends_at: float) -> None:
        """Begin the day that ends at `ends_at`."""
        self.usd, self.day_ends_at = 0.0, ends_at
        for use in self.clients.values():
            use.today_usd = 0.0

    def __bool__(self) -> bool:
        return bool(self.usd or self.clients)


class Spending:
    """Books spending and the use by clients on a budget at once, and writes in a thread of its own."""

    def __init__(
        self, path: Path, budget: Budget, now: float | None = None, *, paid: bool = True
    ) -> None:
        """Read what was spent; `now` bounds a day that was written under a wrong clock.

        `paid` is false in the sandbox, where nothing is paid for: only the use by clients is counted.
        """
        self.path = path
        self._paid = paid
        self._budget = budget
        self._unwritten = Day()
        self._closing = self._writing = False
        self._failing = False
        self._due = 0.0
        self._lent: Worker | None = None
        """Who counts in place of this one, and writes the file."""
        self._changed = threading.Condition()
        self._take(self._read())
        if now is not None:
            with self._changed:
                self._bound(now)
        self._thread = Worker(self._run, "spending")

    def _read(self) -> Day:
        try:
            return read_day(self.path)
        except OSError as e:
            logger.error("%s can't be read: %s", self.path, e.strerror)
            return Day()

    def add(self, usd: float, now: float, client: str | None = None, used: float = 0.0) -> None:
        """Book a request. Does not block and does not raise."""
        usd, used = min(usd, MOST_USD) if self._paid else 0.0, min(used, MOST_USD)
        with self._changed:
            self._roll(now)
            self._budget.spent += usd
            more = Day(usd, self._budget.day_ends_at)
            if client:
                more.clients[client] = ClientUse(used, used, 1, now)
                self._budget.clients.setdefault(client, ClientUse()).add(more.clients[client])
            if more and not self._unwritten:  # else the thread was notified before
                self._changed.notify()
            self._unwritten.add(more)

    def clock_moved(self, by: float) -> None:
        """Keep what was spent today, after the clock was set by `by` seconds; the day ends within `LONGEST_DAY`."""
        with self._changed:
            if self._lent is None:
                self._bound(time.time())

    def lend(self, counts: Worker) -> None:
        """Leave the budget and the file to `counts` until it calls `take_back`."""
        self._lent = counts

    def settle(self, timeout: float = 5.0) -> None:
        """Wait until all is written, for `timeout` seconds at most. Blocks."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._unwritten or self._writing), timeout)

    def take_back(self) -> None:
        """Count again, from what the file has now. Blocks."""
        day = self._read()
        with self._changed:
            self._lent = None
            self._unwritten.day_ends_at = self._budget.day_ends_at
            day.add(self._unwritten)
            self._take(day)

    def _bound(self, now: float) -> None:
        """Count a day that began under a clock that was ahead for today, and write it anew."""
        budget = self._budget
        if budget.day_ends_at > now + LONGEST_DAY:
            budget.day_ends_at = next_midnight(now)
            today = Day(budget.spent if self._paid else 0.0, budget.day_ends_at)
            for name, use in budget.clients.items():
                today.clients[name] = self._unwritten.clients.get(name, ClientUse())
                today.clients[name].today_usd = use.today_usd
            self._unwritten = today
            self._changed.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is unwritten, within `timeout` seconds."""
        if self._lent:
            self._lent.end(timeout)
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.end(timeout)

    def _roll(self, now: float) -> None:
        budget = self._budget
        if now >= budget.day_ends_at:
            day = Day(clients=budget.clients)
            day.begin(next_midnight(now))
            budget.spent, budget.day_ends_at = 0.0, day.day_ends_at
            self._unwritten.begin(day.day_ends_at)

    def _take(self, day: Day) -> None:
        budget = self._budget
        budget.spent = day.usd if self._paid else 0.0
        budget.day_ends_at, budget.clients = day.day_ends_at, day.clients

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._unwritten and not self._closing:
                    self._changed.wait()
                if not self._unwritten:
                    return
                self._changed.wait_for(lambda: self._closing, self._due - time.monotonic())
                day, self._unwritten = self._unwritten, Day(day_ends_at=self._budget.day_ends_at)
                self._writing = True
            self._due = time.monotonic() + WRITE_INTERVAL
            written = self._write(day)
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                newer = self._unwritten
                if written is None:
                    self._unwritten = day
                    self._unwritten.add(newer)
                    if self._closing:
                        return
                    self._changed.wait(1.0)  # then it is tried again
                else:
                    written.add(newer)
                    if self._lent is None:
                        self._take(written)

    def _write(self, day: Day) -> Day | None:
        """Add `day` to the file, which another proxy may have changed. Return the sums; None if that failed."""
        try:
            with locked(self.path):
                whole = read_day(self.path)
                whole.add(day)
                write_atomic(self.path, msgspec.json.encode(whole) + b"\n")
        except Exception as e:  # the thread goes on, whatever it is
            if not self._failing:
                logger.error("%s can't be written: the cap may be exceeded after a restart: %s",
                             self.path.name, e)  # fmt: skip
            self._failing = True
            return None
        self._failing = False
        return whole


def peek_day(path: Path) -> Day:
    """Return the content of `spend.json` as far as it can be read, and leave the file as it is."""
    try:
        return msgspec.json.decode(read_whole(path), type=Day)
    except (OSError, ValueError, *UNREADABLE):
        return Day()


def read_day(path: Path) -> Day:
    """Return the content of `spend.json`; nothing is spent without a file, and a broken one is set aside.

    Raises `OSError` if it can't be read: what it has must not be lost.
    """
    try:
        return msgspec.json.decode(read_whole(path), type=Day)
    except FileNotFoundError:
        return Day()
    except (ValueError, *UNREADABLE):
        set_aside(path)
    return Day()
