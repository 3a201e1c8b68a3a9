"""The console of a process that serves: stdout, stderr and the log, written in their order by a thread.

A terminal that is stopped, a pipe that nobody reads or a full disk holds up that thread alone. What waits is bounded:
further lines are dropped, and one line says how many.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import select
import sys
import threading
import time
from itertools import groupby
from operator import itemgetter
from typing import TextIO

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.batches import Batches

BACKLOG = 5_000
"""Texts, mostly of one line, that wait to be written; further ones are dropped."""
GATHER = 0.1
"""Seconds in which further lines gather after a write."""
CLOSE_LIMIT = 1.0
"""Seconds in which the waiting texts are written when the process ends."""
_TIME = "%H:%M:%S %Z"
"""The time before a line, as `status` and `logs tail` print it."""
_RETRY = 1.0
"""Seconds between two attempts on an output that was made non-blocking, by a program that shares the terminal."""


_Text = tuple["Output", str]


class Console:
    """Queues texts for the outputs of a process, and never blocks. In a forked child it starts empty."""

    def __init__(self, backlog: int = BACKLOG) -> None:
        self._backlog = backlog
        self._lock = threading.RLock()
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._texts = Batches[_Text](GATHER)
        self._dropped = self._told = 0
        self._thread = Worker(self._run, "console")

    def put(self, output: Output, text: str) -> None:
        """Queue `text`; drop it where too many wait."""
        if len(self._texts) < self._backlog:
            self._texts.put((output, text))
            return
        with self._lock:
            self._dropped += text.count("\n")

    def close(self, timeout: float = CLOSE_LIMIT) -> bool:
        """Write the waiting texts. Return False where that takes more than `timeout` seconds."""
        self._texts.end()
        self._thread.end(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        for texts in self._texts:
            if missing := self._dropped - self._told:  # the queue was full when these came
                texts.append((texts[-1][0], _missing(missing)))
                self._told += missing
            for output, group in groupby(texts, itemgetter(0)):
                output.send("".join(text for _, text in group))


class Output(io.TextIOBase):
    """Stands for stdout or stderr: whole lines go to the console's queue."""

    def __init__(self, console: Console, file: TextIO) -> None:
        self._file = file
        self._descriptor = file.fileno()
        self._console = console
        self._here = threading.local()
        self._lost = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._file.encoding

    def isatty(self) -> bool:
        return self._file.isatty()

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Queue the whole lines of this thread; a line that has begun waits for its end."""
        begun = getattr(self._here, "begun", "")
        lines, end, self._here.begun = (begun + text).rpartition("\n")
        if end:
            self.put(lines + end)
        return len(text)

    def flush(self) -> None:
        """Queue the line that has begun, too."""
        begun = getattr(self._here, "begun", "")
        if begun:
            self._here.begun = ""
            self.put(begun)

    def put(self, text: str) -> None:
        """Queue `text`, one line or more."""
        self._console.put(self, text)

    def send(self, text: str) -> None:
        """Write `text`, for as long as that takes. Where it fails, the next text has a line about it before."""
        lines = text.count("\n")
        data = (_missing(self._lost) * bool(self._lost) + text).encode(
            self.encoding, "backslashreplace"
        )
        try:
            while data:
                data = data[_write(self._descriptor, data) :]
            self._lost = 0
        except OSError:
            self._lost += min(lines, data.count(b"\n"))


class LogHandler(logging.Handler):
    """The log on `output`. `say` takes a line past Python's logging, whose record costs ten times as much."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(logging.Formatter("%(message)s"))
        self._clock = (-1, "")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.say(self.format(record), record.created)
        except Exception:
            self.handleError(record)

    def say(self, line: str, at: float | None = None) -> None:
        """Queue `line` with its time, by default now."""
        second = int(time.time() if at is None else at)
        clock = self._clock
        if second != clock[0]:
            self._clock = clock = second, _time(second)
        self._output.put(f"{clock[1]} {line}\n")


def _time(at: float) -> str:
    return time.strftime(_TIME, time.localtime(at))


def take_over() -> LogHandler | None:
    """Replace `sys.stdout` and `sys.stderr`, and return the handler for the log on stderr; None where that is closed.

    What waits when the process ends, also by an exception, is written then.
    """
    console = Console()
    files = {name: file for name in ("stdout", "stderr") if (file := getattr(sys, name))}
    outputs = {name: Output(console, file) for name, file in files.items()}
    for name, output in outputs.items():
        setattr(sys, name, output)

    def end() -> None:
        for output in outputs.values():
            output.flush()
        if console.close():
            for name, file in files.items():
                setattr(sys, name, file)

    atexit.register(end)
    return LogHandler(outputs["stderr"]) if "stderr" in outputs else None


def _write(descriptor: int, data: bytes) -> int:
    try:  # not through the file, whose lock the interpreter would wait for when it ends
        return os.write(descriptor, data)
    except BlockingIOError:
        select.select([], [descriptor], [], _RETRY)
        return 0


def _missing(lines: int) -> str:
    return f"{_time(time.time())} {lines} lines are missing here: the console took none\n"
