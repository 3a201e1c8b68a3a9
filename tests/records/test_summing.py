from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.logs import timestamps
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.records import rollups, summing
from neurolink_mitm.records.rollup_files import refresh, remove_rows, rows_of
from neurolink_mitm.records.rollup_reader import days, path_of
from neurolink_mitm.records.row_reader import RequestFilter
from neurolink_mitm.records.slots import SLOT
from neurolink_mitm.records.stats import BY, Stats, flat, report
from neurolink_mitm.records.summing import Reading, sum_up

Row = dict[str, Any]
START = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
"""Before the clocks of Europe go forward."""
HOURS = 60
FAMILIES = ("proxy", "proxy-attempts")


def write(logs: Path, family: str, rows: list[Row]) -> None:
    by_day: defaultdict[str, list[bytes]] = defaultdict(list)
    for row in rows:
        by_day[row["timestamp"][:10]].append(msgspec.json.encode(row) + b"\n")
    for day, lines in by_day.items():
        with (logs / f"{family}-{day}.jsonl").open("ab") as file:
            file.write(b"".join(lines))


def all_days(logs: Path) -> list[date]:
    return summing.days_between(logs, None, None)


def summed(logs: Path, by: str, since: float | None = None, until: float | None = None) -> object:
    stats = Stats(by)
    reading = sum_up(logs, stats, since, until)
    return [list(flat(by, stats)), report(stats.total()),
            {name: dict(one.over_time) for name, one in stats.groups.items()}, reading.bad]  # fmt: skip


@contextmanager
def zone(name: str) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    timestamps.local_hour.cache_clear()
    try:
        yield
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()
        timestamps.local_hour.cache_clear()


def _grown_up(row: Row) -> Row:
    """Let an agent have one parent. Of several that a client claims, roll-ups know one a day."""
    if agent := row["agentId"]:
        row |= {"parentAgentId": {"a": "b", "b": None}.get(agent, "x"), "sessionId": "s"}
    return row


