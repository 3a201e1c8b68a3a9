"""What takes seconds: in a thread of its own, once for all who wait for it, and kept until it is done anew."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.dashboard.failures import BusyError, log_failure
from neurolink_mitm.dataplane.threads import short_switch_interval

KEPT = 12
"""Results that are kept."""


class StoppedError(Exception):
    """The proxy stops: nobody waits for the result."""


@dataclass
class Job:
    """A piece of work, running or done. `Jobs` writes it; any thread reads it."""

    name: str
    asked_at: float
    """Seconds since the epoch; so is `done_at`."""
    stopping: threading.Event = field(repr=False)
    done_at: float | None = None
    result: Any = None
    failed: bool = False
    share: float = 0.0
    """How much of it is done, of 1."""
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def running(self) -> bool:
        return not self.ended.is_set()

    def advance(self, share: float) -> None:
        """Note how much is done. Raises `StoppedError`."""
        self.share = share
        if self.stopping.is_set():
            raise StoppedError


class Jobs:
    """The jobs of a dashboard: those of one kind one after the other. A job's name is `KIND` or `KIND:MORE`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._stopping = threading.Event()

    def find(self, name: str) -> Job | None:
        """Return the latest job of this name, running or done."""
        return self._jobs.get(name)

    def start(self, name: str, work: Callable[[Job], Any]) -> Job:
        """Begin a job, or return the one of this name that runs."""
        with self._lock:
            job = self._jobs.get(name)
            if job is not None and job.running:
                return job
            kind = name.partition(":")[0]
            turn = self._turns.setdefault(kind, threading.Lock())
            job = self._jobs[name] = Job(name, self._clock(), self._stopping)
            self._jobs.move_to_end(name)
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        thread = threading.Thread(
            target=self._run, args=(job, turn, work), name=f"dashboard {kind}", daemon=True
        )
        thread.start()
        return job

    def stop(self) -> None:
        """End the jobs that run."""
        self._stopping.set()

    def _run(self, job: Job, turn: threading.Lock, work: Callable[[Job], Any]) -> None:
        try:
            with turn, short_switch_interval():
                job.result = work(job)
        except (StoppedError, BusyError):  # the next one who asks begins anew
            job.failed = True
        except Exception:
            log_failure(f"the dashboard can't do this: {job.name}")
            job.failed = True
        job.done_at = self._clock()
        job.ended.set()
