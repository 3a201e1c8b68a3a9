"""Entries as Redis has them: version, generation, and the content with its time, sealed for its place."""

from __future__ import annotations

import msgspec

from neurolink_mitm.cluster.home.entry_kinds import Kind
from neurolink_mitm.cluster.home.seal import BrokenSealError, OtherKeyError, Sealer
from neurolink_mitm.core.cluster.merge import MOST_GENERATIONS, Decision, Remote
from neurolink_mitm.core.json_errors import UNREADABLE

LONGEST_ENTRY = 65_536
"""Bytes of an entry; a longer one was not written by a replica."""


class _Sealed(msgspec.Struct, array_like=True):
    version: int
    generation: int
    sealed: bytes


class _Plain(msgspec.Struct, array_like=True):
    changed_at: float
    content: bytes | None
    spent: tuple[str, ...] = ()
    """Digests of the tokens before those of `content`."""


class SealedEntries:
    """Seals and opens entries; what was opened is kept, since most stay the same from one reading to the next."""

    def __init__(self, sealer: Sealer) -> None:
        self.keys_in_use: frozenset[bytes] = frozenset()
        """Ids of the keys that replicas use now."""
        self._sealer = sealer
        self._opened: dict[tuple[str, str], tuple[bytes, Remote]] = {}

    @property
    def key_id(self) -> bytes:
        return self._sealer.key_id

    def seal(self, kind: Kind, name: str, decision: Decision) -> bytes:
        """Return the entry that `decision` writes."""
        plain = _Plain(decision.changed_at, decision.content, decision.spent)
        place = (kind.name, name, decision.generation)
        sealed = self._sealer.seal(place, msgspec.msgpack.encode(plain), hidden=kind.hidden)
        return msgspec.msgpack.encode(_Sealed(1, decision.generation, sealed))

    def open(self, kind: Kind, name: str, raw: bytes | None) -> Remote | None:
        """Return what Redis has of an entry; None for what no replica has written. Raises `OtherKeyError`."""
        if raw is None:
            return None
        before = self._opened.get((kind.name, name))
        if before and before[0] == raw:
            return before[1]
        try:
            remote = self._open(kind, name, raw)
        except OtherKeyError as e:
            if e.key_id in self.keys_in_use:
                raise
            return None  # all have another key since
        except (ValueError, *UNREADABLE):
            return None
        self._opened[kind.name, name] = raw, remote
        return remote

    def _open(self, kind: Kind, name: str, raw: bytes) -> Remote:
        if len(raw) > LONGEST_ENTRY:
            raise BrokenSealError("too long")
        entry = msgspec.msgpack.decode(raw, type=_Sealed)
        if not 0 < entry.generation <= MOST_GENERATIONS:
            raise BrokenSealError("no generation")
        place = (kind.name, name, entry.generation)
        plain = msgspec.msgpack.decode(
            self._sealer.open(place, entry.sealed, hidden=kind.hidden), type=_Plain
        )
        if plain.content is not None:
            kind.check(name, plain.content)
        return Remote(entry.generation, plain.changed_at, plain.content, plain.spent)
