"""Cooldowns, their levels and their end, the same in all replicas."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import msgspec

from neurolink_mitm.cluster.pool.state_store import SharedStateStore
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.cooldowns import (
    NOTHING,
    State,
    Window,
    healed,
    in_force,
    merged,
    reported_by,
)
from neurolink_mitm.core.cluster.offset import Offset
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.pool.cooldown import CLOSE, Cooldown
from neurolink_mitm.core.pool.persisted import PersistedState, fingerprint
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.cluster")

BATCH = 50
"""Cooldowns of one script at most."""
MOST = 5_000
"""Cooldowns of accounts of other replicas that are kept, and of this one's twice as many."""
MOST_SCOPES = 100
"""Scopes of an account that are taken over of Redis: models and endpoints."""
SLICE = 100
"""Cooldowns that are dealt with in one turn of the event loop at most."""
NEAR = 0.002
"""Seconds by which the ends of one cooldown in Redis and here may differ: clocks were converted."""
OF_ANOTHER_CLOCK = 0.9
"""Seconds by which the beginning of a cooldown may be off that was measured before a restart, or before a clock was
set. It is less than a cooldown lasts."""
LONGEST_WORDS = 200
"""Characters of a reason, and of a replica's name, in Redis."""
SEEN_BY = ", seen by "

T = TypeVar("T")

_EMPTY = PersistedState("", {})


class Id(NamedTuple):
    """Which cooldown: of which account's scope, and of which credential of it."""

    account: str
    credential: str
    scope: str


