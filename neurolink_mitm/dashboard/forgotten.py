"""What an action has taken away, for its undo: it stays in this process, and is taken once."""

from __future__ import annotations

import secrets
from threading import Lock
from typing import Any

MOST = 100
"""Entries; the oldest goes."""


class Forgotten:
    """Values by a name that nobody guesses."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lock = Lock()

    def keep(self, value: Any) -> str:
        """Return the name of a value."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._values[name] = value
            while len(self._values) > MOST:
                del self._values[next(iter(self._values))]
        return name

    def take(self, name: str) -> Any:
        """Return the value of that name; None if it was taken, or is gone."""
        with self._lock:
            return self._values.pop(name, None)
