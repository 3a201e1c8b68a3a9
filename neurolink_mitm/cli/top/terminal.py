"""The terminal of a program that fills the screen: its modes, its signals, and how all of it is put back.

Keys come one by one and unseen, and Ctrl-S does not stop the output. Ctrl-C and Ctrl-Z stay signals.
https://www.gnu.org/software/libc/manual/html_node/Noncanonical-Input.html
"""

from __future__ import annotations

import os
import select
import signal
import termios
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Self

ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The alternate screen, no cursor, no wrapping at the right edge; xterm's control sequences."""
LEAVE = b"\x1b[?7h\x1b[?25h\x1b[?1049l"
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NOTED = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
PATIENCE = 0.2
"""Seconds to wait at the end for a terminal that takes nothing."""
UNKNOWN_SIZE = (80, 24)


class TerminalGoneError(Exception):
    """The terminal was closed."""


class Terminal:
    """Screen and keyboard while `with` lasts. Signals that end the process end the `with` first, by `SystemExit`."""

    def __init__(self, keys: int, screen: int, encoding: str = "utf-8") -> None:
        self._keys, self._screen, self._encoding = keys, screen, encoding
        self._modes: list[Any] = []
        self._handlers: dict[int, Any] = {}
        self._waking, self._wake = os.pipe()
        self._wake_before = -1
        for end in (self._waking, self._wake):
            os.set_blocking(end, False)

    def __enter__(self) -> Self:
        self._modes = termios.tcgetattr(self._keys)
        try:
            for number in ENDING:
                self._handle(number, _end)
            for number in NOTED:
                self._handle(number, _note)
            self._wake_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for number in self._handlers:  # a second Ctrl-C must not leave the terminal as it is
            signal.signal(number, signal.SIG_IGN)
        self._give_back()
        signal.set_wakeup_fd(self._wake_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        with suppress(OSError):
            width, height = os.get_terminal_size(self._screen)
            if width > 0 and height > 0:
                return width, height
        return UNKNOWN_SIZE

    def wake(self) -> None:
        """End `wait`, from any thread."""
        with suppress(OSError):  # full: it wakes up anyway
            os.write(self._wake, b"\0")

    def wait(self, seconds: float) -> bytes:
        """Return what was typed, as soon as there is anything; empty after a wake-up, a signal or `seconds`.

        Raises `TerminalGoneError`.
        """
        ready, _, _ = select.select([self._keys, self._waking], [], [], seconds)
        if self._waking in ready:
            self._follow(os.read(self._waking, 4096))
        if self._keys not in ready:
            return b""
        return self._read()

    def draw(self, lines: Sequence[str]) -> None:
        """Draw a screen; nothing on a terminal that takes nothing now. Raises `TerminalGoneError`."""
        if not select.select([], [self._screen], [], 0)[1]:
            return
        text = "\x1b[H" + "\r\n".join(f"\x1b[2K{line}" for line in lines) + "\x1b[J"
        try:
            self._write(text.encode(self._encoding, "replace"))
        except OSError as e:
            raise TerminalGoneError from e

    def _read(self) -> bytes:
        try:
            data = os.read(self._keys, 4096)
        except OSError as e:
            raise TerminalGoneError from e
        if not data:
            raise TerminalGoneError
        return data

    def _follow(self, numbers: bytes) -> None:
        """Do what signals want; a change of the size only wants that the screen is drawn again."""
        if signal.SIGTSTP in numbers:
            self._stop()
        elif signal.SIGCONT in numbers:  # after a SIGSTOP, a shell may have changed the modes
            self._take()

    def _stop(self) -> None:
        """Give the terminal back, stop as Ctrl-Z does, and take the terminal again when the process goes on."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _note)
        with suppress(termios.error):
            self._modes = termios.tcgetattr(self._keys)
        self._take()

    def _take(self) -> None:
        modes = [*self._modes]
        modes[0] &= ~termios.IXON
        modes[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        modes[6] = [*modes[6]]
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        with suppress(termios.error):
            termios.tcsetattr(self._keys, termios.TCSANOW, modes)
        with suppress(OSError):
            self._write(ENTER)

    def _give_back(self) -> None:
        with suppress(OSError):
            if select.select([], [self._screen], [], PATIENCE)[1]:
                self._write(LEAVE)
        with suppress(termios.error):
            termios.tcsetattr(self._keys, termios.TCSANOW, self._modes)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._screen, data) :]

    def _handle(self, number: int, handler: Any) -> None:
        if signal.getsignal(number) != signal.SIG_IGN:  # by nohup, or a shell without job control
            self._handlers[number] = signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _note(number: int, frame: FrameType | None) -> None:
    """The number comes by the pipe."""