class Cooldowns:
    """Finds what has changed about cooldowns here, and takes over what has changed elsewhere.

    What is known of a cooldown is a `State`, in Redis' time. The pool has what it amounts to, in ours.
    """

    kind = "cooldowns"

    def __init__(self, replica: Replica, runtime: Runtime, store: SharedStateStore) -> None:
        self._replica, self._runtime, self._store = replica, runtime, store
        self._pushing = asyncio.Lock()
        self.on_cooldown: Callable[[Id, Cooldown], object] = lambda _cooldown, _new: None
        """Called with each cooldown of the pool that is new or another."""
        self._states: dict[Id, State] = {}
        self._unwritten: set[Id] = set()
        self._restored = True
        """The pool's cooldowns are those of its file."""
        self._seen: dict[str, PersistedState] = {}
        """The pool's cooldowns, as of the last look at them."""
        self._basis: object = None
        """The accounts, and the offset of clocks, by which the pool has what is known of all cooldowns."""
        self._read: dict[bytes, bytes] = {}
        """What was last read of Redis."""
        self._credentials: dict[str, tuple[Secret, str]] = {}
        """The fingerprint of each account's credential, by the account's key."""
        store.on_cooldowns.append(self.changed)

    # What has changed here

    def changed(self) -> None:
        """Look for changes of the pool's cooldowns, and have them pushed."""
        if self._offset.seconds is None:  # times can't be converted yet
            return
        self._look()
        if self._unwritten:
            self._replica.wake(self.kind)

    def _look(self) -> None:
        present = self._runtime.pool.cooldowns()
        for key in present.keys() | self._seen.keys():
            before, after = self._seen.get(key, _EMPTY), present.get(key, _EMPTY)
            if before is not after:
                self._compare(key, before, after)
        self._seen = present
        self._restored = False

    def _compare(self, key: str, before: PersistedState, after: PersistedState) -> None:
        same = before.credential == after.credential
        old = before.scopes if same else {}
        for scope, cooldown in after.scopes.items():
            if old.get(scope) != cooldown:
                new = Id(key, after.credential, scope)
                self._note(new, State(0.0, (self._window(cooldown),)))
                self.on_cooldown(new, cooldown)
        if same or self.credential(key) == before.credential:  # else they ended with the credential
            for scope in before.scopes.keys() - after.scopes.keys():
                self._heal(Id(key, before.credential, scope), before.scopes[scope])

    def _window(self, cooldown: Cooldown) -> Window:
        to_server = self._offset.to_server
        # one that was healed meanwhile, and may have begun a little earlier by the clock of that time, stays so
        early = OF_ANOTHER_CLOCK if self._restored else 0.0
        return Window(
            began=to_server(cooldown.began) - early,
            level=cooldown.level,
            until=to_server(cooldown.until),
            whole=cooldown.whole,
            resets_at=to_server(cooldown.resets_at) if cooldown.resets_at else 0.0,
            reason=redact(cooldown.reason.partition(SEEN_BY)[0])[:LONGEST_WORDS],
            by=self._name,
        )

    @property
    def _offset(self) -> Offset:
        return self._replica.link.offset

    @property
    def _name(self) -> str:
        cluster = self._runtime.cluster
        return cluster.name[:LONGEST_WORDS] if cluster else ""

    def _note(self, cooldown: Id, state: State) -> None:
        before = self._states.get(cooldown, NOTHING)
        after = merged(before, state, self.server_now)
        if after != before:
            self._states[cooldown] = after
            self._unwritten.add(cooldown)

    def _heal(self, cooldown: Id, was: Cooldown) -> None:
        before = self._states.get(cooldown, NOTHING)
        began = State(self._offset.to_server(was.began))
        self._note(cooldown, healed(before, self.server_now) if before.windows else began)

    @property
    def server_now(self) -> float:
        return self._offset.to_server(self._runtime.clock.now())

    def credential(self, key: str) -> str | None:
        """Return the fingerprint of an account's credential; None if there is no such account."""
        target = self._runtime.pool.target(key)
        if target is None:
            self._credentials.pop(key, None)
            return None
        secret, credential = self._credentials.get(key, (None, ""))
        if secret is not target.secret:
            credential = fingerprint(target.secret)
            self._credentials[key] = target.secret, credential
        return credential

    # What has changed elsewhere

    def heard(self, news: list[Any]) -> None:
        pairs = [
            (id_of(field), msgspec.convert(state, State)) for field, state in news[1 : 1 + BATCH]
        ]
        self.take({cooldown: state for cooldown, state in pairs if cooldown})

    def take(self, states: Mapping[Id, State]) -> None:
        """Take over what Redis holds of some cooldowns."""
        self._look()
        now = self.server_now
        taken = []
        for cooldown, state in states.items():
            if cooldown in self._states or self._has_room(cooldown):
                self._states[cooldown] = merged(self._states.get(cooldown, NOTHING), state, now)
                taken.append(cooldown)
        self._apply(taken)

    def _has_room(self, cooldown: Id) -> bool:
        is_ours = self.credential(cooldown.account) == cooldown.credential
        return len(self._states) < MOST * (1 + is_ours)

    def _apply(self, cooldowns: Iterable[Id]) -> None:
        """Have the pool's cooldowns be what is known of them."""
        changes: dict[str, dict[str, Cooldown | None]] = defaultdict(dict)
        now = self.server_now
        for each in cooldowns:
            if self.credential(each.account) == each.credential:
                self._differs(each, self._states[each], now, changes[each.account])
        changed = {key: scopes for key, scopes in changes.items() if scopes}
        if not changed:
            return
        ours = self._runtime.clock.now()
        for key, scopes in changed.items():
            self._runtime.pool.take_cooldowns(key, scopes, ours)
            for scope, cooldown in scopes.items():
                if cooldown and cooldown.cooling(ours):
                    self._tell(key, cooldown, ours)
                    self.on_cooldown(Id(key, self.credential(key) or "", scope), cooldown)
        self._seen = self._runtime.pool.cooldowns()
        self._store.write_cooldowns()

    def _differs(
        self, cooldown: Id, state: State, now: float, changes: dict[str, Cooldown | None]
    ) -> None:
        """Add what the pool has to take over of a cooldown, if anything."""
        shared = in_force(state, now)
        scopes = self._seen.get(cooldown.account, _EMPTY).scopes
        ours = scopes.get(cooldown.scope)
        if ours is None and len(scopes) + len(changes) >= MOST_SCOPES:
            return
        if shared is None:
            if ours and self._offset.to_server(ours.began) <= state.healed + OF_ANOTHER_CLOCK:
                changes[cooldown.scope] = None
            return
        shared = self._in_our_time(shared, reported_by(state))
        if ours is None or _is_more(shared, ours):
            changes[cooldown.scope] = shared

    def _in_our_time(self, cooldown: Cooldown, by: str) -> Cooldown:
        to_ours = self._offset.to_ours
        return replace(
            cooldown,
            began=to_ours(cooldown.began),
            until=to_ours(cooldown.until),
            reason=cooldown.reason if by == self._name else f"{cooldown.reason}{SEEN_BY}{by}",
            resets_at=to_ours(cooldown.resets_at) if cooldown.resets_at else None,
        )

    def _tell(self, key: str, cooldown: Cooldown, now: float) -> None:
        """Write why an account cools that this replica has not asked."""
        seconds = cooldown.until - now
        say(self._runtime, f"[proxy] {key} cooldown={seconds:.0f}s: {cooldown.reason}")

    # What the replica asks for

    async def push(self, link: Link) -> None:
        async with self._pushing:  # who comes second can rely on all being written, too
            await self._push(link)

    async def _push(self, link: Link) -> None:
        if self._offset.seconds is None:
            return
        self._look()  # and wakes nobody: while Redis is away, that would go round and round
        while batch := list(self._unwritten)[:BATCH]:
            self._unwritten.difference_update(batch)
            try:
                refused = await self._write(link, batch)
            except BaseException:
                self._unwritten.update(batch)
                raise
            if refused:  # under a wrong clock, say: the next reading tries it again
                self._unwritten |= refused
                return

    async def _write(self, link: Link, batch: Iterable[Id]) -> set[Id]:
        """Write some states. Return those that Redis has not taken over."""
        states = {each: self._states.get(each, NOTHING) for each in batch}
        pairs = [
            text
            for each, state in states.items()
            for text in (field_of(each), msgspec.msgpack.encode(state))
        ]
        arguments = [self.kind, self._replica.id, *pairs]
        answer = await link.script("cooldowns", ["cooldowns", "news"], arguments, read=pairs_of)
        taken = states_of(answer.items())
        self.take(taken)
        now = self.server_now
        return {
            each
            for each, state in states.items()
            if _numbers(merged(taken.get(each, NOTHING), state, now)) != _numbers(taken.get(each))
        }

    async def read(self, link: Link) -> None:
        read = await link.script("hash_read", ["cooldowns"], [], read=pairs_of)
        new = [(field, text) for field, text in read.items() if self._read.get(field) != text]
        self._read = read
        async for part in sliced(new):
            self.take(states_of(part))
        # accounts come and go, credentials and clocks change
        basis = self._runtime.pool.accounts, self._offset.seconds
        if basis != self._basis:
            async for ids in sliced(list(self._states)):
                self._look()
                self._apply(each for each in ids if each in self._states)
            self._basis = basis
        async for ids in sliced(list(self._states)):
            self._reconcile(ids, self.server_now)

    def _reconcile(self, cooldowns: Iterable[Id], now: float) -> None:
        """Forget what is old, there and here; what Redis has lost is unwritten again."""
        for cooldown in cooldowns:
            if (state := self._states.get(cooldown)) is None:
                continue
            fresh = state if _lasts(state, now) else merged(state, NOTHING, now)
            gone = fresh.gone(now)
            if gone:
                del self._states[cooldown]
            elif fresh is not state:
                self._states[cooldown] = fresh
            if (field_of(cooldown) in self._read) == gone:
                self._unwritten.add(cooldown)

    def lost(self) -> None:
        self._read.clear()
        self._unwritten.update(self._states)

    async def leave(self, link: Link) -> None:
        await self.push(link)

    def close(self) -> None:
        self._store.close()


