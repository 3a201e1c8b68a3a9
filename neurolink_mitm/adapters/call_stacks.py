"""Call stacks of threads: files, lines and names of functions, no values."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO

FRAMES = 12
"""Frames of a stack at most."""
_ROOTS = (
    "site-packages/",
    "dist-packages/",
    "neurolink_mitm/",
    f"lib/python3.{sys.version_info[1]}/",
)
_LINE = re.compile(r'  File "([^"\n]*)", line (\d+) in ([^\n]*)')

_BEGIN = "(most recent call first):\n"

CallStack = tuple[str, ...]
"""`file:line function`, the innermost first."""


def call_stack(frame: FrameType | None) -> CallStack:
    """Return the call stack that `frame` is the innermost frame of."""
    frames: list[str] = []
    while frame is not None and len(frames) < FRAMES:
        code = frame.f_code
        frames.append(f"{short_path(code.co_filename)}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return tuple(frames)


def short_path(path: str) -> str:
    """Return `path` without the folders of this machine."""
    for root in _ROOTS:
        _, found, after = path.rpartition(root)
        if found:
            return f"{root}{after}" if root == "neurolink_mitm/" else after
    return os.path.basename(path)


def read_stack(text: str) -> CallStack:
    """Return the last call stack in `text`, which `faulthandler` has written."""
    lines = _LINE.finditer(text.rpartition(_BEGIN)[2])
    return tuple(f"{short_path(m[1])}:{m[2]} {m[3]}" for m in lines)[:FRAMES]


class StackDump:
    """A timer which writes the call stack of the thread that uses the CPU, unless it is restarted in time.

    It writes within that thread, on a signal, and needs no lock of the interpreter. The timer of `faulthandler`
    is no choice: from a thread of its own it reads frames that are changing, and crashes the process now and then.
    What was written is dropped at the next restart, or kept.
    """

    def __init__(self, path: Path | None) -> None:
        """Without `path`, or signals of timers (Windows), nothing is written. Neither is a file that can't be."""
        self._path = path if hasattr(signal, "setitimer") else None
        self._file: IO[str] | None = None
        self._size = 0

    def open(self) -> None:
        """Open the file."""
        if self._path is None:
            return
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._file = open(os.open(self._path, flags, 0o600), "a", encoding="utf-8")  # noqa: SIM115
            self._size = self._now()
            faulthandler.register(signal.SIGPROF, self._file, all_threads=False)

    def restart(self, seconds: float) -> None:
        """Drop what was written, and write once the process has used the CPU for `seconds`."""
        if self._file:
            self._drop()
            signal.setitimer(signal.ITIMER_PROF, seconds)

    def read(self) -> CallStack:
        """Return the call stack that was written since the last restart."""
        if self._file is None:
            return ()
        with suppress(OSError):
            data = os.pread(self._file.fileno(), 1 << 20, self._size)
            return read_stack(data.decode(errors="replace"))
        return ()

    def keep(self) -> None:
        """Keep what is written by now."""
        with suppress(OSError):
            self._size = self._now()

    def close(self) -> None:
        """Stop the timer; an empty file is removed."""
        if self._file is None:
            return
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.unregister(signal.SIGPROF)
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
            self._size = min(self._size, now)  # `log_trim` may have cut it
