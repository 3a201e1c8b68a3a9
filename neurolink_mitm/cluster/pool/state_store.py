"""The store of accounts' state as addons see it in a cluster: what they hand on is written, and goes to the feeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.ports import Runtime


class SharedStateStore:
    """Takes the place of the runtime's store, until `close`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._inner = runtime.state_store
        self._loop = asyncio.get_running_loop()
        self.on_cooldowns: list[Callable[[], object]] = []
        self.on_quotas: list[Callable[[], object]] = []
        runtime.state_store = self

    def cooldowns(self, by_account: Mapping[str, PersistedState]) -> None:
        self._inner.cooldowns(by_account)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a thread has noticed that the clock was set
            self._loop.call_soon_threadsafe(self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        for callback in self.on_cooldowns:
            callback()

    def quotas(self, by_account: Mapping[str, Quota]) -> None:
        self._inner.quotas(by_account)
        for callback in self.on_quotas:
            callback()

    def write_cooldowns(self) -> None:
        """Write the cooldowns, which another replica has changed."""
        self._inner.cooldowns(self._runtime.pool.cooldowns())

    def close(self) -> None:
        self._runtime.state_store = self._inner
