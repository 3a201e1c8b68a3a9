"""The feeds of limits that replicas keep together: requests a minute (`Rates`) and at once (`SlotLeases`)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from neurolink_mitm.adapters.cost import Spending
from neurolink_mitm.cluster.feed import Feed
from neurolink_mitm.cluster.limits.spending import SharedSpending, Signer
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cluster.account_limits import SharedLimits
from neurolink_mitm.core.cluster.rates import SharedRate
from neurolink_mitm.core.cluster.slots import LEASE, Slots
from neurolink_mitm.core.cost.client_limits import own_bucket
from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.limits import OwnLimits
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.ports import Runtime

AT_ONCE = 200
"""Limits that one script asks for."""
IDLE = 60.0
"""Seconds after its last request in which a client's rate is read again."""


Lease = tuple[str, Slots, AccountState]
"""The slots of the account with this key."""


class AccountLimits:
    """The limits of all accounts of the pool, as their settings have them now."""

    def __init__(self, replica: Replica, pool: Pool) -> None:
        self.pool = pool
        self._replica = replica
        self.unsettled: set[str] = set()
        """Keys of accounts that have requests to settle."""
        self.wanting: set[str] = set()
        """Keys of accounts of which other slots are wanted than are held."""
        pool.limit_by(self._made)

    def close(self) -> None:
        self.pool.limit_by(lambda key: OwnLimits())

    def _made(self, key: str) -> SharedLimits:
        replica = self._replica
        return SharedLimits(
            key, lambda: replica.count, self._on_rate, self._on_slots, self.pool.short
        )

    def _on_rate(self, key: str) -> None:
        self.unsettled.add(key)
        self._replica.wake(Rates.kind)

    def _on_slots(self, key: str) -> None:
        self.wanting.add(key)
        self._replica.wake(SlotLeases.kind)

    def rates(self, keys: Collection[str]) -> Iterator[tuple[str, SharedRate]]:
        for key, limits, _ in self._of(keys):
            if limits.rate:
                yield key, limits.rate

    def slots(self, keys: Collection[str]) -> Iterator[Lease]:
        for key, limits, state in self._of(keys):
            if limits.slots:
                yield key, limits.slots, state

    def keys(self) -> list[str]:
        """Return the keys of accounts that have a limit."""
        limited = (a for a in self.pool.accounts if a.rate_limit or a.max_concurrent)
        return [account.key for account in limited]

    def _of(self, keys: Collection[str]) -> Iterator[tuple[str, SharedLimits, AccountState]]:
        for account in self.pool.accounts:
            if account.key in keys:
                state = self.pool.account_state(account.key)
                if isinstance(state.limits, SharedLimits):
                    state.limits.configure(account)
                    yield account.key, state.limits, state


class Rates:
    """Settles what was sent of each rate limit, of accounts and of clients."""

    kind = "rates"

    def __init__(self, replica: Replica, runtime: Runtime, accounts: AccountLimits) -> None:
        self._replica, self._accounts = replica, accounts
        self._now = runtime.clock.now
        self._client_limits = runtime.client_limits
        self._clients: dict[str, tuple[SharedRate, float]] = {}
        """Of the clients that have asked lately, with the time of the last request."""
        self._unsettled: set[str] = set()
        self._busy = asyncio.Lock()
        runtime.client_limits.make_by(self._of_client)

    def _of_client(self, key: ClientKey, rate: int, endpoint: str, now: float) -> SharedRate:
        name, replica = f"client {key.name} {endpoint}", self._replica

        def sent() -> None:
            self._clients[name] = shared, self._now()
            self._unsettled.add(name)
            replica.wake(self.kind)

        shared = SharedRate(rate, lambda: replica.count, sent)
        if name in self._clients:
            shared.arrival, shared.heard_at = (
                self._clients[name][0].arrival,
                self._clients[name][0].heard_at,
            )
        return shared

    def heard(self, news: list[Any]) -> None:
        now, offset = self._now(), self._replica.link.offset
        of_accounts = dict(self._named(self._accounts.keys()))
        news = news[: 1 + 2 * AT_ONCE]
        for name, arrival in zip(news[1::2], news[2::2], strict=True):
            text = name.decode() if isinstance(name, bytes) else str(name)
            client = self._clients.get(text)
            rate = client[0] if client else of_accounts.get(text)
            at = float(arrival)
            if rate and math.isfinite(at):
                rate.heard(offset.to_ours(at), now)
                self._tell(text, rate, now)

    async def push(self, link: Link) -> None:
        keys, self._accounts.unsettled = self._accounts.unsettled, set()
        names, self._unsettled = self._unsettled, set()
        clients = [(name, self._clients[name][0]) for name in names if name in self._clients]
        due = [*self._named(keys), *clients]
        if due:
            await self._settle(link, due)

    async def read(self, link: Link) -> None:
        now = self._now()
        self._clients = {
            name: each for name, each in self._clients.items() if 0 <= now - each[1] < IDLE
        }
        clients = [(name, rate) for name, (rate, _) in self._clients.items()]
        await self._settle(link, [*self._named(self._accounts.keys()), *clients])

    def lost(self) -> None:
        """Limits begin anew; what each replica settles is late by a second at most."""

    async def leave(self, link: Link) -> None:
        await self.push(link)

    def close(self) -> None:
        self._client_limits.make_by(own_bucket)
        self._accounts.close()

    def _named(self, keys: Collection[str]) -> Iterator[tuple[str, SharedRate]]:
        return ((f"account {key}", rate) for key, rate in self._accounts.rates(keys))

    async def _settle(self, link: Link, rates: Sequence[tuple[str, SharedRate]]) -> None:
        async with self._busy:
            for first in range(0, len(rates), AT_ONCE):
                await self._settle_some(link, rates[first : first + AT_ONCE])

    async def _settle_some(self, link: Link, rates: Sequence[tuple[str, SharedRate]]) -> None:
        now = self._now()
        counts = [rate.to_settle(now) for _, rate in rates]
        arguments: list[Any] = [link.names.news, self._replica.id, _asked_at(link, now)]
        for (name, rate), count in zip(rates, counts, strict=True):
            arguments += [name, repr(rate.interval), repr(rate.most), count]
        answer = await link.script("rates", [f"rate {name}" for name, _ in rates], arguments)
        now, is_counted = self._now(), answer[0] == 1
        for (name, rate), count, ahead in zip(rates, counts, answer[1:], strict=True):
            waited = rate.wait(now)
            rate.settled(count if is_counted else 0, float(ahead), now)
            if waited or count or rate.wait(now):
                self._tell(name, rate, now)

    def _tell(self, name: str, rate: SharedRate, now: float) -> None:
        key = name.removeprefix("account ")
        if key != name:
            self._accounts.pool.limits_changed(key)


