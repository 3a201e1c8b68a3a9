"""The part of `/status` on the cluster; `neurolink cluster status` prints it. Times are ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.cluster.members import Member, differences, total
from neurolink_mitm.core.logs.rows import iso

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class RedisState:
    """How one process reaches Redis. Times are seconds since the epoch, by this machine's clock."""

    connected: bool
    breaker: str
    since: float
    """When `breaker` last changed."""
    error: str = ""
    """The last error; empty after an answer."""
    errors: int = 0
    lag: float | None = None
    """Seconds that Redis took for its last answer; None before the first."""
    read_at: float | None = None
    """When all was last read; None before the first time."""
    news: float | None = None
    """Seconds until what a replica publishes is heard here; None before the first time."""
    clock_skew: float | None = None
    """Seconds that this machine's clock is ahead of Redis'."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """Why a kind of state is not shared, while Redis is there."""


def cluster_report(
    namespace: str,
    replica: str | None,
    redis: RedisState,
    members: Mapping[str, Member],
    to_ours: Callable[[float], float],
    accounts: Sequence[Row] = (),
) -> Row:
    """Return the report of the replica with the id `replica`, or of a command, which is none.

    `accounts` are what all replicas have counted of each.
    """
    differs = differences(members)
    listed = sorted(members.items(), key=lambda each: (each[1].name, each[1].started_at, each[0]))
    own = members.get(replica or "")
    return {
        "namespace": namespace,
        "replica": own.name if own else None,
        "redis": _redis(redis),
        "replicas": [
            {"id": id_, "self": id_ == replica, **_member(each, differs[id_], to_ours)}
            for id_, each in listed
        ],
        "stats": {**total(list(members.values())), "accounts": accounts},
    }


def place_of(report: Mapping[str, Any]) -> str:
    """Return in words that the replica of `report` is one of several, or the only one."""
    count = len(report["replicas"])
    own = f"one of {count} replicas" if count > 1 else "the only replica"
    return f"{own} of the cluster {report['namespace']}"


def _redis(redis: RedisState) -> Row:
    return {
        "state": "connected" if redis.connected else "away",
        "breaker": redis.breaker,
        "since": iso(redis.since),
        "error": redis.error or None,
        "errors": redis.errors,
        "lagMs": _ms(redis.lag),
        "newsMs": _ms(redis.news),
        "readAt": None if redis.read_at is None else iso(redis.read_at),
        "clockSkew": None if redis.clock_skew is None else round(redis.clock_skew, 2),
        "failing": [{"kind": kind, "reason": why} for kind, why in redis.failing.items()],
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _member(member: Member, differs: list[str], to_ours: Callable[[float], float]) -> Row:
    return {
        "name": member.name,
        "version": member.version,
        "mitmproxy": member.mitmproxy,
        "pid": member.pid,
        "startedAt": _iso(member.started_at, to_ours),
        "seenAt": _iso(member.seen_at, to_ours),
        "phase": member.phase,
        "inFlight": member.in_flight,
        "held": member.held,
        "stats": total([member]),
        "clockSkew": None if member.clock_skew is None else round(member.clock_skew, 2),
        "lagMs": None if member.lag_ms is None else round(member.lag_ms, 1),
        "newsMs": None if member.news_ms is None else round(member.news_ms, 1),
        "redisErrors": member.redis_errors,
        "dashboard": member.dashboard or None,
        "differs": differs,
    }


def _iso(moment: float, to_ours: Callable[[float], float]) -> str | None:
    return iso(to_ours(moment)) if moment > 0 else None
