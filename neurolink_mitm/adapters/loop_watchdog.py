"""Measures the event loop's lag, and takes the loop's call stack when it stalls.

A beat on the loop notes the time; a thread sees when the beat is overdue, and takes the call stack of the loop's
thread. C code such as `re` may hold the interpreter's lock all the while, so that this thread runs only afterwards.
Therefore a `StackDump`, which needs no lock, is restarted every `DUMP_EVERY` seconds, and writes if that stays out
while the process uses the CPU.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.call_stacks import CallStack, StackDump, call_stack
from neurolink_mitm.core.status.event_loop import Gap, Lag, Stall

logger = logging.getLogger("neurolink.watchdog")

EVERY = 0.1
"""Seconds between two beats of the loop."""
STALL = 0.25
"""Seconds without a beat that are a stall."""
LONG = 2.0
"""Seconds after which a stall that goes on is logged."""
DUMP_EVERY = 0.3
"""Seconds between two restarts of the stack dump."""
DUMP_AFTER = DUMP_EVERY + STALL
"""Seconds of CPU time after which the stack dump writes."""
HANG = 5.0
"""Seconds of a stall after which its stack dump is kept."""
LOG_EVERY = 10.0
"""Seconds between two lines in the log."""
STOP_LIMIT = 5.0
"""Seconds for the thread to end."""
PAUSE = 1.0
"""Seconds in which the process did not run that are logged as a pause."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One beat of the loop, in seconds: monotonic clock, CPU of process and thread, and the thread's wait for a CPU."""

    at: float
    cpu: float
    loop_cpu: float
    starved: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The loop's call stack after `beat`. `on_time`: the loop was at work, and the watchdog not held up itself."""

    beat: Beat
    stack: CallStack
    others: CallStack
    on_time: bool


