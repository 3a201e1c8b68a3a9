from __future__ import annotations

import random
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.records import history, summing
from neurolink_mitm.records.history import DRAWN, Answer, Question, answer, start_of
from neurolink_mitm.records.rollup_files import refresh, remove_rows
from neurolink_mitm.records.rollup_reader import path_of
from neurolink_mitm.records.stats import REST
from neurolink_mitm.records.sums import Numbers

START = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
DAY = 86400.0


def request(at: float, **fields: Any) -> dict[str, Any]:
    return {"timestamp": iso(START + at), "outcome": "complete", "attempts": 1, **fields}


def write(logs: Path, *rows: dict[str, Any]) -> list[date]:
    for row in rows:
        with (logs / f"proxy-{row['timestamp'][:10]}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
    return summing.days_between(logs, None, None)


def many(seed: int, count: int = 300) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    rows = (
        request(
            chance.random() * 4 * DAY, account=chance.choice("abc"), sessionId=str(chance.randrange(60)),
            ttfbMs=chance.random() * 5000, costUsd=chance.randrange(64) / 64, outputTokens=chance.randrange(999),
        ) for _ in range(count)
    )  # fmt: skip
    return sorted(rows, key=lambda row: str(row["timestamp"]))


def plain(found: Answer) -> Any:
    """The answer without what differs: which days have rows."""
    lines = {
        name: (sorted(line.requests.items()), sorted(line.cost.items()))
        for name, line in found.lines.items()
    }
    return found.columns, found.over_time, found.groups, lines, found.total, found.before


@pytest.mark.parametrize("by", ["account", "session"])
@pytest.mark.parametrize("step", ["day", "hour"])
@pytest.mark.parametrize(
    ("since", "until"), [(None, None), (1.5 * DAY, 3.25 * DAY), (DAY, 2 * DAY)]
)
def test_roll_ups_answer_as_rows_do(
    tmp_path: Path, by: str, step: str, since: float | None, until: float | None
) -> None:
    days = write(tmp_path, *many(1))
    asked = Question(by, step, since and START + since, until and START + until)
    by_rows = plain(answer(tmp_path, asked))
    for day in days:
        refresh(tmp_path, day)
    assert plain(answer(tmp_path, asked)) == by_rows
    for day in days:
        remove_rows(tmp_path, day, "proxy")
    assert plain(answer(tmp_path, asked)) == by_rows


def test_columns_without_requests_are_columns(tmp_path: Path) -> None:
    write(tmp_path, request(0), request(3 * DAY))
    assert len(answer(tmp_path, Question()).columns) == 4
    assert len(answer(tmp_path, Question(step="hour")).columns) == 73


def test_a_clock_that_was_wrong_by_years_makes_no_columns_between(tmp_path: Path) -> None:
    write(tmp_path, request(0), request(-60_000_000_000))
    assert len(answer(tmp_path, Question(step="hour")).columns) == 2


def test_the_last_columns_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "COLUMNS", 2)
    write(tmp_path, request(0), request(3 * DAY))
    found = answer(tmp_path, Question())
    assert (len(found.columns), found.cut) == (2, True)


def test_the_largest_groups_are_shown_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SHOWN", 8)
    rows = [request(n, sessionId=str(n)) for n in range(10) for _ in range(n + 1)]
    days = write(tmp_path, *rows)
    for _ in range(2):
        found = answer(tmp_path, Question("session"))
        assert [name for name, _ in found.groups] == ["9", "8", "7", "6", "5", "4", "3", "2", REST]
        assert found.groups[-1][1].requests == 3
        assert len(found.lines) == DRAWN
        for day in days:
            refresh(tmp_path, day)


def test_the_smallest_of_too_many_groups_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST", 3)
    days = write(tmp_path, *(request(n, sessionId=str(n)) for n in range(20)))
    for day in days:
        refresh(tmp_path, day)
    found = answer(tmp_path, Question("session"))
    assert sum(sums.requests for _, sums in found.groups) == 20
    assert len(found.groups) == 4


def test_the_range_before(tmp_path: Path) -> None:
    days = write(tmp_path, request(0, outputTokens=5), request(DAY), request(DAY + 1))
    asked = Question(since=START + DAY, until=START + 2 * DAY)
    for _ in range(2):
        assert answer(tmp_path, asked).before == Numbers(requests=1, output=5)
        for day in days:
            refresh(tmp_path, day)
    week = Question(since=START + 7 * DAY, until=START + 8 * DAY, shift=6 * DAY)
    assert answer(tmp_path, week).before == Numbers(requests=2)
    assert answer(tmp_path, Question()).before is None
    assert Question(since=900.0, until=900.0).before is None


def test_a_range_is_of_whole_quarters() -> None:
    assert Question(since=901.0, until=1799.0).range == (900, 1800)


def test_many_rows_without_a_roll_up_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summing, "WORTH_A_ROLLUP", 10)
    [day] = write(tmp_path, request(0))
    found = answer(tmp_path, Question())
    assert (found.total.requests, found.reading.unread) == (0, {day})


def test_a_roll_up_that_breaks_leaves_its_day_out(tmp_path: Path) -> None:
    first, second = write(tmp_path, request(0), request(DAY))
    for day in (first, second):
        refresh(tmp_path, day)
        remove_rows(tmp_path, day, "proxy")
    path = path_of(tmp_path, first)
    path.write_bytes(path.read_bytes()[:700])
    found = answer(tmp_path, Question())
    assert (found.total.requests, found.reading.unreadable) == (1, {first})


@pytest.mark.parametrize(
    ("column", "start"), [("1970-01-02", DAY), ("1970-01-02T03", DAY + 3 * 3600), ("x", 0.0)]
)
def test_the_start_of_a_column(column: str, start: float, monkeypatch: pytest.MonkeyPatch) -> None:
    offset = datetime.fromtimestamp(DAY).astimezone().utcoffset()
    assert offset is not None
    assert start_of(column) == (start - offset.total_seconds() if column != "x" else 0.0)
