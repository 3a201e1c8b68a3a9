"""Where a thread stands: files, lines and names of functions, and no values."""

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
