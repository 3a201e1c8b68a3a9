from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neurolink_mitm.adapters import files
from neurolink_mitm.records import rollup_reader
from neurolink_mitm.records.log_files import LONGEST
from neurolink_mitm.records.rollup_files import (
    Lines,
    is_stale,
    refresh,
    remove_rows,
    rows_of,
    unread,
)
from neurolink_mitm.records.rollup_reader import RollupReader, path_of
from neurolink_mitm.records.rollups import BrokenError, NewerError
from neurolink_mitm.records.stats import WHOLE

DAY = date(2025, 10, 9)


def line(hour: int = 8, **fields: Any) -> bytes:
    row = {"timestamp": f"{DAY}T{hour:02}:00:00.000Z", "outcome": "complete", **fields}
    return msgspec.json.encode(row) + b"\n"


def append(logs: Path, *lines: bytes, family: str = "proxy") -> None:
    with rows_of(logs, family, DAY).open("ab") as file:
        file.write(b"".join(lines))


def counted(logs: Path) -> int:
    """How many requests the roll-up has."""
    with RollupReader(logs, DAY) as reader:
        return sum(cell.requests for cell in reader.groups(WHOLE).get(WHOLE, {}).values())


def test_a_roll_up_is_private(tmp_path: Path) -> None:
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    assert path_of(tmp_path, DAY).stat().st_mode & 0o777 == 0o600
    assert path_of(tmp_path, DAY).parent.stat().st_mode & 0o777 == 0o700


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    append(tmp_path, line(), line())
    refresh(tmp_path, DAY)
    append(tmp_path, line())
    read: list[int] = []
    refresh(tmp_path, DAY, read.append)
    assert (counted(tmp_path), sum(read)) == (3, len(line()))
    assert not is_stale(tmp_path, DAY)


def test_a_roll_up_with_all_rows_is_not_written_again(tmp_path: Path) -> None:
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    before = path_of(tmp_path, DAY).stat().st_ino
    refresh(tmp_path, DAY)
    assert path_of(tmp_path, DAY).stat().st_ino == before


def test_a_line_is_read_when_its_end_has_come(tmp_path: Path) -> None:
    whole = line()
    append(tmp_path, line(), whole[:20])
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 1
    append(tmp_path, whole[20:-1])
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 2, "a whole row without its line end"
    append(tmp_path, b"\n", line())
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 3


def _grow_in_place(path: Path) -> None:
    path.write_bytes(line(9) + line(10) + line(11))


def _replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(line(9) + line(10) + line(11))


def _shrink(path: Path) -> None:
    path.write_bytes(line(9))


def _change_in_place(path: Path) -> None:
    path.write_bytes(line(9) + line(9))
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("change", "requests"),
    [(_grow_in_place, 3), (_replace, 3), (_shrink, 1), (_change_in_place, 2)],
)
def test_rows_that_are_others_are_read_anew(
    tmp_path: Path, change: Callable[[Path], None], requests: int
) -> None:
    append(tmp_path, line(), line())
    append(tmp_path, line(waitMs=3.0), family="proxy-attempts")
    refresh(tmp_path, DAY)
    change(rows_of(tmp_path, "proxy", DAY))
    assert is_stale(tmp_path, DAY)
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == requests
    with RollupReader(tmp_path, DAY) as reader:
        assert reader.times()["(none)"], "the attempts are as they were"


def test_rows_that_are_gone_are_still_summed_up(tmp_path: Path) -> None:
    append(tmp_path, line(), line())
    refresh(tmp_path, DAY)
    rows_of(tmp_path, "proxy", DAY).unlink()
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 2


GARBAGE = {
    "torn": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "foreign": lambda data: b"PK\x03\x04" * 100,
    "older": lambda data: data.replace(b'"version":1', b'"version":0', 1),
}