async def sliced(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """Yield a few items at a time, each time in a turn of the event loop of its own."""
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
        await asyncio.sleep(0)


def field_of(cooldown: Id) -> bytes:
    """Return the name of a cooldown in Redis."""
    return msgspec.json.encode(cooldown)


def _lasts(state: State, now: float) -> bool:
    """Return whether time has not made the state another one."""
    return bool(state.windows) and all(window.until > now for window in state.windows)


def say(runtime: Runtime, line: str) -> None:
    """Write a line of the console."""
    if logger.isEnabledFor(logging.INFO):
        line = printable(redact(line))
        runtime.say(line) if runtime.say else logger.info("%s", line)


def id_of(field: object) -> Id | None:
    """Return the cooldown that a field of Redis names; None for what is none."""
    try:
        return msgspec.json.decode(field, type=Id) if isinstance(field, str) else None
    except UNREADABLE:
        return None


def pairs_of(answer: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return a flat list of keys and values as a dictionary. Raises `ValueError` or `TypeError` for what is none."""
    return dict(zip(answer[::2], answer[1::2], strict=True))


def states_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[Id, State]:
    """Return the states in pairs of Redis; what is none is left out."""
    states = {}
    for field, text in pairs:
        try:
            states[msgspec.json.decode(field, type=Id)] = msgspec.msgpack.decode(text, type=State)
        except UNREADABLE:
            continue
    return states


def _is_more(shared: Cooldown, ours: Cooldown) -> bool:
    """Return whether the pool has to take over `shared` in place of `ours`."""
    return (
        shared.level > ours.level
        or shared.until > ours.until + NEAR
        or shared.began > ours.began + CLOSE
        or (shared.whole and not ours.whole)
    )


def _numbers(state: State | None) -> object:
    """Return what two states have in common that are the same but for words."""
    if state is None:
        return None
    return state.healed, [(w.began, w.level, w.until, w.whole) for w in state.windows]
