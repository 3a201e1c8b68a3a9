from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurolink_mitm.records import log_files
from neurolink_mitm.records.log_files import Follower, files, lines, lines_backwards


def at(day: int) -> float:
    return datetime(2026, 11, day, 12, tzinfo=UTC).timestamp()


def test_files_of_a_family_in_the_order_of_their_days(tmp_path: Path) -> None:
    for name in ("proxy-2026-11-22", "proxy-2026-11-09", "proxy-attempts-2026-11-22", "proxy-x"):
        (tmp_path / f"{name}.jsonl").touch()
    assert [path.name for path in files(tmp_path, "proxy")] == [
        "proxy-2026-11-09.jsonl",
        "proxy-2026-11-22.jsonl",
    ]


@pytest.mark.parametrize(
    ("since", "until", "days"), [(22, None, [22, 23]), (None, 21, [20, 21]), (21, 22, [21, 22])]
)
def test_files_of_a_time(
    tmp_path: Path, since: int | None, until: int | None, days: list[int]
) -> None:
    for day in range(20, 24):
        (tmp_path / f"proxy-2026-11-{day}.jsonl").touch()
    found = files(tmp_path, "proxy", since and at(since), until and at(until))
    assert [int(path.stem[-2:]) for path in found] == days


def test_a_directory_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert files(tmp_path / "logs", "proxy") == []


def test_a_file_that_was_cleaned_away_has_no_lines(tmp_path: Path) -> None:
    assert list(lines(tmp_path / "gone")) == list(lines_backwards(tmp_path / "gone")) == []


def test_a_line_without_end_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large it is, little memory is taken by it."""
    monkeypatch.setattr(log_files, "LONGEST", 10)
    path = tmp_path / "x"
    path.write_bytes(b"one\n" + b"x" * 95 + b"\ntwo\n" + b"y" * 200)
    assert list(lines(path)) == [b"one\n", b"two\n"]


def test_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789\n" * 100_000)
    heard: list[int] = []
    assert sum(1 for _ in lines(path, heard.append)) == 100_000
    assert sum(heard) == path.stat().st_size
    assert len(heard) > 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.integers(1, 50))
def test_backwards_is_forwards_turned_round(tmp_path: Path, rows: list[bytes], block: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_BLOCK", block)
        found = list(lines_backwards(path))
    assert [line for line in found if line] == [row for row in reversed(rows) if row]


class TestFollower:
    @pytest.fixture
    def today(self, tmp_path: Path) -> Path:
        path = tmp_path / "proxy-2026-11-22.jsonl"
        path.write_bytes(b"old\n")
        return path

    @pytest.fixture
    def follower(self, tmp_path: Path, today: Path) -> Follower:
        follower = Follower(tmp_path, "proxy")
        follower.start()
        return follower

    def test_only_what_is_new(self, follower: Follower, today: Path) -> None:
        assert list(follower.more()) == []
        with today.open("ab") as file:
            file.write(b"new\nnewer\n")
        assert list(follower.more()) == [b"new\n", b"newer\n"]
        assert list(follower.more()) == []

    def test_a_line_is_waited_for_until_it_is_whole(self, follower: Follower, today: Path) -> None:
        with today.open("ab") as file:
            file.write(b"ne")
        assert list(follower.more()) == []
        with today.open("ab") as file:
            file.write(b"w\n")
        assert list(follower.more()) == [b"new\n"]

    def test_the_next_day(self, follower: Follower, today: Path) -> None:
        with today.open("ab") as file:
            file.write(b"late\n")
        (today.parent / "proxy-2026-11-23.jsonl").write_bytes(b"early\n")
        assert list(follower.more()) == [b"late\n", b"early\n"]
        assert list(follower.more()) == []

    def test_a_file_that_was_made_anew(self, follower: Follower, today: Path) -> None:
        today.unlink()
        assert list(follower.more()) == []
        today.write_bytes(b"a\n")
        assert list(follower.more()) == [b"a\n"]

    def test_from_nothing(self, tmp_path: Path) -> None:
        follower = Follower(tmp_path / "logs", "proxy")
        follower.start()
        assert list(follower.more()) == []


def test_any_time_may_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "proxy-2026-11-22.jsonl"
    path.touch()
    assert log_files.files(tmp_path, "proxy", -1e300, 1e300) == [path]
