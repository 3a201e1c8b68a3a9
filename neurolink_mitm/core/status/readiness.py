"""Whether callers should be sent to this proxy, and whether a balancer has noticed that they should not be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["starting", "ready", "draining"]

LATELY = 30.0
"""Seconds within which a balancer asks again: Kubernetes' probes come every 10."""
REFUSALS = 3
"""Answers of 503 after which a balancer has taken the proxy out: HAProxy's `fall`, Kubernetes' `failureThreshold`."""
SETTLE = 0.3
"""Seconds for the requests that it sent before it read the last of them."""
MOST_ASKERS = 64


@dataclass(slots=True)
class _Asker:
    """Who asks `/ready`. Times are monotonic seconds."""

    at: float
    refused: int = 0
    noticed_at: float = math.inf


@dataclass(slots=True)
class Readiness:
    """The phase of this proxy, and who asked for it."""

    phase: Phase = "starting"
    on_change: list[Callable[[], object]] = field(default_factory=list)
    _askers: dict[str, _Asker] = field(default_factory=dict)
    """By the address of the peer: the latest ones."""
    _began: float = 0.0
    """When the proxy began to drain."""

    def serve(self) -> None:
        """Say that all components have started."""
        if self.phase == "starting":
            self._enter("ready")

    def drain(self, now: float) -> None:
        """Say that the proxy is about to stop; `now` is in monotonic seconds."""
        if self.phase != "draining":
            self._began = now
            self._enter("draining")

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        for changed in self.on_change:
            changed()

    def asked(self, peer: str, now: float) -> bool:
        """Note that `peer` asks whether the proxy is ready, and return whether it is."""
        asker = self._askers.pop(peer, None) or _Asker(now)
        asker.at = now
        asker.refused = asker.refused + 1 if self.phase == "draining" else 0
        if asker.refused == REFUSALS:
            asker.noticed_at = now
        self._askers[peer] = asker
        if len(self._askers) > MOST_ASKERS:
            del self._askers[next(iter(self._askers))]
        return self.phase == "ready"

    def is_noticed(self, now: float) -> bool:
        """Whether all who have asked lately know that the proxy drains; so it is where nobody has."""
        return all(
            now - asker.noticed_at >= SETTLE
            for asker in self._askers.values()
            if self._began - asker.at <= LATELY
        )
