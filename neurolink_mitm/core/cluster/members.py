"""What a replica says of itself, as the others read it: of a Redis that may hold anything."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

MOST = 100
"""Replicas that are read at most: the latest to give a sign of life."""
LONGEST = 4096
"""Bytes of what a replica says of itself; longer ones are not read. Ours are below 2 KB."""
LONGEST_TEXT = 100
LONGEST_URL = 200
MOST_DIGESTS = 40
LARGEST = 1e15
PHASES = ("starting", "ready", "draining")

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa1-\u2027\u2030-\ud7ff]")


@dataclass(frozen=True, slots=True)
class Member:
    """One replica. Times are seconds since the epoch by Redis' clock."""

    name: str = ""
    version: str = ""
    mitmproxy: str = ""
    pid: int = 0
    started_at: float = 0.0
    phase: str = "ready"
    in_flight: int = 0
    held: int = 0
    attempts: int = 0
    requests: int = 0
    success: int = 0
    errors: int = 0
    rate_limits: int = 0
    clock_skew: float | None = None
    """Seconds that its clock is ahead of Redis'."""
    lag_ms: float | None = None
    """Milliseconds that Redis takes to answer it."""
    news_ms: float | None = None
    """Milliseconds until it hears what is published."""
    redis_errors: int = 0
    dashboard: str = ""
    """The address of its pages, for those on its machine."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """What replicas should have in common: a digest of each part of the configuration."""
    seen_at: float = 0.0
    """When it last gave a sign of life."""


def written(member: Member) -> bytes:
    """Return what a replica writes of itself."""
    fields = asdict(member)
    del fields["seen_at"]  # Redis notes it
    return msgspec.json.encode(fields)


def read_members(rows: Iterable[tuple[str, bytes, float]]) -> dict[str, Member]:
    """Return the replicas by id, of `rows` of id, what it says of itself, and its last sign of life."""
    members: dict[str, Member] = {}
    for id_, said, seen_at in rows:
        if len(members) < MOST and (member := _read(said, seen_at)):
            members[clean(id_)] = member
    return members


def _read(said: bytes, seen_at: float) -> Member | None:
    if len(said) > LONGEST:
        return None
    try:
        fields = msgspec.json.decode(said)
    except (*UNREADABLE, ValueError):
        return None
    if not isinstance(fields, dict):
        return None
    read = {name: reader(fields[name]) for name, reader in _READERS.items() if name in fields}
    return Member(**read, seen_at=_number(seen_at) or 0.0)


def clean(value: object, longest: int = LONGEST_TEXT) -> str:
    """Return a text of a replica: short, in one line; empty for what is no text."""
    return _UNPRINTABLE.sub("?", value[:longest]) if isinstance(value, str) else ""


def _url(value: object) -> str:
    text = clean(value, LONGEST_URL)
    return text if text.startswith(("http://", "https://")) else ""


def _phase(value: object) -> str:
    return value if isinstance(value, str) and value in PHASES else "ready"


def _count(value: object) -> int:
    return min(max(value, 0), int(LARGEST)) if type(value) is int else 0


def _number(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    assert isinstance(value, int | float)
    return float(value) if abs(value) <= LARGEST and math.isfinite(value) else None


def _moment(value: object) -> float:
    return max(0.0, _number(value) or 0.0)


def _digests(value: object) -> dict[str, str]:
    pairs = list(value.items())[:MOST_DIGESTS] if isinstance(value, dict) else ()
    return {clean(name): clean(digest) for name, digest in pairs}


_READERS: Mapping[str, Callable[[object], Any]] = {
    "name": clean,
    "version": clean,
    "mitmproxy": clean,
    "pid": _count,
    "started_at": _moment,
    "phase": _phase,
    "in_flight": _count,
    "held": _count,
    "attempts": _count,
    "requests": _count,
    "success": _count,
    "errors": _count,
    "rate_limits": _count,
    "clock_skew": _number,
    "lag_ms": _number,
    "news_ms": _number,
    "redis_errors": _count,
    "dashboard": _url,
    "digests": _digests,
}


def oldest(members: Mapping[str, Member]) -> str | None:
    """Return the id of the replica that has been there longest, which is the same for all that read the same."""

    def age(id_: str) -> tuple[bool, float, str]:
        return members[id_].started_at <= 0, members[id_].started_at, id_

    return min(members, key=age, default=None)


def differences(members: Mapping[str, Member]) -> dict[str, list[str]]:
    """Return by id in what a replica differs from most; from the oldest, where none has a majority.

    These are `version`, `mitmproxy`, and parts of the configuration.
    """
    first = oldest(members)
    if first is None:
        return {}
    traits = {id_: _traits(member) for id_, member in members.items()}
    names = sorted({name for each in traits.values() for name in each})
    usual = {name: _usual(name, traits, first) for name in names}
    return {
        id_: [name for name in names if each.get(name) != usual[name]]
        for id_, each in traits.items()
    }


def _traits(member: Member) -> dict[str, str]:
    own = {"version": member.version, "mitmproxy": member.mitmproxy}
    return own | {name: digest for name, digest in member.digests.items() if name not in own}


def _usual(name: str, traits: Mapping[str, Mapping[str, str]], first: str) -> str | None:
    counts = Counter(each.get(name) for each in traits.values())
    most = max(counts.values())
    ours = traits[first].get(name)
    likeliest = [value for value, count in counts.items() if count == most]
    return ours if ours in likeliest else min(likeliest, key=str)


def total(members: Sequence[Member]) -> dict[str, int]:
    """Return the sums over all replicas, by the names of `/status`."""
    return {
        "totalAttempts": sum(each.attempts for each in members),
        "totalRequests": sum(each.requests for each in members),
        "totalSuccess": sum(each.success for each in members),
        "totalErrors": sum(each.errors for each in members),
        "totalRateLimits": sum(each.rate_limits for each in members),
    }