MOMENTS = st.floats(START, START + HOURS * 3600 - 1)
NAMES = st.sampled_from([None, "", "a", "b", "ü", "x" * 300])
COUNTS = st.one_of(st.none(), st.integers(-5, 100_000), st.just(10**18))
REQUESTS = st.lists(
    st.fixed_dictionaries({
        "timestamp": MOMENTS.map(iso),
        "outcome": st.sampled_from(["complete", "error", "truncated", "client_cancelled"]),
        "attempts": st.integers(-1, 4), "responseStatus": st.sampled_from([None, 200, 429]),
        "account": NAMES, "model": NAMES, "actualModel": NAMES, "client": NAMES, "userId": NAMES, "provider": NAMES,
        "sessionId": NAMES, "agentId": NAMES, "parentAgentId": NAMES, "conversationId": NAMES,
        "inputTokens": COUNTS, "outputTokens": COUNTS, "cacheReadTokens": COUNTS, "movedCacheTokens": COUNTS,
        "costUsd": st.one_of(st.none(), st.integers(-1, 99).map(lambda n: n / 64), st.just(1e300)),
        "ttfbMs": st.one_of(st.none(), st.floats(-1, 1e6)),
    }).map(_grown_up),
    max_size=25,
)  # fmt: skip
ATTEMPTS = st.lists(
    st.fixed_dictionaries({
        "timestamp": MOMENTS.map(iso), "account": NAMES, "reused": st.booleans(),
        "connectMs": st.one_of(st.none(), st.floats(0, 1e4)), "waitMs": st.one_of(st.none(), st.floats(0, 1e4)),
    }),
    max_size=10,
)  # fmt: skip
LIMITS = st.one_of(
    st.none(), MOMENTS, st.integers(0, HOURS * 3600 // SLOT).map(lambda n: START + n * SLOT)
)


@given(
    REQUESTS, ATTEMPTS, st.lists(st.sampled_from([b"{", b"{}", b"\xff", b""]), max_size=2),
    st.integers(0, 25), LIMITS, LIMITS, st.sampled_from(list(BY)),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu"]),
)  # fmt: skip
def test_roll_ups_say_what_rows_say(
    requests: list[Row], attempts: list[Row], garbage: list[bytes], later: int,
    since: float | None, until: float | None, by: str, zone_name: str,
) -> None:  # fmt: skip
    """By each group, in each zone, of any time, and also while some rows are in no roll-up yet."""
    with TemporaryDirectory() as folder, zone(zone_name):
        logs = Path(folder)
        write(logs, "proxy", requests[later:])
        write(logs, "proxy-attempts", attempts)
        for path in logs.glob("proxy-2*"):
            path.write_bytes(path.read_bytes() + b"".join(each + b"\n" for each in garbage))
        for day in all_days(logs):
            refresh(logs, day)
        write(logs, "proxy", requests[:later])
        by_rollups = summed(logs, by, since, until)
        for day in days(logs):
            path_of(logs, day).unlink()
        assert by_rollups == summed(logs, by, since, until)


@given(REQUESTS, ATTEMPTS, st.sampled_from(list(BY)), st.sampled_from(["UTC", "Asia/Kathmandu"]))
def test_rows_that_are_gone_change_nothing(
    requests: list[Row], attempts: list[Row], by: str, zone_name: str
) -> None:
    with TemporaryDirectory() as folder, zone(zone_name):
        logs = Path(folder)
        write(logs, "proxy", requests)
        write(logs, "proxy-attempts", attempts)
        by_rows = summed(logs, by)
        for family in FAMILIES:
            for path in logs.glob(f"{family}-2*"):
                remove_rows(logs, date.fromisoformat(path.stem[-10:]), family)
        assert not list(logs.glob("*.jsonl"))
        assert summed(logs, by) == by_rows


def request(at: float, **fields: Any) -> Row:
    return {"timestamp": iso(START + at), "outcome": "complete", **fields}


def requests_of(logs: Path, since: float | None, until: float | None) -> tuple[int, Reading]:
    stats = Stats("account")
    reading = sum_up(logs, stats, since, until)
    return stats.total().requests, reading


def test_what_is_left_of_a_quarter_is_taken_whole(tmp_path: Path) -> None:
    write(tmp_path, "proxy", [request(0), request(100), request(1000)])
    [day] = all_days(tmp_path)
    remove_rows(tmp_path, day, "proxy")
    requests, reading = requests_of(tmp_path, START + 50, None)
    assert (requests, reading.widened, reading.without_rows) == (3, {day}, {day})
    assert list(reading.notes()) == [
        "only the sums of 2026-03-28 are left: counted by whole quarters of an hour"
    ]
    requests, reading = requests_of(tmp_path, START + 950, None)
    assert (requests, reading.widened) == (1, {day})
    assert requests_of(tmp_path, START + 900, None) == (1, Reading(without_rows={day}))


def test_rows_after_those_that_were_cleaned_are_added(tmp_path: Path) -> None:
    write(tmp_path, "proxy", [request(0)])
    [day] = all_days(tmp_path)
    remove_rows(tmp_path, day, "proxy")
    write(tmp_path, "proxy", [request(5)])
    assert requests_of(tmp_path, None, None)[0] == 2
    refresh(tmp_path, day)
    assert requests_of(tmp_path, None, None)[0] == 2


def test_cleaned_rows_of_a_quarter_are_counted_beside_those_that_are_left(tmp_path: Path) -> None:
    """The rows that are left can't tell which part of the quarter the others were in."""
    write(tmp_path, "proxy", [request(0)])
    [day] = all_days(tmp_path)
    remove_rows(tmp_path, day, "proxy")
    write(tmp_path, "proxy", [request(100)])
    for _ in range(2):
        refresh(tmp_path, day)
        assert requests_of(tmp_path, START + 50, None) == (2, Reading(widened={day}))
        write(tmp_path, "proxy", [])


def test_selected_requests_are_told_by_rows_only(tmp_path: Path) -> None:
    write(tmp_path, "proxy", [request(0, client="bob"), request(86400, client="bob"), request(0)])
    first, second = all_days(tmp_path)
    refresh(tmp_path, second)
    remove_rows(tmp_path, first, "proxy")
    stats = Stats("client")
    reading = sum_up(tmp_path, stats, None, None, wanted=RequestFilter(client="bob"))
    assert (stats.total().requests, reading.unfiltered) == (1, {first})
    assert "can't be filtered" in "".join(reading.notes())


def test_a_broken_roll_up_without_rows_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "proxy", [request(0), request(86400)])
    first, _ = all_days(tmp_path)
    remove_rows(tmp_path, first, "proxy")
    path = path_of(tmp_path, first)
    for data in (path.read_bytes()[:-5], b"\x00" * 100, b""):
        path.write_bytes(data)
        stats = Stats("account")
        reading = sum_up(tmp_path, stats, None, None)
        damaged = "proxy-attempts" if data.startswith(b"{") else "proxy"
        assert (stats.total().requests, bool(reading.unreadable)) == (
            (2, False) if damaged == "proxy-attempts" else (1, True)
        )


