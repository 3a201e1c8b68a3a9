"""The replicas of a cluster as the page Health shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.status.diagnostic import SKEW
from neurolink_mitm.dashboard.views.health import State

SILENT = 3.0
"""Seconds without a sign of life after which a replica is shown to be silent."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica as the page shows it: in steps, so that what changes all the time is not sent all the time."""

    name: str
    own: bool
    word: str
    state: State
    in_flight: int
    requests: int
    version: str
    lag_ms: int | None
    skew: float | None
    differs: tuple[str, ...]
    silent_since: str | None = None


def replicas(report: Mapping[str, Any] | None, now: float) -> list[Replica]:
    """Return the replicas in the report of the cluster; none without one."""
    if report is None:
        return []
    connected = report["redis"]["state"] == "connected"
    return [_replica(each, now, connected=connected) for each in report["replicas"]]


def _replica(each: Mapping[str, Any], now: float, *, connected: bool) -> Replica:
    silent = not each["self"] and bool(each["seenAt"]) and now - seconds(each["seenAt"]) > SILENT
    word, state = _state(each, silent=silent, connected=connected)
    skew = each["clockSkew"]
    return Replica(
        name=each["name"] or each["id"],
        own=each["self"],
        word=word,
        state=state,
        in_flight=each["inFlight"],
        requests=each["stats"]["totalRequests"],
        version=each["version"],
        lag_ms=_step(each["lagMs"]),
        skew=skew if skew is not None and abs(skew) > SKEW else None,
        differs=tuple(
            f"{name} {each[name]}".strip() if name in ("version", "mitmproxy") else name
            for name in each["differs"]
        ),
        silent_since=each["seenAt"] if silent else None,
    )


def _state(each: Mapping[str, Any], *, silent: bool, connected: bool) -> tuple[str, State]:
    if silent:
        return ("silent", "bad") if connected else ("unknown", "warn")
    if each["differs"]:
        return "differs", "warn"
    return each["phase"], "good" if each["phase"] == "ready" else "warn"


def _step(milliseconds: float | None) -> int | None:
    """Return the next of 1, 2, 5, 10, 20, 50, … milliseconds."""
    if milliseconds is None:
        return None
    return next(
        (m * 10**n for n in range(5) for m in (1, 2, 5) if milliseconds <= m * 10**n), 100_000
    )
