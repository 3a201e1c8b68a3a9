"""The accounts that may serve requests of one kind, in the order of the strategy, kept from one request to the next.

An account is judged anew when something about it has changed, or when time alone may have ended its verdict: so a
request costs the same in a pool of two accounts and in one of hundreds.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from neurolink_mitm.core.pool.accounts import Account

KINDS = 32
"""Kinds of requests whose accounts are kept ready; clients choose the models, so there is no end of them."""

Rank = tuple[float, ...]
"""The place of an eligible account by the strategy, lowest first; equals are in pool order."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What requests have in common that the same accounts may serve."""

    claude_code: bool
    model: str | None
    endpoint: str
    paid: bool
    """Whether the budget admits API keys."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rank of an account, None if it is ineligible; `until` when (seconds since the epoch) time may change it."""

    rank: Rank | None
    until: float = math.inf


class Ready:
    """The eligible accounts in order. `judge` returns the verdict on an account at a time, which never decreases."""

    def __init__(
        self, accounts: Sequence[Account], judge: Callable[[Account, float], Verdict]
    ) -> None:
        self._accounts = accounts
        self._judge = judge
        self._positions = {account.key: n for n, account in enumerate(accounts)}
        self._verdicts = [Verdict(None)] * len(accounts)
        self._order: list[tuple[Rank, int]] = []
        self._eligible: Sequence[Account] | None = None
        self._ineligible: Sequence[Account] | None = None
        self._changed = set(range(len(accounts)))
        self._next = math.inf
        """No verdict changes before this time by itself."""

    def touch(self, key: str) -> None:
        """Note that something about an account has changed."""
        if (position := self._positions.get(key)) is not None:
            self._changed.add(position)

    def bring_up(self, now: float) -> None:
        """Judge the accounts whose verdict may be another one now."""
        if now >= self._next:
            self._changed.update(n for n, each in enumerate(self._verdicts) if each.until <= now)
            self._next = min(
                (each.until for each in self._verdicts if each.until > now), default=math.inf
            )
        for position in self._changed:
            self._place(position, self._judge(self._accounts[position], now))
        self._changed.clear()

    def _place(self, position: int, verdict: Verdict) -> None:
        before, self._verdicts[position] = self._verdicts[position], verdict
        self._next = min(self._next, verdict.until)
        if before.rank == verdict.rank:
            return
        if before.rank is not None:
            del self._order[bisect_left(self._order, (before.rank, position))]
        if verdict.rank is not None:
            insort(self._order, (verdict.rank, position))
        self._eligible = self._ineligible = None

    def eligible(self, but: Collection[str] = ()) -> Sequence[Account]:
        """Return the eligible accounts in order, without those of the keys `but`.

        It is the same object as long as nothing changes and `but` is empty.
        """
        if self._eligible is None:
            self._eligible = [self._accounts[position] for _, position in self._order]
        return [a for a in self._eligible if a.key not in but] if but else self._eligible

    def ineligible(self) -> Sequence[Account]:
        """Return the others, in pool order."""
        if self._ineligible is None:
            judged = zip(self._accounts, self._verdicts, strict=True)
            self._ineligible = [account for account, verdict in judged if verdict.rank is None]
        return self._ineligible

    def find(self, key: str) -> Account | None:
        """Return the account with this key if it is eligible."""
        position = self._positions.get(key)
        if position is None or self._verdicts[position].rank is None:
            return None
        return self._accounts[position]


class ReadyByKind:
    """The accounts that are ready, for each of the latest kinds of requests."""

    def __init__(
        self, accounts: Sequence[Account], judge: Callable[[Kind, Account, float], Verdict]
    ) -> None:
        self._accounts = accounts
        self._judge = judge
        self._by_kind: OrderedDict[Kind, Ready] = OrderedDict()
        self._now = -math.inf

    def of(self, kind: Kind, now: float) -> Ready:
        """Return the accounts that may serve such requests at `now`."""
        if now < self._now:  # the clock was set back
            self.clear()
        self._now = now
        ready = self._by_kind.get(kind) or Ready(self._accounts, partial(self._judge, kind))
        self._by_kind[kind] = ready
        self._by_kind.move_to_end(kind)
        if len(self._by_kind) > KINDS:
            self._by_kind.popitem(last=False)
        ready.bring_up(now)
        return ready

    def touch(self, key: str) -> None:
        """Note that something about an account has changed."""
        for ready in self._by_kind.values():
            ready.touch(key)

    def clear(self) -> None:
        """Note that anything may have changed."""
        self._by_kind.clear()
