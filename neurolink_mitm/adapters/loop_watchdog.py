"""Where a thread stands: files, lines and names of functions, and no values.

Measures the event loop's lag, and looks where the loop stands when it stands still.

A beat on the loop notes the time; a thread sees when the beat is overdue, and takes the stack of the loop's thread:
files, lines and names of functions, no values. `re` and other C code may keep the interpreter's lock all the while.
Then the thread comes to look when that is over, if it comes first. So `faulthandler`, which needs no lock, is wound up
now and again, and writes down where all threads stand if that stays out.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.core.status.event_loop import Gap, Lag, Stall

FRAMES = 12
_ROOTS = (
    "site-packages/",
    "dist-packages/",
    "neurolink_mitm/",
    f"lib/python3.{sys.version_info[1]}/",
)
_LINE = re.compile(r'  File "([^"\n]*)", line (\d+) in ([^\n]*)')

Stack = tuple[str, ...]
"""`file:line function`, the innermost first."""


def stack(frame: FrameType | None) -> Stack:
    """Of a thread that is at that frame."""
    found: list[str] = []
    while frame is not None and len(found) < FRAMES:
        code = frame.f_code
        found.append(f"{short(code.co_filename)}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return tuple(found)


def short(path: str) -> str:
    """Without what says where this machine keeps it."""
    for root in _ROOTS:
        _, found, after = path.rpartition(root)
        if found:
            return f"{root}{after}" if root == "neurolink_mitm/" else after
    return os.path.basename(path)


def of_thread(text: str, thread: int) -> Stack:
    """What `faulthandler` has written of a thread, the last time."""
    _, found, after = text.rpartition(f"Thread 0x{thread:016x} ")
    if not found:
        return ()
    lines = _LINE.finditer(after.partition("\n\n")[0])
    return tuple(f"{short(m[1])}:{m[2]} {m[3]}" for m in lines)[:FRAMES]


class Dump:
    """Has `faulthandler` write down where all threads stand, unless it is wound up again before the time is over.

    That needs no lock of the interpreter. What it has written is dropped with the next winding, or kept.
    """

    def __init__(self, path: Path | None) -> None:
        """With None, nothing is ever written. A file that can't be written is no fault."""
        self._path = path
        self._file: IO[str] | None = None
        self._size = 0

    def open(self) -> None:
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._file = open(os.open(self._path, flags, 0o600), "a", encoding="utf-8")  # noqa: SIM115
            self._size = self._now()

    def wind(self, seconds: float) -> None:
        if self._file:
            self._drop()
            faulthandler.dump_traceback_later(seconds, file=self._file)

    def read(self, thread: int) -> Stack:
        """Where that thread stood, by what was written since it was wound up."""
        if self._file is None:
            return ()
        with suppress(OSError):
            data = os.pread(self._file.fileno(), 1 << 20, self._size)
            return of_thread(data.decode(errors="replace"), thread)
        return ()

    def keep(self) -> None:
        """What is written by now stays."""
        with suppress(OSError):
            self._size = self._now()

    def close(self) -> None:
        if self._file is None:
            return
        faulthandler.cancel_dump_traceback_later()
        self._drop()
        with suppress(OSError):
            if not self._now() and self._path:
                self._path.unlink()
        self._file.close()

    def _now(self) -> int:
        return os.fstat(self._file.fileno()).st_size if self._file else 0

    def _drop(self) -> None:
        with suppress(OSError):
            now = self._now()
            if now > self._size and self._file:
                os.ftruncate(self._file.fileno(), self._size)
            self._size = min(self._size, now)  # it is cut when it is too long


logger = logging.getLogger("neurolink.watchdog")

EVERY = 0.1
"""Seconds between two beats of the loop."""
STALL = 0.25
"""Seconds without a beat that are too many."""
LONG = 2.0
"""Seconds after which a stall that goes on is told."""
WIND = 0.3
"""Seconds between two times that `faulthandler` is wound up: each makes a thread."""
DUMP = WIND + STALL
"""Seconds after which it writes."""
HANG = 5.0
"""Seconds of a stall whose stacks of all threads stay in the file."""
TELL = 10.0
"""Seconds between two lines in the log."""
STOP_LIMIT = 5.0
"""Seconds that the end of the thread is waited for."""
PAUSE = 1.0
"""Seconds for which the process has to stand to be called paused."""