def test_a_broken_roll_up_with_rows_is_not_used(tmp_path: Path) -> None:
    write(tmp_path, "proxy", [request(0), request(1)])
    [day] = all_days(tmp_path)
    refresh(tmp_path, day)
    path = path_of(tmp_path, day)
    for cut in range(0, path.stat().st_size, 97):
        path.write_bytes(path.read_bytes()[:-97])
        assert requests_of(tmp_path, None, None) == (2, Reading()), cut


def test_many_rows_are_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "proxy", [request(0), request(1)])
    requests_of(tmp_path, None, None)
    assert days(tmp_path) == set()
    monkeypatch.setattr(summing, "WORTH_A_ROLLUP", 100)
    read: list[int] = []

    @contextmanager
    def progress(total: int) -> Iterator[Callable[[int], object]]:
        yield read.append
        assert sum(read) == total > 0

    sum_up(tmp_path, Stats("account"), None, None, progress)
    assert len(days(tmp_path)) == 1
    write(tmp_path, "proxy", [request(2)])
    read.clear()
    sum_up(tmp_path, Stats("account"), None, None, progress)
    assert len(read) > 0


def test_who_does_not_build_leaves_many_rows_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "proxy", [request(0), request(86400)])
    first, second = all_days(tmp_path)
    refresh(tmp_path, first)
    monkeypatch.setattr(summing, "WORTH_A_ROLLUP", 10)
    stats = Stats("account")
    reading = sum_up(tmp_path, stats, None, None, build=False)
    assert (stats.total().requests, reading.unread) == (1, {second})


def test_rows_tell_more_groups_than_a_roll_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "MAX_KEYS", 2)
    write(tmp_path, "proxy", [request(n, sessionId=str(n)) for n in range(4)])
    [day] = all_days(tmp_path)
    refresh(tmp_path, day)
    stats = Stats("session")
    sum_up(tmp_path, stats, None, None)
    assert sorted(stats.groups) == ["0", "1", "2", "3"]
    remove_rows(tmp_path, day, "proxy")
    stats = Stats("session")
    sum_up(tmp_path, stats, None, None)
    assert {name: one.requests for name, one in stats.ordered()} == {"0": 1, "1": 1, "(others)": 2}


def test_rows_that_can_not_be_summed_up_in_a_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a home that is read only."""
    write(tmp_path, "proxy", [request(0), request(1)])
    monkeypatch.setattr(summing, "WORTH_A_ROLLUP", 10)
    (tmp_path / "rollups").touch()
    assert requests_of(tmp_path, None, None) == (2, Reading())


def test_a_file_of_garbage(tmp_path: Path) -> None:
    rows_of(tmp_path, "proxy", date(2026, 3, 28)).write_bytes(os.urandom(100_000) + b"\n")
    requests, reading = requests_of(tmp_path, None, None)
    assert requests == 0
    assert reading.bad > 0
    refresh(tmp_path, date(2026, 3, 28))
    assert requests_of(tmp_path, None, None) == (0, reading)


def test_the_clock_may_have_been_set_back(tmp_path: Path) -> None:
    """Rows of a time in the file of another day count for their own time."""
    write(tmp_path, "proxy", [request(0)])
    [day] = all_days(tmp_path)
    with rows_of(tmp_path, "proxy", day).open("ab") as file:
        file.write(msgspec.json.encode(request(-86400)) + b"\n")
    for _ in range(2):
        stats = Stats("day")
        sum_up(tmp_path, stats, None, None)
        assert len(stats.groups) == 2
        refresh(tmp_path, day)
