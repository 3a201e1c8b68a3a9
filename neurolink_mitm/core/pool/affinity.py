"""Session affinity: a session's prompt cache is an account's, and a model's.

So a session has a home for each family of models: one that is limited for Opus stays the home for Haiku.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

import msgspec

from neurolink_mitm.core.pool.families import family_of
from neurolink_mitm.core.pool.selection import SelectionStrategy

CAPACITY = 10_000
"""Sessions with a home account, counted once for each family; the least recently used one is dropped."""
LIFETIME = 3600.0
"""Seconds without a request after which a session has no home: its prompt cache has expired."""
LONGEST_NAME = 64
"""Characters of a model's name that count: clients choose it."""

Session = tuple[str, str]
"""A session and a family of models, or a model of none."""
Name = Session | bytes
"""What a session is kept by: itself, or its digest."""


@lru_cache(maxsize=256)
def group_of(model: str | None) -> str:
    """Return the family of a model, or the model itself where its name tells none."""
    return family_of(model) or (model or "")[:LONGEST_NAME]


class Place(msgspec.Struct, frozen=True, gc=False):  # of 10^5, none has to be looked at for garbage
    """Where a session is: its `home`, and the account that served it `last`, at `used_at`."""

    home: str
    last: str
    used_at: float


class Affinity:
    """A bounded map from session to account keys, least recently used first."""

    def __init__(self, capacity: int = CAPACITY, lifetime: float = LIFETIME) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._places: OrderedDict[Name, Place] = OrderedDict()

    @property
    def size(self) -> int:
        return len(self._places)

    def home(self, session: Session | None, now: float) -> str | None:
        place = self._place(session, now)
        return place.home if place else None

    def accounts(self, session: Session | None, now: float) -> tuple[str, ...]:
        """Return the home of the session, and the account that stands in for it, where its cache is newest."""
        if (place := self._place(session, now)) is None:
            return ()
        return (place.home,) if place.home == place.last else (place.home, place.last)

    def _place(self, session: Name | None, now: float) -> Place | None:
        place = self._places.get(session) if session else None
        return place if place and now - place.used_at < self._lifetime else None

    def served(self, session: Session | None, key: str, now: float, *, moves: bool = False) -> None:
        """Make the account that served the session its home, if it has none or `moves`; else its stand-in."""
        if session is None:
            return
        home = None if moves else self.home(session, now)
        self._put(session, Place(home or key, key, now))

    def _put(self, session: Name, place: Place) -> None:
        self._places[session] = place
        self._places.move_to_end(session)
        if len(self._places) > self._capacity:
            self._places.popitem(last=False)

    def forget(self, key: str) -> None:
        """Remove an account; the sessions at home there are where their stand-in is, or nowhere."""
        for session, place in list(self._places.items()):
            left = [account for account in (place.home, place.last) if account != key]
            if not left:
                del self._places[session]
            elif len(left) == 1:
                self._places[session] = Place(left[0], left[0], place.used_at)

    def placing(self, session: Session | None, strategy: SelectionStrategy) -> SelectionStrategy:
        """Return the strategy that selects the account of a session without one."""
        return strategy
