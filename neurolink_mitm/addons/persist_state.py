from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.ports import Runtime


class PersistState:
    """Hands cooldowns, quotas and readings of windows to their stores whenever a response may have changed them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._seen = runtime.pool.changes

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        self._hand_on()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self._hand_on()

    def _hand_on(self) -> None:
        pool, memory = self.runtime.pool, self.runtime.state_store
        if pool.changes != self._seen:
            self._seen = pool.changes
            memory.cooldowns(pool.cooldowns())
        memory.quotas(pool.quotas())
        unsaved = pool.unsaved_readings()
        if unsaved and self.runtime.window_history:
            self.runtime.window_history.add(unsaved)
