"""Which replica probes an account that has cooled down: one a cooldown, while Redis is there."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from neurolink_mitm.cluster.pool.cooldowns import Cooldowns, Id, field_of, id_of, states_of
from neurolink_mitm.cluster.pool.state_store import SharedStateStore
from neurolink_mitm.cluster.redis.link import AwayError, Link, RefusedError
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.breaker import State as Breaker
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.ports import Runtime

WAIT = 0.004
"""Seconds that a request waits for the right to probe; without an answer it takes another account, or probes."""
LEASE = 3.0
"""Seconds that a right lasts; it is prolonged each second while the probe is under way."""
UNUSED = 1.0
"""Seconds after which a right is given back that no request has used."""
BEGINNING = 0.1
"""Seconds in which a request that may probe begins to."""
AHEAD = 0.25, 0.15
"""Seconds before a cooldown's end between which replicas ask, each at another moment."""
DEMAND = 0.5
"""Seconds after a request in which a replica is in use: it is likely to probe an account at once."""
AHEAD_AT_ONCE = 32
"""Rights that a replica asks for at once ahead of time: of hundreds of cooldowns that end together, requests ask."""
MARGIN = 0.002
"""Seconds that clocks differ by, about."""
MOST = 50
"""Cooldowns of one piece of news at most; those of one request are a few."""
FORGOTTEN = 1.0
"""Seconds after which an unanswered question is put again."""


@dataclass(slots=True)
class Right:
    """A right of this replica. Times are monotonic."""

    since: float
    used_at: float | None = None
    """When a request was last let through."""

    @property
    def ends_at(self) -> float:
        """When it is given back, unless a request probes."""
        return self.since + UNUSED if self.used_at is None else self.used_at + BEGINNING


