"""What is recorded of the limits that accounts met, and the failures that upstream would answer with."""

from __future__ import annotations

import math

from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.families import family_of
from neurolink_mitm.core.pool.limit_headers import UNIFIED
from neurolink_mitm.records.recording import Tried

CLAIM = f"{UNIFIED}representative-claim".encode()
"""The header that names the window which has limited a request."""


class Limits:
    """What is recorded of limits up to a time."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], dict[str, Tried]] = {}
        """By account and endpoint, the latest of each family of models."""
        self._served: dict[tuple[str, str, str], float] = {}
        """By account, endpoint and family, when it was last served, if there was a limit."""

    def take(self, tried: Tried) -> None:
        place = (tried.account, tried.endpoint)
        if tried.keeps_away:
            limits = self._by_place.setdefault(place, {})
            before = limits.get(tried.family)
            if before is None or before.until <= tried.until:
                limits[tried.family] = tried
        elif place in self._by_place:
            self._by_place[place].pop(tried.family, None)
            self._served[(*place, tried.family)] = tried.at
            if not self._by_place[place]:
                del self._by_place[place]

    def of(self, account: str, of: Requirements, now: float) -> Tried | None:
        """Return what keeps the account from serving such a request at `now`; None: nothing that is recorded."""
        limits = self._by_place.get((account, of.endpoint))
        if not limits:
            return None
        family = family_of(of.model)
        served_at = self._served.get((account, of.endpoint, family), -math.inf)
        for each in limits.values():
            if now < each.until and (family == each.family or served_at < each.at):
                return each
        return None


def failure_of(limit: Tried, now: float) -> Failure:
    """Return the failure that upstream would have answered with at `now`."""
    stage = FailureStage.STATUS
    if limit.status is None or limit.status < 400:
        stage = FailureStage.NETWORK if limit.status is None else FailureStage.EVENT
    fields: list[tuple[bytes, bytes]] = []
    if limit.retry_after is not None:
        fields.append((b"retry-after", f"{max(0.0, limit.until - now):.3f}".encode()))
    if limit.of_family_only:
        fields.append((CLAIM, f"seven_day_{limit.family}".encode()))
    status = limit.status if stage is FailureStage.STATUS else None
    return Failure(stage, status, limit.error_type or "", "", tuple(fields))
