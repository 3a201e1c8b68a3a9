"""Brings a home and Redis in step: changes made here go there, those of other replicas come here.

The files of the home stay what its pool is made of; a running proxy follows them as always. So what was changed while
no proxy ran, or while Redis was away, is found by comparison, and every home can fill an empty Redis again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.adapters.token_store import TokenStoreError
from neurolink_mitm.cluster.home.entry_kinds import Changes, Kind
from neurolink_mitm.cluster.home.seal import OtherKeyError, Sealer
from neurolink_mitm.cluster.home.sealed_entries import LONGEST_ENTRY, SealedEntries
from neurolink_mitm.cluster.home.synced_file import SyncedFile
from neurolink_mitm.cluster.redis.blocking_link import BlockingLink
from neurolink_mitm.cluster.redis.link import AwayError, RefusedError
from neurolink_mitm.core.cluster.merge import (
    Decision,
    Remote,
    Synced,
    decide,
    in_step,
    is_other_account,
    spent_by,
)
from neurolink_mitm.core.cluster.offset import Offset

ROUNDS = 5
"""Readings of one run: more than one where other replicas change the same entries meanwhile."""
MOST_ENTRIES = 5_000
MOST_BYTES = 3_000_000
"""Of a kind, and of all kinds together; what is more was not written by replicas."""
AT_ONCE = 40
"""Entries that are asked for by name at once: those of the greatest length are one answer."""
FORGOTTEN = 90 * 86_400.0
"""Seconds after which a removal is forgotten: a home that was away for longer may bring the entry back."""
KEY_IN_USE = 75.0
"""Seconds after which nobody uses a key that was not used: a replica uses its own twice a minute."""
OTHER_KEY = "sealed with another key: copy cluster.key"
OTHER_ACCOUNT = (
    "another account than here: log in under another label here, and log out of this one"
)
NOT_WRITTEN = "newer in Redis, and can't be written here"
SETTLED = 3.0
"""Seconds after which every replica has written back what it has to an empty Redis, or to one that was away."""


@dataclass
class _Reading:
    """What Redis has, as it was read."""

    now: float
    since: float
    counter: bytes
    raw: Mapping[str, dict[str, bytes]] = field(default_factory=dict)


class Sync:
    """Brings one home in step, in whatever thread asks for it. One process of the home at a time."""

    def __init__(
        self,
        link: BlockingLink,
        sealer: Sealer,
        kinds: Sequence[Kind],
        synced_file: SyncedFile,
        replica: str,
    ) -> None:
        self.counter = b""
        """What Redis' counter was when this home was last in step."""
        self.problems: tuple[str, ...] = ()
        """What is not in step, and why, as of the last run."""
        self.settle_time = SETTLED
        self._link = link
        self._entries = SealedEntries(sealer)
        self._kinds = kinds
        self._synced_file = synced_file
        self._replica = replica
        self._offset = Offset()
        self._busy = threading.Lock()
        self._obstacles: dict[tuple[str, str], str] = {}
        self._noted: dict[str, str] = {}
        self._answers_since: float | None = None
        self._young_until = 0.0

    def run(self) -> bool:
        """Bring all in step. Return whether that came to an end; what stands in the way is reported.

        Raises `AwayError`.
        """
        done = False
        with self._busy:
            try:
                with self._synced_file.lock():
                    done = any(not self._round() for _ in range(ROUNDS))
            except (AwayError, RefusedError) as e:
                self._answers_since = None
                raise AwayError(str(e)) from e
            except OSError as e:
                self._noted["home"] = f"{e.filename or 'the home'}: {e.strerror or e}"
            self.problems = tuple(self._noted.values())
        return done

    @property
    def settled(self) -> bool:
        """Whether all replicas that are there have written back what they know, after Redis was away or emptied."""
        now = time.monotonic()
        since = self._answers_since
        return since is not None and now >= max(since, self._young_until)

    def lost(self) -> None:
        """Note that Redis was away: others may have changes that it has not seen."""
        self._answers_since = None

    def obstacle(self, kind: str, name: str) -> str | None:
        """Return why this home does not have what the others have of an entry."""
        return self._obstacles.get((kind, name))

    def _round(self) -> bool:
        """Compare once. Return whether somebody else was quicker, so that it has to be done again."""
        self._noted = {}
        last = self._synced_file.load()
        again = False
        obstacles: dict[tuple[str, str], str] = {}
        reading = self._read(last)
        for kind in self._kinds:
            try:
                again |= self._bring(kind, reading, last, obstacles)
            except (ValueError, OSError, TokenStoreError) as e:
                self._noted[kind.name] = f"{kind.name} are not shared: {e}"
        self._obstacles = obstacles
        self._synced_file.save(last)
        self.counter = reading.counter
        return again

    def _read(self, last: Mapping[str, Mapping[str, Synced]]) -> _Reading:
        before = time.time()
        now, since, counter, keys, *flats = self._link.script(
            "entries",
            ["since", "counter", "keys", *(kind.name for kind in self._kinds)],
            [MOST_ENTRIES, MOST_BYTES, self._entries.key_id, KEY_IN_USE],
        )
        self._entries.keys_in_use = frozenset(keys)
        self._offset.measured(float(now), before, time.time())
        reading = _Reading(float(now), _number(since), counter)
        self._note_contact(reading)
        raw: dict[str, dict[str, bytes]] = {}
        for kind, flat in zip(self._kinds, flats, strict=True):
            if not isinstance(flat, list):
                self._noted[f"many {kind.name}"] = (
                    f"Redis holds more {kind.name} than replicas have: only those of this home are read"
                )
                flat = self._some(kind, last.get(kind.name, {}))
            raw[kind.name] = _pairs(flat)
        reading.raw = raw
        return reading

    def _some(self, kind: Kind, synced: Iterable[str]) -> list[Any]:
        names = sorted({*synced, *(kind.read() or {})})
        flat: list[Any] = []
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            flat += self._link.script("some_entries", [kind.name], [LONGEST_ENTRY, *some])
        return flat

    def _note_contact(self, reading: _Reading) -> None:
        now = time.monotonic()
        if self._answers_since is None:
            first = not self._young_until
            # a replica that starts has nothing that others wait for
            self._answers_since = now if first else now + self.settle_time
        age = reading.now - reading.since
        self._young_until = now + self.settle_time - age if 0 <= age < self.settle_time else now

    def _bring(
        self,
        kind: Kind,
        reading: _Reading,
        last: dict[str, dict[str, Synced]],
        obstacles: dict[tuple[str, str], str],
    ) -> bool:
        local, synced = kind.read(), last.get(kind.name, {})
        if local is None:  # a missing file says nothing of what was removed
            local, synced = {}, {}
        raw = reading.raw[kind.name]
        remotes, otherwise_sealed = self._remotes(kind, {*local, *synced, *raw}, raw)
        at = min(self._changed_at(kind), reading.now)
        decisions: dict[str, Decision] = {}
        strangers = self._strangers(kind, remotes, local, synced)
        for name, remote in remotes.items():
            if name in strangers:
                continue
            decision = decide(local.get(name), remote, synced.get(name), at, kind.newer)
            if decision is None:
                continue
            if decision.content is not None or reading.now - decision.changed_at <= FORGOTTEN:
                decisions[name] = decision
            elif name in raw:
                self._put(kind, name, raw[name], b"")
        done, again = self._carry_out(kind, decisions, local, raw)
        unwritten = [name for name, each in decisions.items() if each.pull and name not in done]
        obstacles.update({(kind.name, name): OTHER_KEY for name in otherwise_sealed})
        obstacles.update({(kind.name, name): OTHER_ACCOUNT for name in strangers})
        obstacles.update({(kind.name, name): NOT_WRITTEN for name in unwritten})
        left = {name: synced[name] for name in (*otherwise_sealed, *decisions) if name in synced}
        last[kind.name] = left | {name: in_step(decisions[name]) for name in done}
        return again

    def _strangers(
        self,
        kind: Kind,
        remotes: Mapping[str, Remote | None],
        local: Mapping[str, bytes],
        synced: Mapping[str, Synced],
    ) -> list[str]:
        """Return the labels that a home which has joined uses for another account: both stay as they are."""
        strangers = []
        for name, remote in remotes.items():
            before = self._obstacles.get((kind.name, name)) == OTHER_ACCOUNT
            content = remote.content if remote else None
            if name in synced or name not in local:
                continue
            # emptied since: the others write back what is theirs
            if is_other_account(local[name], content) or (before and remote is None):
                strangers.append(name)
        self._note(kind, strangers, OTHER_ACCOUNT)
        return strangers

    def _remotes(
        self, kind: Kind, names: Iterable[str], raw: Mapping[str, bytes]
    ) -> tuple[dict[str, Remote | None], list[str]]:
        """Return what Redis has of each entry, and the names of those that are sealed with another key."""
        remotes: dict[str, Remote | None] = {}
        otherwise_sealed: list[str] = []
        for name in sorted(names):
            try:
                remotes[name] = self._entries.open(kind, name, raw.get(name))
            except OtherKeyError:
                otherwise_sealed.append(name)
        self._note(kind, otherwise_sealed, OTHER_KEY)
        strange = [name for name, remote in remotes.items() if remote is None and name in raw]
        self._note(kind, strange, "not written by a replica, and ignored")
        return remotes, otherwise_sealed

    def _carry_out(
        self,
        kind: Kind,
        decisions: Mapping[str, Decision],
        local: Mapping[str, bytes],
        raw: Mapping[str, bytes],
    ) -> tuple[set[str], bool]:
        """Write what is new here and there. Return what is in step now, and whether to look again at the rest."""
        pulled, again = self._pulled(kind, decisions, local)
        done = set()
        for name, decision in decisions.items():
            if decision.pull and name not in pulled:
                continue
            if decision.push and not self._push(kind, name, raw.get(name), decision):
                again = True
                continue
            done.add(name)
        return done, again

    def _pulled(
        self, kind: Kind, decisions: Mapping[str, Decision], local: Mapping[str, bytes]
    ) -> tuple[set[str], bool]:
        """Write what is new to the home. A full disk does not keep changes made here from the others."""
        pulls: Changes = {
            name: (local.get(name), decision.content)
            for name, decision in decisions.items()
            if decision.pull
        }
        if not pulls:
            return set(), False
        try:
            pulled = kind.write(pulls)
        except (ValueError, OSError, TokenStoreError) as e:
            self._noted[f"write {kind.name}"] = f"{kind.name} of other replicas: {e}"
            return set(), False
        return pulled, len(pulled) < len(pulls)

    def hand_over(
        self, kind: Kind, name: str, content: bytes, instead_of: bytes | None = None
    ) -> None:
        """Write an entry to Redis before the home has it, as a change of now; where given, only `instead_of` that one.

        Raises `AwayError`.
        """
        with self._busy:
            try:
                before = _pairs(
                    self._link.script("some_entries", [kind.name], [LONGEST_ENTRY, name])
                ).get(name)
                remote = self._entries.open(kind, name, before)
                if instead_of is not None and remote and remote.content != instead_of:
                    raise AwayError("it has changed")
                synced = self._synced_file.load().get(kind.name, {}).get(name)
                generations = [each.generation for each in (remote, synced) if each]
                at = self._offset.to_server(time.time())
                generation = max(generations, default=0) + 1
                spent = spent_by(content, remote, synced)
                decision = Decision(content, generation, at, push=True, spent=spent)
                if not self._push(kind, name, before, decision):
                    raise AwayError("another replica was quicker")
            except (RefusedError, OSError, OtherKeyError) as e:
                raise AwayError(str(e)) from e

    def _push(self, kind: Kind, name: str, before: bytes | None, decision: Decision) -> bool:
        entry = self._entries.seal(kind, name, decision)
        if len(entry) > LONGEST_ENTRY:
            self._note(kind, [name], "too long to be shared")
            return True
        return self._put(kind, name, before, entry)

    def _put(self, kind: Kind, name: str, before: bytes | None, entry: bytes) -> bool:
        seen = "" if before is None else hashlib.sha1(before, usedforsecurity=False).hexdigest()
        arguments: list[object] = [name, seen, entry, self._link.channel, self._replica, kind.name]
        arguments.append(LONGEST_ENTRY)
        return bool(self._link.script("put_entry", [kind.name, "counter"], arguments))

    def _changed_at(self, kind: Kind) -> float:
        """Return when the kind's file was written, by Redis' clock."""
        written = 0.0
        for path in kind.paths:
            with suppress(OSError):
                written = max(written, path.stat().st_mtime)
        return self._offset.to_server(written or time.time())

    def _note(self, kind: Kind, names: Sequence[str], what: str) -> None:
        """Note one problem of several entries: Redis may hold any number of them, with names of any length."""
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            self._noted[f"{kind.name}: {what}"] = (
                f"{kind.name} in Redis: {names[0]!r:.80}{more}: {what}"
            )


def _pairs(flat: Sequence[Any]) -> dict[str, bytes]:
    """Return names and entries; a name that is no text is none of ours."""
    pairs = {}
    for name, entry in zip(flat[::2], flat[1::2], strict=True):
        with suppress(UnicodeDecodeError):
            pairs[name.decode()] = entry
    return pairs


def _number(text: bytes) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if abs(number) < 1e12 else 0.0
