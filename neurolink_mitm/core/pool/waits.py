"""What a request waits for instead of using an account: the result of a probe, or its turn in a ramp."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.selection import SelectionStrategy


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
        if state and (state.probes or state.reserved):
            self._probed.add(key)
        elif self._probed:
            self._probed.discard(key)
        if state and state.ramps:
            self._ramping.add(key)
        elif self._ramping:
            self._ramping.discard(key)

    @property
    def any_probe(self) -> bool:
        return bool(self._probed)

    def probed(
        self, targets: Mapping[str, Account], of: Requirements, now: float
    ) -> Iterator[tuple[Account, float]]:
        """Yield the accounts that only a probe keeps from serving such a request, and until when it is waited for."""
        for key in self._probed:
            account, state = targets[key], self._states[key]
            until = state.probed_until(account, of.model, of.claude_code, now, of.endpoint)
            if account.is_anthropic and until is not None:
                yield account, until

    def full_until(self, key: str, of: Requirements, now: float) -> float | None:
        """Return when the account's ramp admits such a request; None: now."""
        if key not in self._ramping:
            return None
        return self._states[key].ramps.full_until(of.model, of.endpoint, now)

    def select(
        self, strategy: SelectionStrategy, left: Sequence[Account], of: Requirements, now: float
    ) -> Account:
        """Return the account that the strategy selects, or one that takes over from it where its ramp is full."""
        if self._ramping:
            first = copy.copy(strategy).select(left)  # a copy keeps its turn
            if self.full_until(first.key, of, now) is not None:
                others = self._in_use(left, of, now)
                return strategy.select(others) if others else first
        return strategy.select(left)

    def _in_use(self, left: Sequence[Account], of: Requirements, now: float) -> Sequence[Account]:
        """Return those that may take over: in use, so that none begins another ramp.

        Waiting is short, and each account more that serves writes the prompt cache again.
        """
        plan = any(account.type == "oauth" for account in left)
        return [
            account
            for account in left
            if self._states[account.key].load(now)
            and not (plan and account.type == "api_key")
            and self.full_until(account.key, of, now) is None
        ]
