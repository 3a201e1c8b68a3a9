from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.adapters import files
from neurolink_mitm.core.settings.values import Logging
from neurolink_mitm.records import retention, rollup_files, rollup_reader
from neurolink_mitm.records.retention import LogEntry, clean, day_of, keep_clean, surplus
from neurolink_mitm.records.rollup_reader import RollupReader
from neurolink_mitm.records.stats import WHOLE
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
    """The files below, without roll-ups."""
    names = (str(path.relative_to(logs)) for path in logs.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.startswith("rollups"))


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


def rows(directory: Path, day: str, family: str = "proxy", count: int = 1) -> Path:
    path = directory / f"{family}-{day}.jsonl"
    row = f'{{"timestamp":"{day}T08:00:00.000Z","outcome":"complete"}}\n'
    path.write_text(row * count)
    return path


def summed(directory: Path) -> dict[str, int]:
    """How many requests each roll-up has."""
    sums = {}
    for day in sorted(rollup_reader.days(directory)):
        with RollupReader(directory, day) as reader:
            cells = reader.groups(WHOLE).get(WHOLE, {})
            sums[str(day)] = sum(cell.requests for cell in cells.values())
    return sums


@pytest.mark.parametrize("limits", [Logging(max_age_days=1), Logging(max_size_mb=0)])
def test_what_is_deleted_has_a_roll_up(tmp_path: Path, limits: Logging) -> None:
    for day in ("2026-11-20", "2026-11-21"):
        rows(tmp_path, day, count=2)
        rows(tmp_path, day, "proxy-attempts")
    clean(tmp_path, limits, NOW)
    assert left(tmp_path) == []
    assert summed(tmp_path) == {"2026-11-20": 2, "2026-11-21": 2}


def test_days_that_stay_have_a_roll_up_too(tmp_path: Path) -> None:
    rows(tmp_path, "2026-11-23")
    clean(tmp_path, Logging(), NOW)
    assert left(tmp_path) == ["proxy-2026-11-23.jsonl"]
    assert summed(tmp_path) == {"2026-11-23": 1}


def test_roll_ups_are_kept_so_many_days(tmp_path: Path) -> None:
    for day in ("2026-11-12", "2026-11-13", "2026-11-23"):
        rows(tmp_path, day)
    (tmp_path / "rollups").mkdir()
    (tmp_path / "rollups" / "2026-01-01.json.corrupt-1").touch()
    (tmp_path / "rollups" / "mine.json").touch()
    clean(tmp_path, Logging(max_age_days=1, rollup_days=10), NOW)
    assert summed(tmp_path) == {"2026-11-13": 1, "2026-11-23": 1}
    names = {each.name for each in (tmp_path / "rollups").iterdir()}
    assert names == {"2026-11-13.json", "2026-11-23.json", "mine.json", "rollups.lock"}


def test_rows_that_can_not_be_summed_up_stay_and_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows(tmp_path, "2026-11-20")
    rows(tmp_path, "2026-11-20", "proxy-debug")
    (tmp_path / "rollups").touch()
    clean(tmp_path, Logging(max_age_days=1), NOW)
    assert left(tmp_path) == ["proxy-2026-11-20.jsonl"]
    assert "1 roll-ups can't be written" in caplog.text
    assert "1 old logs can't be deleted" in caplog.text


def test_on_a_full_disk_rows_make_room_for_their_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows(tmp_path, "2026-11-20")
    write_atomic = files.write_atomic

    def full(*args: Any) -> None:
        if path.exists():
            raise OSError(28, "No space left on device")
        write_atomic(*args)

    monkeypatch.setattr(files, "write_atomic", full)
    clean(tmp_path, Logging(max_age_days=1), NOW)
    assert summed(tmp_path) == {"2026-11-20": 1}


@pytest.mark.parametrize("content", ["", '{"version":1', '{"version":0}'])
def test_a_broken_roll_up_without_rows_is_set_aside(tmp_path: Path, content: str) -> None:
    rows(tmp_path, "2026-11-20")
    clean(tmp_path, Logging(max_age_days=1), NOW)
    path = tmp_path / "rollups" / "2026-11-20.json"
    path.write_text(content)
    rows(tmp_path, "2026-11-23")
    clean(tmp_path, Logging(max_age_days=1), NOW)
    [aside] = path.parent.glob("2026-11-20.json.corrupt-*")
    assert aside.read_text() == content
    assert summed(tmp_path) == {"2026-11-23": 1}


def test_rows_of_a_later_versions_roll_up_are_deleted(tmp_path: Path) -> None:
    rows(tmp_path, "2026-11-20")
    (tmp_path / "rollups").mkdir()
    later = tmp_path / "rollups" / "2026-11-20.json"
    later.write_text('{"version":2}')
    clean(tmp_path, Logging(max_age_days=1), NOW)
    assert left(tmp_path) == []
    assert later.read_text() == '{"version":2}'


def test_the_end_of_the_proxy_does_not_wait_for_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAUSE", LIMIT)
    rows(tmp_path, "2026-11-23", count=1000)

    async def started_and_stopped() -> None:
        task = asyncio.create_task(keep_clean(tmp_path, Logging, lambda: NOW))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    began = time.monotonic()
    asyncio.run(started_and_stopped())  # its end waits for the thread
    assert time.monotonic() - began < LIMIT
    assert rollup_reader.days(tmp_path) == set()


def test_roll_ups_are_kept_while_there_are_rows(tmp_path: Path) -> None:
    rows(tmp_path, "2026-11-20")
    for _ in range(2):
        clean(tmp_path, Logging(max_age_days=9, rollup_days=1), NOW)
        assert summed(tmp_path) == {"2026-11-20": 1}


def test_what_needs_no_roll_up_is_deleted_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what a full disk needs to take the roll-ups."""
    rows(tmp_path, "2026-11-19")
    debug = rows(tmp_path, "2026-11-20", "proxy-debug")
    remove_rows = rollup_files.remove_rows

    def checked(*args: Any) -> None:
        assert not debug.exists()
        remove_rows(*args)

    monkeypatch.setattr(rollup_files, "remove_rows", checked)
    clean(tmp_path, Logging(max_age_days=1), NOW)
    assert left(tmp_path) == []