class Probes:
    """Asks for the right when a request would probe; what others have is marked in the pool."""

    kind = "probes"

    def __init__(
        self, replica: Replica, runtime: Runtime, cooldowns: Cooldowns, store: SharedStateStore
    ) -> None:
        self._replica, self._runtime, self._cooldowns = replica, runtime, cooldowns
        self._rights: dict[Id, Right] = {}
        self._unanswered: dict[Id, float] = {}
        """When (monotonic) a request need not wait for the answer any more."""
        self._pending: set[Id] = set()
        """What requests have asked for and Redis may answer yet."""
        self._ended: set[Id] = set()
        """Rights that are to be given back."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._ahead: dict[Id, asyncio.TimerHandle] = {}
        """When the right is asked for ahead."""
        self._checking: asyncio.TimerHandle | None = None
        """When rights are looked at that no request has used."""
        self._requested_at = -math.inf
        """When the last request was given an account; monotonic."""
        cooldowns.on_cooldown = self._plan
        store.on_cooldowns.append(self._changed)
        store.on_quotas.append(self._changed)
        runtime.probes = self

    def denied_until(self, key: str, requirements: Requirements, now: float) -> float | None:
        """Return until when such a request must not probe the account; see `ports.Probes`."""
        self._requested_at = steady = _steady()
        ids = self._probed(key, requirements)
        if not ids:
            return None
        if all(each in self._rights for each in ids):
            self._use(ids)
            return None
        if self._replica.link.breaker.state is not Breaker.CLOSED:
            return None
        since = [self._unanswered.get(each) for each in ids]
        if all(at is not None and at <= steady < at + FORGOTTEN for at in since):
            return None
        self._ask(ids, now)
        return now + WAIT

    def is_late(self, key: str, requirements: Requirements) -> bool:
        """Return whether it may be heard yet that another replica probes the account; see `ports.Probes`."""
        if not self._pending:
            return False
        ids = self._probed(key, requirements)
        return any(each in self._pending and each not in self._rights for each in ids)

    def _probed(self, key: str, requirements: Requirements) -> list[Id]:
        """Return the cooldowns that a request would probe."""
        if not (scopes := self._runtime.pool.tries_again(key, requirements)):
            return []
        credential = self._cooldowns.credential(key) or ""
        return [Id(key, credential, scope) for scope in scopes]

    def _use(self, ids: Iterable[Id]) -> None:
        for each in ids:
            self._rights[each].used_at = _steady()

    # Asking

    def _plan(self, cooldown: Id, new: Cooldown) -> None:
        """Ask for the right to probe the account a moment before its cooldown ends."""
        if before := self._ahead.pop(cooldown, None):
            before.cancel()
        # each replica at another moment: the first one has it
        seconds = (
            new.until
            - self._runtime.clock.now()
            - self._runtime.random_source.jitter() * (AHEAD[0] - AHEAD[1])
            - AHEAD[1]
        )
        if seconds > 0:
            loop = asyncio.get_running_loop()
            self._ahead[cooldown] = loop.call_later(seconds, self._ask_ahead, cooldown, new.until)

    def _ask_ahead(self, cooldown: Id, ends: float) -> None:
        del self._ahead[cooldown]
        in_use = self._runtime.waiting or _steady() - self._requested_at < DEMAND
        away = self._replica.link.breaker.state is not Breaker.CLOSED
        busy = len(self._tasks) >= AHEAD_AT_ONCE
        if not in_use or away or busy or self._is_reserved(cooldown):
            return
        begins = _steady() + ends - self._runtime.clock.now()
        self._run(self._asked([cooldown], begins))

    def _is_reserved(self, cooldown: Id) -> bool:
        """Return whether another replica was faster."""
        now = self._runtime.clock.now()
        return self._runtime.pool.is_reserved(cooldown.account, cooldown.scope, now)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ask(self, ids: Sequence[Id], now: float) -> None:
        loop, pool = asyncio.get_running_loop(), self._runtime.pool
        scopes = [each.scope for each in ids]
        self._unanswered.update(dict.fromkeys(ids, loop.time() + WAIT))
        pool.reserve(ids[0].account, scopes, now + WAIT, now, asked=True)
        loop.call_later(WAIT, lambda: pool.on_change())
        self._run(self._asked_now(ids))

    async def _asked_now(self, ids: Sequence[Id]) -> None:
        self._pending.update(ids)
        try:
            await self._asked(ids)
        finally:
            self._pending.difference_update(ids)

    async def _asked(self, ids: Sequence[Id], begins: float | None = None) -> None:
        """Take over whose the right is. It is asked for ahead where it `begins` (monotonic) later."""
        try:
            answer = await self._request(self._replica.link, ids, ahead=begins is not None)
        except (AwayError, RefusedError):
            if begins is not None:
                return
            self._unanswered.update(dict.fromkeys(ids, _steady()))  # as if it had never come
            self._release(ids)
            return
        for each in ids:
            self._unanswered.pop(each, None)
        match answer:
            case [b"yours"]:
                self._rights |= {each: Right(begins or _steady()) for each in ids}
                self._release(ids)
            case [b"theirs", int(left)]:
                self._leave_to_others(ids, left / 1000)
            case [b"cooling", field, text] if begins is None:
                self._cools(ids, {field: text})

    async def _request(self, link: Link, ids: Sequence[Id], *, ahead: bool = False) -> list[Any]:
        fields = [field_of(each) for each in ids]
        keys = ["cooldowns", "news", *map(_key, fields)]
        milliseconds = [int(LEASE * 1000), int(2000 * AHEAD[0]) if ahead else 0]
        arguments = [self.kind, self._replica.id, *milliseconds, *fields]
        return list(await link.script("probe", keys, arguments, read=_answer))

    def _release(self, ids: Sequence[Id]) -> None:
        self._runtime.pool.release(ids[0].account, [each.scope for each in ids])

    def _leave_to_others(self, ids: Iterable[Id], seconds: float) -> None:
        now = self._runtime.clock.now()
        for each in ids:
            self._rights.pop(each, None)
            self._runtime.pool.reserve(each.account, [each.scope], now + seconds, now)

    def _cools(self, ids: Sequence[Id], pairs: dict[bytes, bytes]) -> None:
        """Take over that a probe has failed meanwhile, or that the cooldown ends a little later than here."""
        self._release(ids)
        states = states_of(pairs.items())
        self._cooldowns.take(states)
        ends = [window.until for state in states.values() for window in state.windows]
        now = self._runtime.clock.now()
        until = self._replica.link.offset.to_ours(max(ends, default=0.0)) + MARGIN
        if until > now:
            scopes = [each.scope for each in ids]
            self._runtime.pool.reserve(ids[0].account, scopes, until, now)

    # What others do

    def heard(self, news: list[Any]) -> None:
        """Mark what another replica probes, or probes no more: `taken` or `free`, milliseconds, the cooldowns."""
        event, milliseconds, *fields = news[1:]
        ids = [each for each in map(id_of, fields[:MOST]) if each]
        ours = [e for e in ids if self._cooldowns.credential(e.account) == e.credential]
        if event == "taken":
            self._leave_to_others(ours, min(LEASE, max(0.0, float(milliseconds) / 1000)))
        else:
            for each in ours:
                self._release([each])

    # What becomes of a right

    def _changed(self) -> None:
        """Have rights given back that have served their purpose."""
        self._check()
        if self._ended:
            self._replica.wake(self.kind)

    def _check(self) -> None:
        """Note which rights have served their purpose."""
        if not self._rights:
            return
        now, next_at = _steady(), math.inf
        for each, right in list(self._rights.items()):
            if self._is_probing(each):
                continue
            if now >= right.ends_at:
                del self._rights[each]
                self._ended.add(each)
            else:
                next_at = min(next_at, right.ends_at)
        if next_at < math.inf:
            self._check_at(next_at)

    def _check_at(self, at: float) -> None:
        """Look at all rights again then: one timer for all, since each response asks for it."""
        if self._checking:
            if self._checking.when() <= at:
                return
            self._checking.cancel()
        self._checking = asyncio.get_running_loop().call_at(at, self._checked)

    def _checked(self) -> None:
        self._checking = None
        self._changed()

    def _is_probing(self, cooldown: Id) -> bool:
        return cooldown.scope in self._runtime.pool.probing(cooldown.account)

    async def push(self, link: Link) -> None:
        self._check()
        if self._ended:
            await self._end(link)
        for each in [each for each in self._rights if self._is_probing(each)]:
            answer = await self._request(link, [each])
            if answer[:1] == [b"theirs"]:
                self._rights.pop(each, None)

    async def _end(self, link: Link) -> None:
        """Give rights back, when the others can know what the probe has shown."""
        await self._cooldowns.push(link)
        ended = list(self._ended)
        fields = [field_of(each) for each in ended]
        keys = ["news", *map(_key, fields)]
        await link.script("probe_end", keys, [self.kind, self._replica.id, *fields])
        self._ended.difference_update(ended)

    async def read(self, link: Link) -> None:
        """Nothing: a right ends by itself."""

    def lost(self) -> None:
        """Nothing: a probe that is under way is written again each second."""

    async def leave(self, link: Link) -> None:
        self._ended |= self._rights.keys()
        self._rights.clear()
        if self._ended:
            await self._end(link)

    def close(self) -> None:
        self._runtime.probes = None
        for task in self._tasks:
            task.cancel()
        for timer in (*self._ahead.values(), *([self._checking] if self._checking else [])):
            timer.cancel()


def _answer(answer: list[Any]) -> list[Any]:
    """Return the answer to a request for a right. Raises `ValueError` for what is none."""
    match answer:
        case [b"yours"] | [b"theirs", int()] | [b"cooling", bytes(), bytes()]:
            return answer
    raise ValueError("no answer to a request for a right")


def _key(field: bytes) -> str:
    return f"probe:{sha256(field).hexdigest()[:32]}"


def _steady() -> float:
    return asyncio.get_running_loop().time()