class SlotLeases:
    """Renews the leases of slots, and hands slots to replicas that are short of them."""

    kind = "slots"

    def __init__(self, replica: Replica, runtime: Runtime, accounts: AccountLimits) -> None:
        self._replica, self._accounts = replica, accounts
        self._now = runtime.clock.now
        self._busy = asyncio.Lock()

    def heard(self, news: list[Any]) -> None:
        names = {
            each.decode() if isinstance(each, bytes) else str(each)
            for each in news[1 : 1 + AT_ONCE]
        }
        for key, slots, state in self._accounts.slots(names):
            slots.leave(state.in_flight, self._now())
            self._accounts.wanting.add(key)
            self._replica.wake(self.kind)

    async def push(self, link: Link) -> None:
        keys, self._accounts.wanting = self._accounts.wanting, set()
        if keys:
            await self._renew(link, list(self._accounts.slots(keys)))

    async def read(self, link: Link) -> None:
        await self._renew(link, list(self._accounts.slots(self._accounts.keys())))

    def lost(self) -> None:
        """The next reading renews all leases."""

    async def leave(self, link: Link) -> None:
        leases = list(self._accounts.slots(self._accounts.keys()))
        for _, slots, _ in leases:
            slots.limit = 0
        await self._renew(link, leases)

    def close(self) -> None:
        """The limits of accounts are switched off with their rates."""

    async def _renew(self, link: Link, leases: Sequence[Lease]) -> None:
        async with self._busy:
            for first in range(0, len(leases), AT_ONCE):
                await self._renew_some(link, leases[first : first + AT_ONCE])

    async def _renew_some(self, link: Link, leases: Sequence[Lease]) -> None:
        now = self._now()
        arguments: list[Any] = [link.names.news, self._replica.id, _asked_at(link, now), LEASE]
        for key, slots, state in leases:
            before = slots.held
            used, wanted, waits = slots.ask_for(state.in_flight, now)
            self._tell(key, slots, before)  # what goes back is not used any more
            arguments += [key, slots.limit, used, wanted, int(waits)]
        answer = await link.script("slots", [f"slots {key}" for key, _, _ in leases], arguments)
        if not answer:
            return
        pairs = zip(leases, answer[::2], answer[1::2], strict=True)
        for (key, slots, state), held, waiting in pairs:
            before = slots.allowed(now)
            slots.leased(int(held), state.in_flight, now, contended=bool(waiting))
            self._tell(key, slots, before)

    def _tell(self, key: str, slots: Slots, before: int) -> None:
        if slots.held != before:
            self._accounts.pool.limits_changed(key)


def _asked_at(link: Link, now: float) -> str:
    """Return the time of Redis' clock; what it carries out much later, after it hung, is void."""
    return "0" if link.offset.seconds is None else f"{link.offset.to_server(now):.6f}"


def limit_feeds(replica: Replica, runtime: Runtime, signer: Signer) -> list[Feed]:
    """Return the feeds of limits, and have the pool and the gate use the shared ones."""
    accounts = AccountLimits(replica, runtime.pool)
    feeds: list[Feed] = [
        Rates(replica, runtime, accounts),
        SlotLeases(replica, runtime, accounts),
    ]
    if isinstance(runtime.spending, Spending):
        feeds.append(SharedSpending(replica, runtime, runtime.spending, signer))
    return feeds
