"""Call stacks of threads: files, lines and names of functions, no values."""

from __future__ import annotations

import faulthandler
import os
import re
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


def read_thread(text: str, thread: int) -> CallStack:
    """Return the last call stack of a thread in `text`, which `faulthandler` has written."""
    _, found, after = text.rpartition(f"Thread 0x{thread:016x} ")
    if not found:
        return ()
    lines = _LINE.finditer(after.partition("\n\n")[0])
    return tuple(f"{short_path(m[1])}:{m[2]} {m[3]}" for m in lines)[:FRAMES]


class StackDump:
    """A timer of `faulthandler`, which writes the stacks of all threads unless it is restarted in time.

    It needs no lock of the interpreter. What was written is dropped at the next restart, or kept.
    """

    def __init__(self, path: Path | None) -> None:
        """Without `path` nothing is written. A file that can't be written is no fault."""
        self._path = path
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

    def restart(self, seconds: float) -> None:
        """Drop what was written, and write in `seconds` seconds."""
        if self._file:
            self._drop()
            faulthandler.dump_traceback_later(seconds, file=self._file)

    def read(self, thread: int) -> CallStack:
        """Return the call stack of a thread that was written since the last restart."""
        if self._file is None:
            return ()
        with suppress(OSError):
            data = os.pread(self._file.fileno(), 1 << 20, self._size)
            return read_thread(data.decode(errors="replace"), thread)
        return ()

    def keep(self) -> None:
        """Keep what is written by now."""
        with suppress(OSError):
            self._size = self._now()

    def close(self) -> None:
        """Stop the timer; an empty file is removed."""
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
            self._size = min(self._size, now)  # `log_trim` may have cut it
