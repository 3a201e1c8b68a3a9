"""The keys that a terminal sends, from bytes to names."""

from __future__ import annotations

import re

ESCAPE = "escape"
NAMES = {
    "\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down",
    "\x1b[H": "home", "\x1bOH": "home", "\x1b[1~": "home", "\x1b[F": "end", "\x1bOF": "end", "\x1b[4~": "end",
    "\r": "enter", "\n": "enter", "\x03": "q", "\x04": "q",
}  # fmt: skip
"""Sequences of xterm and its like, and Ctrl-C and Ctrl-D where the terminal sends them as characters."""
LONGEST = 64
"""Characters after which a sequence without an end is none."""
_KEY = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[^\[O\x1b])|[^\x1b]", re.DOTALL)
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
"""ECMA-48 5.4: a control sequence has parameters, then intermediate bytes, then one final byte."""


class KeyReader:
    """Bytes in, names of keys out. Sequences that have no name are skipped, however they are split."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def waits(self) -> bool:
        """Whether a sequence has begun, or the Escape key was pressed: `flush` decides."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that are complete; what is no ASCII is no key."""
        text, keys = self._rest + data.decode("ascii", "ignore"), []
        self._rest, at = "", 0
        while at < len(text):
            if match := _KEY.match(text, at):
                keys.append(match[0])
                at = match.end()
            elif _BEGUN.match(text, at) and len(text) - at < LONGEST:
                self._rest, at = text[at:], len(text)
            else:
                keys.append(text[at])
                at += 1
        return [name for each in keys if (name := _name(each))]

    def flush(self) -> list[str]:
        """Return what has come, as nothing followed: the Escape key, or nothing of a sequence that was cut."""
        alone, self._rest = self._rest == "\x1b", ""
        return [ESCAPE] if alone else []


def _name(sequence: str) -> str:
    if sequence == "\x1b":
        return ESCAPE
    return NAMES.get(sequence) or (sequence if sequence.isprintable() else "")
