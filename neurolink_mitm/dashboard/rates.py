"""How fast the tokens of responses come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.core.logs.timestamps import seconds

Report = Mapping[str, Any]
"""`/status`, or a piece of it."""

STEP = 1.0
"""Seconds between two measurements: else the figures would change with each look."""
STEPS = 4
"""Measurements whose mean a rate is: upstream sends in bursts."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens so far, and tokens a second lately."""

    tokens: int
    a_second: float


class Rates:
    """The rates of the responses in flight. May be asked by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured: dict[str, deque[tuple[float, int]]] = {}
        self._rates: Mapping[str, Rate] = {}
        self._at = 0.0

    def of(self, requests: Iterable[Report], now: float) -> Mapping[str, Rate]:
        """Return the rates by request id, `STEP` seconds old at most; none of one that has just begun."""
        with self._lock:
            if not 0 <= now - self._at < STEP:
                self._rates, self._at = self._measure(requests, now), now
            return self._rates

    def _measure(self, requests: Iterable[Report], now: float) -> Mapping[str, Rate]:
        before, self._measured, rates = self._measured, {}, {}
        for each in requests:
            tokens, first_byte_at = each["outputTokens"], each["firstByteAt"]
            if tokens is None or first_byte_at is None:
                continue
            begun = deque([(seconds(first_byte_at), 0)], maxlen=STEPS)
            points = self._measured[each["requestId"]] = before.get(each["requestId"], begun)
            points.append((now, tokens))
            began, first = points[0]
            if now > began:
                rates[each["requestId"]] = Rate(tokens, max(0, tokens - first) / (now - began))
        return rates
