"""The state of accounts that survives a restart: their cooldowns, each bound to the credential it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.redact.secret import Secret


@dataclass(frozen=True, slots=True)
class PersistedState:
    """An account's cooldowns by scope, and a fingerprint of the credential they belong to."""

    credential: str
    scopes: Mapping[str, Cooldown]


def fingerprint(secret: Secret) -> str:
    """Return 12 hex digits that tell one credential from another and reveal neither."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:12]


class PersistedStates:
    """The states of all accounts, kept from one write to the next: only accounts that were touched are looked at."""

    def __init__(self) -> None:
        self._states: dict[str, PersistedState] = {}
        self._touched: set[str] = set()

    def touch(self, keys: Iterable[str]) -> None:
        """Note that the cooldowns of these accounts may have changed."""
        self._touched.update(keys)

    def update(
        self, current: Callable[[str], tuple[Secret, Mapping[str, Cooldown]] | None]
    ) -> dict[str, PersistedState]:
        """Return all states; `current` returns an account's credential and cooldowns, None if it is gone."""
        for key in self._touched:
            secret, cooldowns = current(key) or (None, {})
            if secret and cooldowns:
                self._states[key] = PersistedState(fingerprint(secret), dict(cooldowns))
            else:
                self._states.pop(key, None)
        self._touched.clear()
        return dict(self._states)
