"""The members of a pool: its accounts and its fallbacks in order, and the state of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from neurolink_mitm.core.cost.budget import Budget, is_paid
from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.limits import Limits, OwnLimits


class Members:
    """The accounts and the fallbacks in order, and the state of each. Fallbacks are models of other providers."""

    def __init__(
        self, accounts: Sequence[Account], fallbacks: Sequence[Account], budget: Budget | None
    ) -> None:
        self.budget = budget or Budget()
        self.on_change: Callable[[], object] = lambda: None
        """Called when another account may serve than before; it must not ask the pool at once."""
        self.limits_of: Callable[[str], Limits] = lambda key: OwnLimits()
        """Makes the limits of the account with this key."""
        self._take(accounts, fallbacks)
        self._states = {account.key: AccountState() for account in self.targets}

    def _take(self, accounts: Iterable[Account], fallbacks: Iterable[Account]) -> None:
        self.accounts, self.fallbacks = tuple(accounts), tuple(fallbacks)
        self._targets = {target.key: target for target in (*self.fallbacks, *self.accounts)}
        self._has_subscription = any(account.type == "oauth" for account in self.accounts)
        ways = {(account.base_url, account.proxy_url) for account in self.accounts}
        self.has_several_ways = len(ways) > 1
        """Whether accounts have different base URLs or HTTP proxies."""
        self._an_api_key = next((each for each in self.accounts if is_paid(each)), None)
        self.on_change()

    @property
    def targets(self) -> tuple[Account, ...]:
        return (*self.accounts, *self.fallbacks)

    def has(self, key: str) -> bool:
        """Return whether there is an account or a fallback of this key."""
        return key in self._targets

    def account_state(self, key: str) -> AccountState:
        return self._states[key]

    def states_of(self, targets: Iterable[Account]) -> list[tuple[Account, AccountState]]:
        """Return those of the targets that have not been removed meanwhile, each with its state. Any thread may ask."""
        states = ((target, self._states.get(target.key)) for target in targets)
        return [(target, state) for target, state in states if state]

    def target(self, key: str) -> Account | None:
        """Return the account or the fallback with this key, if there is one."""
        return self._targets.get(key)

    def newest(self, account: Account) -> Account:
        """Return `account` with its present token, which may have been refreshed since it was chosen."""
        return self._targets.get(account.key, account)
