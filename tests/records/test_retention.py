from __future__ import annotations

import asyncio
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.settings.values import Logging
from neurolink_mitm.records.retention import LogEntry, clean, day_of, keep_clean, surplus
from tests.waiting import LIMIT

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()


def kept(day: int, size: int = 10, *, rows: bool = True, changed: float = 0.0) -> LogEntry:
    return LogEntry(date(2026, 11, day), rows, changed, f"{day}-{rows}-{changed}", size)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("proxy-2026-11-22.jsonl", date(2026, 11, 22)),
        ("proxy-attempts-2026-11-22.jsonl", date(2026, 11, 22)),
        ("proxy-debug-2026-11-22.jsonl", date(2026, 11, 22)),
        ("audit-2026-11-22.jsonl", date(2026, 11, 22)),
        ("proxy-2026-13-22.jsonl", None),
        ("proxy-2026-11-22.jsonl.bak", None),
        ("proxy-mine-2026-11-22.jsonl", None),
        ("translator.log", None),
    ],
)
def test_what_is_ours(name: str, day: date | None) -> None:
    assert day_of(name) == day


def test_what_is_too_old_goes() -> None:
    """A day's rows are too old when the last of them is."""
    files = [kept(15), kept(16), kept(23)]
    assert surplus(files, NOW, max_age_days=7, max_bytes=100) == [kept(15)]


def test_the_oldest_go_until_the_rest_is_small_enough() -> None:
    files = [kept(23), kept(21), kept(22), kept(20)]
    assert surplus(files, NOW, max_age_days=7, max_bytes=20) == [kept(20), kept(21)]


def test_bodies_go_before_the_rows_of_their_day() -> None:
    files = [kept(22), kept(22, rows=False, changed=2.0), kept(22, rows=False, changed=1.0)]
    gone = surplus(files, NOW, max_age_days=7, max_bytes=10)
    assert [(each.rows, each.changed) for each in gone] == [(False, 1.0), (False, 2.0)]


def test_nothing_goes_where_there_is_room() -> None:
    assert surplus([kept(22), kept(23)], NOW, max_age_days=7, max_bytes=20) == []


@given(st.lists(st.builds(kept, st.integers(1, 23), st.integers(0, 100))), st.integers(0, 500))
def test_what_is_left_is_small_enough_and_not_a_file_less(
    files: list[LogEntry], limit: int
) -> None:
    gone = surplus(files, NOW, max_age_days=30, max_bytes=limit)
    total, size = sum(f.size for f in files), sum(f.size for f in gone)
    assert total - size <= limit
    assert not gone or total - (size - gone[-1].size) > limit


def write(path: Path, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def left(logs: Path) -> list[str]:
    return sorted(str(path.relative_to(logs)) for path in logs.rglob("*") if path.is_file())


def test_old_rows_and_bodies_go(tmp_path: Path) -> None:
    write(tmp_path / "proxy-2026-11-01.jsonl")
    write(tmp_path / "bodies/2026-11-01/req_1/1.json.gz")
    write(tmp_path / "proxy-2026-11-22.jsonl")
    write(tmp_path / "bodies/2026-11-22/req_2/1.json.gz")
    clean(tmp_path, Logging(), NOW)
    assert left(tmp_path) == ["bodies/2026-11-22/req_2/1.json.gz", "proxy-2026-11-22.jsonl"]
    assert not (tmp_path / "bodies/2026-11-01").exists()


def test_too_much_is_cut_down_from_its_oldest(tmp_path: Path) -> None:
    for day in (20, 21, 22):
        write(tmp_path / f"proxy-2026-11-{day}.jsonl", 400_000)
    clean(tmp_path, Logging(max_size_mb=1), NOW)
    assert left(tmp_path) == ["proxy-2026-11-21.jsonl", "proxy-2026-11-22.jsonl"]


def test_the_bodies_of_the_earliest_requests_go_first(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(tmp_path / f"bodies/2026-11-22/req_{number}/1.json.gz", 400_000)
        os.utime(tmp_path / f"bodies/2026-11-22/req_{number}", (number, number))
    clean(tmp_path, Logging(max_size_mb=1), NOW)
    assert left(tmp_path) == [f"bodies/2026-11-22/req_{n}/1.json.gz" for n in (2, 3)]


@pytest.mark.parametrize("name", ["translator.log", "notes-2020-01-01.txt", "bodies/mine/x.json"])
def test_what_is_not_ours_is_left_alone(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, 2_000_000)
    clean(tmp_path, Logging(max_size_mb=1), NOW)
    assert left(tmp_path) == [name]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Somebody's directory behind a link must not be emptied."""
    theirs = write(tmp_path / "theirs" / "file")
    logs = tmp_path / "logs"
    (logs / "bodies/2026-11-01").mkdir(parents=True)
    (logs / "bodies/2026-11-01/req_1").symlink_to(theirs.parent)
    (logs / "bodies/2026-11-02").symlink_to(theirs.parent)
    clean(logs, Logging(), NOW)
    assert theirs.exists()


def test_a_directory_that_is_not_there_is_clean(tmp_path: Path) -> None:
    clean(tmp_path / "logs", Logging(), NOW)


async def test_it_is_done_at_once_and_again_with_the_limits_of_then(tmp_path: Path) -> None:
    limits = [Logging(max_age_days=100), Logging(max_age_days=1)]
    write(tmp_path / "proxy-2026-11-20.jsonl")
    asked: list[list[str]] = []
    enough = asyncio.Event()

    def next_limits() -> Logging:
        asked.append(left(tmp_path))
        if len(asked) == 3:
            enough.set()
        return limits[min(len(asked), len(limits)) - 1]

    task = asyncio.create_task(keep_clean(tmp_path, next_limits, lambda: NOW, every=0.001))
    await asyncio.wait_for(enough.wait(), LIMIT)
    task.cancel()
    assert (asked[1], asked[2]) == (["proxy-2026-11-20.jsonl"], [])
