"""Sessions of all replicas: each has a digest for a name, and of two places of a session the newest counts."""

from __future__ import annotations

import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from neurolink_mitm.core.cluster.rendezvous import Rendezvous
from neurolink_mitm.core.pool.affinity import LIFETIME, Affinity, Name, Place, Session
from neurolink_mitm.core.pool.selection import RoundRobin, SelectionStrategy

CAPACITY = 200_000
"""Sessions with a home in all replicas: 10^5, with two families of models each."""
DIGEST = 12
"""Bytes of a session's digest: with 2 * 10^5 of them, two are equal once in 10^18 times."""
RENEWED = 60.0
"""Seconds in which the use of a session is written once at most."""
LONGEST_VALUE = 600
"""Bytes of a place, as it is written."""


class SharedAffinity(Affinity):
    """As `Affinity`, of all replicas: places that change are `unwritten` until they are in Redis."""

    def __init__(
        self,
        key: bytes,
        known: Callable[[str], bool],
        *,
        alone: Callable[[], bool],
        on_change: Callable[[], None],
        capacity: int = CAPACITY,
    ) -> None:
        """`key` is that of all replicas' digests; `known` tells which accounts there are, by their keys.

        While replicas are `alone`, those that take turns place sessions where the others would, too.
        """
        super().__init__(capacity, LIFETIME)
        self._key = key
        self._known = known
        self._alone = alone
        self._on_change = on_change
        self.unwritten: dict[Name, bool] = {}
        """Names of places to write; whether others should hear of it at once."""
        self._rewritten: list[Name] = []
        """Names that become `unwritten` bit by bit: at once, 10^5 of them would hold up the event loop."""
        self._adopted: OrderedDict[Name, Place] = OrderedDict()
        """Sessions that were kept otherwise: each gets its digest when it is asked for, or bit by bit."""

    def digest(self, session: Session) -> bytes:
        text = "\0".join(session).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, "sha256")[:DIGEST]

    def _named(self, session: Session) -> bytes:
        """Return the name of a session, which has a place by it if it was adopted."""
        name = self.digest(session)
        place = self._adopted.pop(session, None) if self._adopted else None
        if place:
            self._take_in(name, place)
        return name

    def _take_in(self, name: bytes, place: Place) -> None:
        if name not in self._places:
            self._put(name, place)
        self.unwritten.setdefault(name, False)

    def home(self, session: Session | None, now: float) -> str | None:
        return next(iter(self.accounts(session, now)), None)

    def accounts(self, session: Session | None, now: float) -> tuple[str, ...]:
        place = self._place(self._named(session), now) if session else None
        return self._accounts(place) if place else ()

    def _accounts(self, place: Place) -> tuple[str, ...]:
        """Return those of a place that there still are: another replica may have others."""
        keys = (place.home,) if place.home == place.last else (place.home, place.last)
        return tuple(key for key in keys if self._known(key))

    def served(self, session: Session | None, key: str, now: float, *, moves: bool = False) -> None:
        if session is None:
            return
        name = self._named(session)
        before = self._place(name, now)
        accounts = self._accounts(before) if before and not moves else ()
        place = Place(accounts[0] if accounts else key, key, now)
        self._put(name, place)
        changed = before is None or (before.home, before.last) != (place.home, place.last)
        if changed or _turn(name, before.used_at if before else 0.0) != _turn(name, now):
            self.unwritten[name] = changed or self.unwritten.get(name, False)
            self._on_change()

    @property
    def size(self) -> int:
        return len(self._places) + len(self._adopted)

    def forget(self, key: str) -> None:
        """Do nothing: `accounts` leaves out those that are gone."""

    def placing(self, session: Session | None, strategy: SelectionStrategy) -> SelectionStrategy:
        if session is None or not isinstance(strategy, RoundRobin) or not self._alone():
            return strategy
        return Rendezvous(self.digest(session))

    def merge(self, name: bytes, theirs: Place, now: float) -> None:
        """Take over another replica's place of a session, if it is newer."""
        if theirs.used_at > now:  # a clock that is ahead, or was
            theirs = Place(theirs.home, theirs.last, now)
        mine = self._places.get(name)
        if now - theirs.used_at < self._lifetime and (mine is None or _newer(theirs, mine)):
            self._put(name, theirs)

    def write_all(self) -> None:
        """Note that all places are unwritten."""
        self._rewritten = list(self._places)

    @property
    def is_written(self) -> bool:
        return not (self.unwritten or self._rewritten or self._adopted)

    def adopt(self, before: Affinity) -> None:
        """Take over the sessions of this process that were kept otherwise."""
        if isinstance(before, SharedAffinity):
            self._places = before._places if before._key == self._key else self._places
            self._adopted = before._adopted
        else:
            self._adopted = before._places
        self.write_all()

    def batch(self, most: int) -> list[tuple[bytes, Place, bool]]:
        """Return the unwritten places that are written next; whether others should hear of each at once."""
        while self._adopted and len(self.unwritten) < most:
            session, adopted = self._adopted.popitem(last=False)
            assert isinstance(session, tuple)
            self._take_in(self.digest(session), adopted)
        while self._rewritten and len(self.unwritten) < most:
            self.unwritten.setdefault(self._rewritten.pop(), False)
        batch = []
        for name, changed in list(islice(self.unwritten.items(), most)):
            if isinstance(name, bytes) and (place := self._places.get(name)):
                batch.append((name, place, changed))
            else:
                del self.unwritten[name]
        return batch

    def wrote(self, batch: list[tuple[bytes, Place, bool]]) -> None:
        """Note that `batch` is written; what has changed since is not."""
        for name, place, _ in batch:
            if self._places.get(name) in (None, place):
                self.unwritten.pop(name, None)

    def expire(self, now: float, most: int) -> None:
        """Remove places that nobody has used for long, of the oldest `most`."""
        for name, place in list(islice(self._places.items(), most)):
            if now - place.used_at < self._lifetime:
                break
            del self._places[name]
            self.unwritten.pop(name, None)


def _newer(a: Place, b: Place) -> bool:
    """Return whether `a` counts before `b`; equals are told apart, so that all replicas choose the same."""
    return (a.used_at, a.home, a.last) > (b.used_at, b.home, b.last)


def _turn(name: bytes, at: float) -> int:
    """Return a number that is another one each `RENEWED` seconds, of each session at another moment."""
    return int((at + name[0] * RENEWED / 256) // RENEWED)


def place_text(place: Place, to_server: Callable[[float], float]) -> str:
    """Return a place as it is written: milliseconds, home, and last if that is another one."""
    accounts = (place.home,) if place.home == place.last else (place.home, place.last)
    return "\n".join((str(int(to_server(place.used_at) * 1000)), *accounts))


def read_place(
    value: bytes, keys: Mapping[bytes, str], to_ours: Callable[[float], float]
) -> Place | None:
    """Return the place in a value of Redis; None for what is none, or at no account of `keys`."""
    moment, *accounts = value.split(b"\n", 3)
    if len(value) > LONGEST_VALUE or not (moment.isdigit() and len(moment) <= 15):
        return None
    known = [keys[each] for each in accounts[:2] if each in keys]
    if not known:
        return None
    used_at = to_ours(int(moment) / 1000)
    return Place(known[0], known[-1], used_at) if math.isfinite(used_at) else None


def several(flat: list[bytes], size: int) -> Iterator[tuple[bytes, ...]]:
    """Yield a flat list in tuples of `size`; what is left over is dropped."""
    return zip(*[iter(flat)] * size, strict=False)
