"""Session affinity: the home account of each session, where its prompt cache is."""

from __future__ import annotations

from collections import OrderedDict

CAPACITY = 10_000
"""Sessions that have a home; the least recently used one loses it first."""
LIFETIME = 3600.0
"""Seconds without a request after which a session has no home: its prompt cache upstream has expired."""


class Affinity:
    """A bounded map from session to account key, least recently used first."""

    def __init__(self, capacity: int = CAPACITY, lifetime: float = LIFETIME) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._homes: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def home(self, session: str | None, now: float) -> str | None:
        """Return the key of the session's home account, if it has one."""
        if session is None or (home := self._homes.get(session)) is None:
            return None
        key, used_at = home
        return key if now - used_at < self._lifetime else None

    def served(self, session: str | None, key: str, now: float, *, moves: bool = False) -> None:
        """Note that an account served the session. It becomes the home if there is none, or if the session `moves`."""
        if session is None:
            return
        home = None if moves else self.home(session, now)
        self._homes[session] = (home or key, now)
        self._homes.move_to_end(session)
        if len(self._homes) > self._capacity:
            self._homes.popitem(last=False)

    def forget(self, key: str) -> None:
        """Remove an account; its sessions have no home then."""
        for session in [s for s, (home, _) in self._homes.items() if home == key]:
            del self._homes[session]
