"""What this replica says of itself, and what it shows of the cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version

from neurolink_mitm import __version__
from neurolink_mitm.cluster.pool.tallies import CountedByAll
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.digests import digests
from neurolink_mitm.core.cluster.members import Member, differences, oldest
from neurolink_mitm.core.cluster.report import RedisState, cluster_report
from neurolink_mitm.ports import Runtime

SILENT = 3.0
"""Seconds without a sign of life after which a replica is not relied on; it gives one each second."""


class Described:
    """What a replica says of itself, by its runtime."""

    def __init__(self, runtime: Runtime, name: str, host_name: str, namespace: str) -> None:
        """Without a `name` of its own, it is called by `host_name` and port."""
        self._runtime = runtime
        self._name = name
        self._host_name = host_name
        self._namespace = namespace
        self._digested: tuple[object, ...] = ()
        self._digests: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        return self._name or f"{self._host_name}:{self._runtime.port}"

    def describe(self, replica: Replica) -> Member:
        runtime, offset = self._runtime, replica.link.offset
        totals, dashboard = runtime.totals, runtime.dashboard
        return Member(
            name=self.name,
            version=__version__,
            mitmproxy=_mitmproxy_version(),
            pid=runtime.pid,
            phase=runtime.readiness.phase,
            started_at=offset.to_server(runtime.started_at),
            in_flight=sum(1 for _ in runtime.in_flight),
            held=len(runtime.waiting.held),
            attempts=totals.attempts,
            requests=totals.requests,
            success=totals.success,
            errors=totals.errors,
            rate_limits=totals.rate_limits,
            clock_skew=None if offset.seconds is None else -offset.seconds,
            lag_ms=None if replica.lag is None else replica.lag * 1000,
            news_ms=None if replica.heard_after is None else replica.heard_after * 1000,
            redis_errors=replica.link.errors,
            dashboard=(dashboard.url if dashboard else None) or "",
            digests=self._digest(),
        )

    def _digest(self) -> Mapping[str, str]:
        """Return the digests of what is in force: made anew only when that is replaced."""
        runtime = self._runtime
        now = (runtime.config, runtime.pool.strategy, runtime.pool.accounts, runtime.clients)
        if len(self._digested) != len(now) or any(
            a is not b for a, b in zip(now, self._digested, strict=True)
        ):
            self._digested = now
            self._digests = digests(*now, self._namespace)
        return self._digests


class View:
    """The cluster as addons and pages see it: the port `Cluster`."""

    def __init__(self, described: Described, replica: Replica, counted: CountedByAll) -> None:
        self._described = described
        self._replica = replica
        self._counted = counted

    @property
    def name(self) -> str:
        return self._described.name

    def report(self) -> Mapping[str, object]:
        replica = self._replica
        link = replica.link
        state = replace(
            redis_state(link, replica.lag, replica.read_at),
            news=replica.heard_after,
            failing=dict(replica.failing),
        )
        report = cluster_report(
            link.names.namespace,
            replica.id,
            state,
            self._members(),
            link.offset.to_ours,
            self._counted.rows(),
        )
        return {**report, "replica": self.name}

    def _members(self) -> Mapping[str, Member]:
        """Return the replicas, this one also where Redis has never said so."""
        replica = self._replica
        if replica.id in replica.members:
            return replica.members
        return {**replica.members, replica.id: self._described.describe(replica)}

    def gauges(self, now: float) -> Mapping[str, float]:
        replica = self._replica
        link, members = replica.link, self._members()
        skew, read_at = link.offset.seconds, replica.read_at
        values = {
            "proxy_cluster_replicas": float(len(members)),
            "proxy_cluster_replicas_differing": float(
                sum(map(bool, differences(members).values()))
            ),
            "proxy_cluster_breaker_open": float(link.breaker.is_open),
            "proxy_cluster_redis_errors_total": float(link.errors),
            "proxy_cluster_redis_lag_seconds": replica.lag,
            "proxy_cluster_news_lag_seconds": replica.heard_after,
            "proxy_cluster_lag_seconds": None if read_at is None else max(0.0, now - read_at),
            "proxy_cluster_clock_skew_seconds": None if skew is None else -skew,
        }
        return {name: round(value, 6) for name, value in values.items() if value is not None}

    def tells(self) -> bool:
        replica, now = self._replica, self._replica.link.offset.to_server(time.time())
        relied_on = {
            id_: each
            for id_, each in replica.members.items()
            if each.phase == "ready" and now - each.seen_at < SILENT
        }
        return replica.link.breaker.is_open or oldest(relied_on) in (None, replica.id)


def redis_state(link: Link, lag: float | None, read_at: float | None) -> RedisState:
    """Return how Redis is reached by `link`."""
    breaker, offset = link.breaker, link.offset.seconds
    since = time.time() - (time.monotonic() - (breaker.changed_at or link.began_at))
    return RedisState(
        connected=not breaker.is_open and read_at is not None,
        breaker=breaker.state.value,
        since=since,
        error=breaker.reason,
        errors=link.errors,
        lag=lag,
        read_at=read_at,
        clock_skew=None if offset is None else -offset,
    )


@cache
def _mitmproxy_version() -> str:
    return version("mitmproxy")