@pytest.mark.parametrize("change", GARBAGE.values(), ids=GARBAGE)
def test_a_broken_roll_up_is_made_again(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    append(tmp_path, line(), line())
    refresh(tmp_path, DAY)
    path = path_of(tmp_path, DAY)
    path.write_bytes(change(path.read_bytes()))
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 3
    assert [each.name for each in path.parent.glob("*.json*")] == [path.name]


def test_a_broken_roll_up_whose_rows_are_gone_is_set_aside(tmp_path: Path) -> None:
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    rows_of(tmp_path, "proxy", DAY).unlink()
    path = path_of(tmp_path, DAY)
    path.write_bytes(path.read_bytes()[:100])
    refresh(tmp_path, DAY)
    [aside] = path.parent.glob(f"{path.name}.corrupt-*")
    assert len(aside.read_bytes()) == 100
    assert not path.exists()


def test_a_roll_up_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    path = path_of(tmp_path, DAY)
    later = path.read_bytes().replace(b'"version":1', b'"version":9', 1)
    path.write_bytes(later)
    with pytest.raises(NewerError):
        refresh(tmp_path, DAY)
    assert path.read_bytes() == later


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_broken(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "rollups").mkdir()
    make(path_of(tmp_path, DAY))
    with pytest.raises(BrokenError):
        RollupReader(tmp_path, DAY)


def test_a_section_that_was_changed_is_noticed(tmp_path: Path) -> None:
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    path = path_of(tmp_path, DAY)
    path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    with RollupReader(tmp_path, DAY) as reader, pytest.raises(BrokenError):
        reader.times()


def test_a_full_disk_leaves_the_roll_up_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    append(tmp_path, line())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        refresh(tmp_path, DAY)
    assert counted(tmp_path) == 1
    assert not list(path_of(tmp_path, DAY).parent.glob(".*.tmp"))


def test_rows_are_deleted_when_they_are_summed_up(tmp_path: Path) -> None:
    append(tmp_path, line(), line())
    remove_rows(tmp_path, DAY, "proxy")
    assert not rows_of(tmp_path, "proxy", DAY).exists()
    assert counted(tmp_path) == 2


def test_rows_after_those_that_were_deleted_are_added(tmp_path: Path) -> None:
    """The limits may delete even today's rows, while the journal goes on."""
    for requests in (2, 4):
        append(tmp_path, line(), line())
        remove_rows(tmp_path, DAY, "proxy")
        assert counted(tmp_path) == requests
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 6


def test_a_cleaner_that_was_killed_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the rows were gone: they are still those that the roll-up has."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    append(tmp_path, line(), line())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_rows(tmp_path, DAY, "proxy")
    append(tmp_path, line())
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 3
    remove_rows(tmp_path, DAY, "proxy")
    assert counted(tmp_path) == 3


def test_rows_stay_where_their_sums_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, line())

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "write_atomic", denied)
    with pytest.raises(PermissionError):
        remove_rows(tmp_path, DAY, "proxy")
    assert rows_of(tmp_path, "proxy", DAY).exists()


def test_what_the_journal_writes_while_its_file_is_deleted_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, line())
    unlink = Path.unlink

    def late(path: Path, missing_ok: bool = False) -> None:
        append(tmp_path, line())
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    remove_rows(tmp_path, DAY, "proxy")
    assert counted(tmp_path) == 2


def test_another_process_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_LIMIT", 0.01)
    append(tmp_path, line())
    (tmp_path / "rollups").mkdir()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with files.locked(tmp_path / "rollups" / "rollups"):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(OSError, match="lock"):
            refresh(tmp_path, DAY)
    finally:
        done.set()
        thread.join()
    refresh(tmp_path, DAY)
    assert counted(tmp_path) == 1


def test_a_line_of_five_megabytes_is_skipped() -> None:
    lines = Lines(io.BytesIO(line() + b"x" * 5_000_000 + b"\n" + line()))
    assert [len(each) for each in lines] == [len(line())] * 2
    assert lines.at == 2 * len(line()) + 5_000_001
    assert LONGEST < 5_000_000


def test_lines_up_to_an_end() -> None:
    lines = Lines(io.BytesIO(line() * 3), at=len(line()), end=2 * len(line()))
    assert len(list(lines)) == 1


def test_what_is_not_read_yet(tmp_path: Path) -> None:
    append(tmp_path, line())
    path = rows_of(tmp_path, "proxy", DAY)
    assert unread(None, path) == len(line())
    refresh(tmp_path, DAY)
    append(tmp_path, line(), line())
    with RollupReader(tmp_path, DAY) as reader:
        assert unread(reader.header.sources["proxy"], path) == 2 * len(line())
    assert unread(None, tmp_path / "none") == 0


def test_days_are_those_of_the_names(tmp_path: Path) -> None:
    assert rollup_reader.days(tmp_path) == set()
    folder = tmp_path / "rollups"
    folder.mkdir()
    for name in ("2025-10-09.json", "2025-10-10.json.corrupt-1", "x.json", "rollups.lock"):
        (folder / name).touch()
    assert rollup_reader.days(tmp_path) == {DAY}
