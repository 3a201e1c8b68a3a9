"""What `neurolink cluster status` shows, and the line of other commands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from neurolink_mitm.cli.cluster.status_text import cluster_lines, cluster_view
from neurolink_mitm.cli.ui.tables import printed
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.cluster.report import RedisState
from tests.fakes import NOW, FakeCluster

AWAY = RedisState(False, "open", NOW - 125, "TimeoutError", 7, lag=0.001, read_at=NOW - 130)


def report(**changes: Any) -> Any:
    return FakeCluster(**changes).report()


def text(shown: Any) -> str:
    return printed(cluster_view(shown, NOW))


def lines(shown: Any) -> list[str]:
    return [line.plain for line in cluster_lines(shown, NOW)]


def test_replicas_and_redis_are_shown() -> None:
    head, redis, titles, first, *_ = text(report()).splitlines()
    assert head.startswith("namespace nl: 3 replicas, 0 in flight; 60 requests: 54 answered")
    assert redis == "Redis: connected (breaker closed, answers in 1 ms)"
    assert titles.split()[:2] == ["replica", "state"]
    assert first.split()[:3] == ["eu-1", "*", "ready"]


def test_a_replica_of_another_version_is_marked() -> None:
    shown = text(report())
    assert "ready, differs" in shown
    assert shown.splitlines()[-1] == "eu-3 differs: version 0.9"


def test_redis_away() -> None:
    shown = text(report(redis=AWAY))
    assert (
        "Redis: away for 2 min (breaker open, 7 errors, TimeoutError); each replica goes on"
        in shown
    )


def test_a_silent_replica_is_shown_as_such() -> None:
    members = FakeCluster().members
    silent = {**members, "id-2": replace(members["id-2"], seen_at=NOW - 5)}
    assert "silent 5 s" in text(report(members=silent))


def test_the_line_of_other_commands() -> None:
    assert lines(report()) == [
        "cluster: 3 replicas: eu-1 (this one), eu-2, eu-3; 60 requests in all",
        "eu-3 differs: version 0.9",
    ]
    assert lines(report(redis=AWAY))[1].startswith("Redis: away for 2 min")
    assert lines(report(members={})) == ["cluster: 0 replicas: none seen yet; 0 requests in all"]
    assert lines(None) == []


def test_names_of_others_are_no_markup_and_no_codes() -> None:
    evil = {"id": Member("[red]x\x1b[31m", "1.0", seen_at=NOW)}
    assert "[red]x" in text(report(members=evil))
    assert "\x1b" not in text(report(members=evil))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Names and states stay readable: the less important columns give way."""
    named = {f"id-{n}": replace(each, name=f"pool-node-{n}.eu.example.com:55669") for n, each in
             enumerate(FakeCluster().members.values())}  # fmt: skip
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(cluster_view(report(members=named), NOW))
    shown = captured.get()
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("ready") == 3


def test_what_is_not_shared_though_redis_is_there() -> None:
    redis = replace(FakeCluster().redis, failing={"sessions": "WRONGTYPE"})
    assert "sessions: not shared (WRONGTYPE)" in text(report(redis=redis))
    assert "sessions: not shared (WRONGTYPE)" in lines(report(redis=redis))


def test_a_replica_that_says_nothing_of_itself() -> None:
    """Another program's, or one of a later version."""
    shown = text(report(members={**FakeCluster().members, "odd": Member(seen_at=NOW)}))
    [row] = [line for line in shown.splitlines() if line.startswith("odd ")][:1]
    assert " d " not in row  # it has not been up since 1970
    assert "odd differs: version" in shown


def test_a_phase_is_in_the_line() -> None:
    draining = {"id-1": Member("eu-1", phase="draining", seen_at=NOW)}
    assert lines(report(members=draining))[0] == (
        "cluster: 1 replica: eu-1 (this one, draining); 0 requests in all"
    )
