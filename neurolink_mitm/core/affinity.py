"""Which account each session is at home on, so that it finds its prompt cache there again."""

from __future__ import annotations

from collections import OrderedDict

CAPACITY = 10_000
LIFETIME = 3600.0
"""Seconds without a request after which nothing of a session is cached upstream any more."""


class Affinity:
    """A bounded map from session to account key, least recently used first."""

    def __init__(self, capacity: int = CAPACITY, lifetime: float = LIFETIME) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._homes: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def home(self, session: str | None, now: float) -> str | None:
        """The session's account, if it has one still."""
        if session is None or (found := self._homes.get(session)) is None:
            return None
        key, seen_at = found
        return key if now - seen_at < self._lifetime else None

    def served(self, session: str | None, key: str, now: float, *, moves: bool = False) -> None:
        """The session was answered by this account. A home is kept while others stand in for it, unless it `moves`."""
        if session is None:
            return
        home = None if moves else self.home(session, now)
        self._homes[session] = (home or key, now)
        self._homes.move_to_end(session)
        if len(self._homes) > self._capacity:
            self._homes.popitem(last=False)

    def forget(self, key: str) -> None:
        """The account is gone: its sessions have no home."""
        for session in [s for s, (home, _) in self._homes.items() if home == key]:
            del self._homes[session]
