"""Turns the report on a cluster, of `/status` or of a look at Redis, into diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurolink_mitm.core.cluster.report import place_of
from neurolink_mitm.core.status.diagnostic import SKEW, Diagnostic, ok, warn

Report = Mapping[str, Any]
Fixes = Sequence[tuple[Sequence[str], str]]
FIXES: Fixes = (
    (("NOAUTH", "WRONGPASS", "ERR AUTH"), "correct the password in cluster.url"),
    (("DB index",), "correct the number at the end of cluster.url"),
    (("READONLY",), "let cluster.url name the primary, not a copy of it"),
    (("OOM", "MISCONF"), "make room for Redis: its log says what is full"),
    (("DENIED",), "give Redis a password, and put it into cluster.url"),
    (("certificate", "SSL"), "use a certificate for that host, and name its authority in network.ca-bundle"),
    (("Protocol error",), "correct cluster.url: another program answers there"),
)  # fmt: skip
"""Words of an error, and what to do about it."""
REASONS: Fixes = (
    (("NOPERM",), "give the user of cluster.url the rights that neurolink docs cluster names"),
    (("another key",), "copy cluster.key from another replica, and start again"),
    (("another account",), "neurolink auth login anthropic --add --label OTHER, then neurolink auth logout LABEL"),
)  # fmt: skip
"""Words of the reason why something is not shared, and what to do about it."""
ELSE = "see whether Redis runs and can be reached (redis-cli -u URL ping), and whether it speaks TLS (rediss://) or not"


def diagnose_cluster(report: Report | None) -> Iterator[Diagnostic]:
    """Yield one diagnostic where all is well, else one of each thing that is not; none without a cluster."""
    if not report:
        return
    troubles = (*_redis(report["redis"]), *_clock(report["redis"]), *_differences(report))
    yield from troubles or (ok("cluster", _replicas(report)),)


def _replicas(report: Report) -> str:
    replicas, namespace = report["replicas"], report["namespace"]
    lag = report["redis"]["lagMs"]
    redis = f"; Redis answers in {lag:g} ms" if lag is not None else ""
    if any(each["self"] for each in replicas):
        return f"{place_of(report)}{redis}"
    names = ", ".join(each["name"] or each["id"] for each in replicas)
    return f"replicas of the cluster {namespace}: {names or 'none runs'}{redis}"


def _redis(redis: Report) -> Iterator[Diagnostic]:
    if redis["state"] != "connected":
        error = redis["error"] or next((each["reason"] for each in redis["failing"]), "no answer")
        yield warn(
            "cluster-away",
            f"Redis is away ({error}): each replica goes on by what it knows, and refreshes no login",
            _fix(FIXES, error, ELSE),
        )
        return
    for each in redis["failing"]:
        yield warn(
            "cluster-not-shared",
            f"{each['kind']} are not shared ({each['reason']})",
            _fix(REASONS, each["reason"], "see who else writes to this namespace of Redis"),
        )


def _fix(fixes: Fixes, error: str, otherwise: str) -> str:
    return next((fix for words, fix in fixes if any(word in error for word in words)), otherwise)


def _clock(redis: Report) -> Iterator[Diagnostic]:
    skew = redis["clockSkew"]
    if skew is not None and abs(skew) > SKEW:
        yield warn(
            "cluster-clock",
            f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Redis'",
            "sudo timedatectl set-ntp true, on both machines",
        )


def _differences(report: Report) -> Iterator[Diagnostic]:
    for each in report["replicas"]:
        if each["differs"]:
            yield warn(
                "cluster-differs",
                f"the replica {each['name'] or each['id']} differs from the others: {', '.join(each['differs'])}",
                "give it the same proxy-config.yaml, .env, cluster.key and version",
            )
