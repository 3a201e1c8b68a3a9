"""What a request waits for instead of using an account: the result of a probe, or its turn in a ramp."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence

from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.selection import SelectionStrategy

NOTHING: Mapping[str, float] = {}


class Waits:
    """The accounts of the pool that have a probe under way, or a ramp; `states` are those of all accounts, by key."""

    def __init__(self, states: Mapping[str, AccountState]) -> None:
        self._states = states
        self._probed: set[str] = set()
        self._ramping: set[str] = set()
        """Keys of accounts that have a ramp, over or not."""

    def touch(self, key: str) -> None:
        """Note that the state of an account has changed."""
        state = self._states.get(key)
        if state and state.probes:
            self._probed.add(key)
        elif self._probed:
            self._probed.discard(key)
        if state and state.ramps:
            self._ramping.add(key)
        elif self._ramping:
            self._ramping.discard(key)

    def probed(
        self, targets: Mapping[str, Account], of: Requirements, now: float
    ) -> Iterator[tuple[Account, float]]:
        """Yield the accounts that only a probe keeps from serving such a request, and until when it is waited for."""
        for key in self._probed:
            account, state = targets[key], self._states[key]
            until = state.probed_until(account, of.model, of.claude_code, now, of.endpoint)
            if account.is_anthropic and until is not None:
                yield account, until

    def full(self, of: Requirements, now: float) -> Mapping[str, float]:
        """Return the accounts whose ramp admits no such request now, and when it will."""
        if not self._ramping:
            return NOTHING
        ramps = {key: self._states[key].ramps for key in self._ramping}
        moments = ((k, each.full_until(of.model, of.endpoint, now)) for k, each in ramps.items())
        return {key: until for key, until in moments if until is not None}

    def select(
        self,
        strategy: SelectionStrategy,
        left: Sequence[Account],
        full: Collection[str],
        now: float,
    ) -> Account:
        """Return the account that the strategy selects, or one that takes over from it where that is `full`."""
        if full:
            first = copy.copy(strategy).select(left)  # a copy keeps its turn
            if first.key in full:
                others = self._in_use(left, full, now)
                return strategy.select(others) if others else first
        return strategy.select(left)

    def _in_use(
        self, left: Sequence[Account], full: Collection[str], now: float
    ) -> Sequence[Account]:
        """Return those that may take over from a `full` account: in use, so that none begins another ramp.

        Waiting is short, and each account more that serves writes the prompt cache again.
        """
        plan = any(account.type == "oauth" for account in left)
        return [
            account
            for account in left
            if account.key not in full
            and self._states[account.key].in_use(now)
            and not (plan and account.type == "api_key")
        ]
