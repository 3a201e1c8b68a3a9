"""The replicas of a cluster as `neurolink cluster status` shows them, and the line of other commands.

A field that the report lacks, as it comes from an older or newer proxy, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from neurolink_mitm.cli.ui.tables import NONE, Column, FittedTable, duration, filled
from neurolink_mitm.cli.ui.terminal import counted
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.status.diagnostic import SKEW

Report = Mapping[str, Any]
GOOD, BUSY, BAD = "green", "yellow", "red"
LATE = 3.0
"""Seconds without a sign of life after which a replica is shown to be late; they give one each second."""
PHASES = {"ready": GOOD, "starting": BUSY, "draining": BUSY}


def cluster_view(report: Report, now: float) -> RenderableType:
    """Return the whole report: Redis, the replicas, and in what some differ."""
    replicas, redis = report.get("replicas") or (), report.get("redis") or {}
    return Group(
        Text(f"namespace {printable(str(report.get('namespace')))}: {_totals(report, replicas)}"),
        _redis_line(redis, now),
        *_failing(redis),
        *([_table(replicas, now, redis.get("state") == "connected")] if replicas else ()),
        *_differences(replicas),
    )


def cluster_lines(report: Report | None, now: float) -> Iterator[Text]:
    """Yield the lines of a report of the whole proxy: one, and those of what is not as it should be."""
    if not report:
        return
    replicas = report.get("replicas") or ()
    names = ", ".join(_name(each) for each in replicas)
    requests = counted((report.get("stats") or {}).get("totalRequests") or 0, "request")
    count = counted(len(replicas), "replica")
    yield Text(f"cluster: {count}: {names or 'none seen yet'}; {requests} in all")
    redis = report.get("redis") or {}
    if redis.get("state") != "connected":
        yield _redis_line(redis, now)
    yield from _failing(redis)
    yield from _differences(replicas)


def _name(replica: Report) -> str:
    phase = replica.get("phase") or "ready"
    notes = ("this one" if replica.get("self") else "", phase if phase != "ready" else "")
    noted = ", ".join(note for note in notes if note)
    return printable(f"{replica['name'] or replica['id']}{f' ({noted})' if noted else ''}")


def _totals(report: Report, replicas: Sequence[Report]) -> str:
    stats = report.get("stats") or {}
    in_flight = sum(each.get("inFlight") or 0 for each in replicas)
    return (
        f"{counted(len(replicas), 'replica')}, {in_flight} in flight;"
        f" {counted(stats.get('totalRequests') or 0, 'request')}:"
        f" {stats.get('totalSuccess') or 0} answered, {stats.get('totalErrors') or 0} failed;"
        f" {stats.get('totalRateLimits') or 0} rate-limited"
    )


def _redis_line(redis: Report, now: float) -> Text:
    connected = redis.get("state") == "connected"
    text = Text("Redis: ").append(
        "connected" if connected else "away", style=GOOD if connected else BAD
    )
    if not connected and redis.get("since"):
        text.append(f" for {duration(max(0.0, now - seconds(redis['since'])))}")
    error = redis.get("error")
    parts = (
        f"breaker {redis.get('breaker')}",
        f"answers in {redis['lagMs']:g} ms" if connected and redis.get("lagMs") is not None else "",
        f"{counted(redis['errors'], 'error')}" if redis.get("errors") else "",
        printable(str(error)) if error else "",
        _skew(redis.get("clockSkew")),
    )
    text.append(f" ({', '.join(each for each in parts if each)})")
    return text if connected else text.append("; each replica goes on by what it knows")


def _failing(redis: Report) -> Iterator[Text]:
    for each in redis.get("failing") or ():
        yield Text(printable(f"{each['kind']}: not shared ({each['reason']})"), style=BAD)


def _skew(skew: float | None) -> str:
    if skew is None or abs(skew) <= SKEW:
        return ""
    return (
        f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Redis'"
    )


def _table(replicas: Sequence[Report], now: float, connected: bool) -> FittedTable:
    def texts(name: str) -> list[Text]:
        return [Text(printable(str(each.get(name) or NONE))) for each in replicas]

    names = [
        Text(printable(str(each["name"] or each["id"]))).append(" *" if each.get("self") else "")
        for each in replicas
    ]
    columns = (
        Column("replica", names, min_width=12),
        Column("state", [_state(each, now, connected) for each in replicas]),
        Column("in flight", [Text(str(each.get("inFlight") or 0)) for each in replicas], right=True),
        Column("held", [Text(str(each.get("held") or NONE)) for each in replicas], right=True, drop_step=2),
        Column("requests", [_stat(each, "totalRequests") for each in replicas], right=True),
        Column("failed", [_stat(each, "totalErrors") for each in replicas], right=True, drop_step=4),
        Column("up", [_up(each, now) for each in replicas], drop_step=5),
        Column("version", texts("version"), drop_step=6),
        Column("mitmproxy", texts("mitmproxy"), drop_step=1),
        Column("Redis ms", [_number(each.get("lagMs")) for each in replicas], right=True, drop_step=7),
        Column("news ms", [_number(each.get("newsMs")) for each in replicas], right=True, drop_step=3),
        Column("errors", [Text(str(each.get("redisErrors") or NONE)) for each in replicas], right=True, drop_step=3),
        Column("clock", [_clock(each.get("clockSkew")) for each in replicas], right=True, drop_step=8),
    )  # fmt: skip
    return FittedTable(filled(columns))


def _state(replica: Report, now: float, connected: bool) -> Text:
    phase, seen = str(replica.get("phase") or "ready"), replica.get("seenAt")
    silent = now - seconds(seen) if seen and not replica.get("self") else 0.0
    if silent > LATE and not connected:
        return Text(f"unknown for {duration(silent)}", style=BUSY)
    if silent > LATE:
        return Text(f"silent {duration(silent)}", style=BAD)
    if replica.get("differs"):
        return Text(f"{phase}, differs", style=BUSY)
    return Text(phase, style=PHASES.get(phase, BUSY))


def _stat(replica: Report, name: str) -> Text:
    return Text(str((replica.get("stats") or {}).get(name) or 0))


def _up(replica: Report, now: float) -> Text:
    started = replica.get("startedAt")
    return Text(duration(max(0.0, now - seconds(started))) if started else NONE)


def _number(value: float | None) -> Text:
    return Text(NONE if value is None else f"{value:g}")


def _clock(skew: float | None) -> Text:
    if skew is None:
        return Text(NONE)
    return Text(f"{round(skew, 1) + 0.0:+.1f} s", style=BUSY if abs(skew) > SKEW else "")


def _differences(replicas: Sequence[Report]) -> Iterator[Text]:
    """Yield in what each replica differs from most."""
    for each in replicas:
        if differs := each.get("differs"):
            what = ", ".join(_difference(name, each) for name in differs)
            yield Text(printable(f"{each['name'] or each['id']} differs: {what}"), style=BUSY)


def _difference(name: str, replica: Report) -> str:
    return f"{name} {replica[name]}".strip() if name in ("version", "mitmproxy") else name
