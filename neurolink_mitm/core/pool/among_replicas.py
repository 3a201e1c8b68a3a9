"""What several replicas of a pool do together: limits that all keep, and one of them that probes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.choosing import Choosing
from neurolink_mitm.core.pool.limits import Limits


class AmongReplicas(Choosing):
    """Chooses accounts as the replicas of a cluster have agreed; without one, nothing of this is called."""

    def limit_by(self, limits_of: Callable[[str], Limits]) -> None:
        """Have the limits of all accounts made by `limits_of`, of later ones too; what was counted is forgotten."""
        self.limits_of = limits_of
        self.short.clear()
        for key, state in self._states.items():
            state.limits = limits_of(key)
        self._touch_all()

    def limits_changed(self, key: str) -> None:
        """Note that replicas have used up or left something of an account's limits."""
        if key in self._states:
            super()._touch(key)  # cooldowns stay as they were persisted

    def tries_again(self, key: str, requirements: Requirements) -> list[str]:
        """Return the scopes that a request sent to this account now would probe."""
        state = self._states.get(key)
        return state.tries_again(requirements.model, requirements.endpoint) if state else []

    def probing(self, key: str) -> Collection[str]:
        """Return the scopes of an account that a request probes now."""
        state = self._states.get(key)
        return state.probes.keys() if state else ()

    def reserve(
        self, key: str, scopes: Iterable[str], until: float, now: float, *, asked: bool = False
    ) -> None:
        """Leave the probe of these scopes to another replica, `until` then at most.

        `asked`: whose it is will be known at once.
        """
        if state := self._states.get(key):
            for scope in scopes:
                state.reserve(scope, until, now, asked=asked)
            self._touch(key)

    def is_reserved(self, key: str, scope: str, now: float) -> bool:
        """Return whether the probe of this scope is left to another replica now."""
        state = self._states.get(key)
        reserved = state.reserved.get(scope) if state else None
        return reserved is not None and reserved.lasts(now)

    def release(self, key: str, scopes: Iterable[str]) -> None:
        """Let this replica probe these scopes again."""
        if state := self._states.get(key):
            for scope in scopes:
                state.reserved.pop(scope, None)
            self._touch(key)

    def asked_until(self, key: str, requirements: Requirements, now: float) -> float | None:
        """Return when it is known at the latest whether this replica may probe the account; None: it is known."""
        state = self._states.get(key)
        return state.asked_until(requirements.model, requirements.endpoint, now) if state else None