@dataclass(frozen=True, slots=True)
class Beat:
    """One turn of the loop: seconds of the monotonic clock, of CPU, and in which its thread waited for one."""

    at: float
    cpu: float
    loop_cpu: float
    starved: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Where the loop stood after `beat`; `in_time`: at work, and the thread had not been held up itself."""

    beat: Beat
    stack: Stack
    others: Stack
    in_time: bool


class LoopWatchdog:
    """Watches the loop that it is started on, until it is stopped."""

    def __init__(
        self,
        lag: Lag,
        dump: Path | None = None,
        *,
        every: float = EVERY,
        stall: float = STALL,
        on_stall: Callable[[Stall], object] = lambda stall: None,
    ) -> None:
        """`dump` is where `faulthandler` writes; `on_stall` is called by the thread for each over `stall` seconds."""
        self._lag = lag
        self._dump = Dump(dump)
        self._every, self._stall = every, stall
        self._on_stall = on_stall
        self._ended = threading.Event()
        self._over: deque[tuple[Beat, Beat]] = deque()
        self._thread: Worker | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = -TELL
        self._untold = 0

    async def run(self) -> None:
        """Watch the running loop until this is cancelled."""
        self.start()
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._schedule = _Schedule(threading.get_native_id())
        self._beat = self._now()
        self._timer = self._loop.call_later(self._every, self._tick)
        self._thread = Worker(self._watch, "watchdog")

    def stop(self) -> None:
        """End. What stalled until now has been told."""
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
            self._over.append((last, self._beat))  # the thread finds out why
        else:
            self._lag.observe(max(0.0, gap - self._every) * 1000)

    def _now(self) -> Beat:
        """To be called by the loop's thread."""
        starved = self._schedule.waited()
        return Beat(time.monotonic(), time.process_time(), time.thread_time(), starved)

    def _watch(self) -> None:
        """In a thread of its own."""
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
                sample = self._look(sample, beat, in_time=now - woken < self._stall)
            while self._over:
                self._judge(*self._over.popleft(), sample)
            if now - beat.at < self._stall and now - wound >= WIND:
                wound = now
                self._dump.wind(DUMP)
            woken = now
        while self._over:
            self._judge(*self._over.popleft(), sample)

    def _look(self, sample: Sample | None, beat: Beat, *, in_time: bool) -> Sample:
        if sample and sample.beat is beat:
            self._tell_long(sample)
            return sample
        frames = sys._current_frames()
        frame = frames.get(self._watched)
        found, in_time = stack(frame), in_time and not _waits(frame)
        mine = (self._watched, threading.get_ident())
        others = (stack(frame)[:1] for ident, frame in frames.items() if ident not in mine)
        return Sample(beat, found, tuple(each[0] for each in others if each), in_time)

    def _tell_long(self, sample: Sample) -> None:
        """Once, of a stall that does not end."""
        stood = time.monotonic() - sample.beat.at
        if LONG <= stood < LONG + 2 * self._every and sample.in_time:
            logger.warning("the event loop has stood still for %.1f s %s", stood, _at(sample.stack))

    def _judge(self, last: Beat, beat: Beat, sample: Sample | None) -> None:
        seen = sample if sample and sample.beat is last else None
        gap = Gap(
            beat.at - last.at,
            beat.cpu - last.cpu,
            beat.loop_cpu - last.loop_cpu,
            beat.starved - last.starved,
            sampled=seen is not None and seen.in_time,
        )
        found = self._seen(seen, gap)
        if gap.cause == "pause" and gap.seconds >= PAUSE:
            self._pause(Stall(time.time(), gap.seconds, found))
            return
        late = gap.late(self._every)
        self._lag.observe(late * 1000)
        own = gap.own(self._every)  # a machine that is too busy is no fault of ours
        if gap.cause != "pause" and own >= self._stall:
            stall = Stall(time.time(), late, found, own)
            self._lag.stalled(stall)
            self._on_stall(stall)
            self._tell(stall, gap.cause == "thread")
            if late > HANG:
                self._dump.keep()

    def _seen(self, sample: Sample | None, gap: Gap) -> Stack:
        """The stack that explains the gap: of the thread that was in time, else what `faulthandler` has written."""
        if gap.cause == "thread":
            return sample.others if sample else ()
        written = () if sample and sample.in_time else self._dump.read(self._watched)
        return written or (sample.stack if sample else ())

    def _pause(self, stall: Stall) -> None:
        self._lag.paused(stall)
        logger.info("the process did not run for %.1f s: stopped, or asleep", stall.seconds)

    def _tell(self, stall: Stall, by_another: bool) -> None:
        """At most one line in some seconds."""
        now = time.monotonic()
        if now - self._told_at < TELL:
            self._untold += 1
            return
        self._told_at = now
        why = "another thread kept it: " if by_another else ""
        more = f" ({self._untold} more since the last such line)" if self._untold else ""
        self._untold = 0
        logger.warning(
            "the event loop stood still for %.2f s %s%s%s",
            stall.seconds,
            why,
            _at(stall.stack),
            more,
        )


class _Schedule:
    """How long a thread was ready to run while others had the CPU; 0 where the system does not say (Linux does).

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
    """Whether the loop has nothing to do: it is late since the machine is."""
    return frame is not None and os.path.basename(frame.f_code.co_filename) == "selectors.py"


def _at(found: Stack) -> str:
    return f"at {' < '.join(found)}" if found else "where nobody saw it"