class LoopWatchdog:
    """Watches the event loop that it is started on."""

    def __init__(
        self,
        lag: Lag,
        dump: Path | None = None,
        *,
        every: float = EVERY,
        stall: float = STALL,
        on_stall: Callable[[Stall], object] = lambda stall: None,
    ) -> None:
        """`dump` is the file of stack dumps; the thread calls `on_stall` for each stall over `stall` seconds."""
        self._lag = lag
        self._dump = StackDump(dump)
        self._every, self._stall = every, stall
        self._on_stall = on_stall
        self._ended = threading.Event()
        self._over: deque[tuple[Beat, Beat]] = deque()
        self._thread: Worker | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._logged_at = -LOG_EVERY
        self._unlogged = 0

    async def run(self) -> None:
        """Watch the running loop until this is cancelled."""
        self.start()
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()

    def start(self) -> None:
        """Watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._schedule = _Schedule(threading.get_native_id())
        self._beat = self._now()
        self._timer = self._loop.call_later(self._every, self._tick)
        self._thread = Worker(self._watch, "watchdog")

    def stop(self) -> None:
        """Stop watching; stalls until now are logged."""
        if self._thread is None:
            return
        if self._timer:
            self._timer.cancel()
        self._ended.set()
        self._thread.end(STOP_LIMIT)
        self._thread = None
        self._schedule.close()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._every, self._tick)
        last, self._beat = self._beat, self._now()
        gap = self._beat.at - last.at
        if gap > self._stall:
            self._over.append((last, self._beat))  # the thread explains it
        else:
            self._lag.observe(max(0.0, gap - self._every) * 1000)

    def _now(self) -> Beat:
        """Return a beat; called by the loop's thread."""
        starved = self._schedule.waited()
        return Beat(time.monotonic(), time.process_time(), time.thread_time(), starved)

    def _watch(self) -> None:
        """The watchdog's thread."""
        self._dump.open()
        try:
            self._watch_beats()
        finally:
            self._dump.close()

    def _watch_beats(self) -> None:
        sample: Sample | None = None
        woken, wound = time.monotonic(), 0.0
        while not self._ended.wait(self._every):
            now = time.monotonic()
            beat = self._beat
            if now - beat.at > self._every + self._stall / 5:
                sample = self._look(sample, beat, on_time=now - woken < self._stall)
            while self._over:
                self._judge(*self._over.popleft(), sample)
            if now - beat.at < self._stall and now - wound >= DUMP_EVERY:
                wound = now
                self._dump.restart(DUMP_AFTER)
            woken = now
        while self._over:
            self._judge(*self._over.popleft(), sample)

    def _look(self, sample: Sample | None, beat: Beat, *, on_time: bool) -> Sample:
        if sample and sample.beat is beat:
            self._log_long(sample)
            return sample
        frames = sys._current_frames()
        frame = frames.get(self._watched)
        on_time = on_time and not _waits(frame)
        mine = (self._watched, threading.get_ident())
        others = (call_stack(frame)[:1] for ident, frame in frames.items() if ident not in mine)
        return Sample(beat, call_stack(frame), tuple(each[0] for each in others if each), on_time)

    def _log_long(self, sample: Sample) -> None:
        """Log a stall that goes on, once."""
        stood = time.monotonic() - sample.beat.at
        if LONG <= stood < LONG + 2 * self._every and sample.on_time:
            logger.warning("the event loop has stood still for %.1f s %s", stood, _at(sample.stack))

    def _judge(self, last: Beat, beat: Beat, sample: Sample | None) -> None:
        own_sample = sample if sample and sample.beat is last else None
        gap = Gap(
            beat.at - last.at,
            beat.cpu - last.cpu,
            beat.loop_cpu - last.loop_cpu,
            beat.starved - last.starved,
            sampled=own_sample is not None and own_sample.on_time,
        )
        stack = self._explain(own_sample, gap)
        if gap.cause == "pause" and gap.seconds >= PAUSE:
            self._pause(Stall(time.time(), gap.seconds, stack))
            return
        late = gap.late(self._every)
        self._lag.observe(late * 1000)
        own = gap.own(self._every)  # a machine that is too busy is no fault of ours
        if gap.cause != "pause" and own >= self._stall:
            stall = Stall(time.time(), late, stack, own)
            self._lag.stalled(stall)
            self._on_stall(stall)
            self._log(stall, gap.cause == "thread")
            if late > HANG:
                self._dump.keep()

    def _explain(self, sample: Sample | None, gap: Gap) -> CallStack:
        """Return the call stack that explains `gap`: the sample if it was on time, else that of the stack dump."""
        if gap.cause == "thread":
            return sample.others if sample else ()
        written = () if sample and sample.on_time else self._dump.read()
        return written or (sample.stack if sample else ())

    def _pause(self, stall: Stall) -> None:
        self._lag.paused(stall)
        logger.info("the process did not run for %.1f s: stopped, or asleep", stall.seconds)

    def _log(self, stall: Stall, by_another: bool) -> None:
        """Log a stall, at most one in `LOG_EVERY` seconds."""
        now = time.monotonic()
        if now - self._logged_at < LOG_EVERY:
            self._unlogged += 1
            return
        self._logged_at = now
        why = "another thread kept it: " if by_another else ""
        more = f" ({self._unlogged} more since the last such line)" if self._unlogged else ""
        self._unlogged = 0
        logger.warning(
            "the event loop stood still for %.2f s %s%s%s",
            stall.seconds,
            why,
            _at(stall.stack),
            more,
        )


class _Schedule:
    """Reads how long a thread was ready to run while others had the CPU; 0 on systems other than Linux.

    https://docs.kernel.org/scheduler/sched-stats.html
    """

    def __init__(self, thread: int) -> None:
        try:
            self._file: IO[bytes] | None = open(f"/proc/self/task/{thread}/schedstat", "rb", 0)  # noqa: SIM115
        except OSError:
            self._file = None

    def waited(self) -> float:
        try:
            return int(os.pread(self._file.fileno(), 100, 0).split()[1]) / 1e9 if self._file else 0
        except (OSError, ValueError, IndexError):
            return 0.0

    def close(self) -> None:
        if self._file:
            self._file.close()


def _waits(frame: FrameType | None) -> bool:
    """Return whether the loop is idle: then it is late because the machine is."""
    return frame is not None and os.path.basename(frame.f_code.co_filename) == "selectors.py"


def _at(stack: CallStack) -> str:
    return f"at {' < '.join(stack)}" if stack else "where nobody saw it"
