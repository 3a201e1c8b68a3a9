from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from neurolink_mitm.adapters.log_trim import MAX_BYTES, append, open_log, trim, trim_all
from tests.waiting import LIMIT

MANY = 200_000


def test_a_short_one_stays(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * 100)
    assert not trim(log, 100)
    assert [each.name for each in tmp_path.iterdir()] == ["service.log"]


def test_a_long_one_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * 101)
    assert trim(log, 100)
    assert (log.stat().st_size, (tmp_path / "service.log.1").read_bytes()) == (0, b"x" * 101)
    assert stat.S_IMODE((tmp_path / "service.log.1").stat().st_mode) == 0o600


def test_of_a_very_long_one_the_end_is_kept(tmp_path: Path) -> None:
    """As one that grew for months before."""
    log = tmp_path / "service.log"
    log.write_bytes(b"old" * 1000 + b"n" * 100)
    assert trim(log, 100)
    assert (tmp_path / "service.log.1").read_bytes() == b"n" * 100


@pytest.mark.parametrize("name", MAX_BYTES)
def test_all_that_grow_are_looked_at(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x" * (MAX_BYTES[name] + 1))
    trim_all(tmp_path)
    assert (tmp_path / name).stat().st_size == 0
    assert (tmp_path / f"{name}.1").stat().st_size == MAX_BYTES[name] + 1


def test_where_the_copy_can_not_be_written_it_is_cut_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * 101)
    (tmp_path / "service.log.1").mkdir()
    assert trim(log, 100)
    assert log.stat().st_size == 0


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "missing"])
def test_what_is_no_log_is_left_alone(tmp_path: Path, kind: str) -> None:
    log, other = tmp_path / "service.log", tmp_path / "other"
    other.write_bytes(b"x" * 101)
    match kind:
        case "link":
            log.symlink_to(other)
        case "fifo":
            os.mkfifo(log)
        case "directory":
            log.mkdir()
    assert not trim(log, 100)
    assert other.stat().st_size == 101


def test_of_two_at_once_one_does_it(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_bytes(b"x" * 1000)
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(trim(log, 100))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(LIMIT)
    assert done.count(True) == 1
    assert (tmp_path / "service.log.1").stat().st_size == 100


def test_a_writer_goes_on_and_little_is_lost(tmp_path: Path) -> None:
    """Another process, which knows nothing of it and writes as fast as it can."""
    log = tmp_path / "translator.log"
    descriptor = open_log(log)
    code = f"for n in range({MANY}): print(f'{{n:09}}', flush=not n % 10)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=descriptor) as writer:
        os.close(descriptor)
        largest = 0
        while writer.poll() is None:
            largest = max(largest, log.stat().st_size)
            trim(log, 100_000)
    assert log.read_bytes().endswith(b"%09d\n" % (MANY - 1))
    assert b"\0" not in log.read_bytes()
    assert largest < 1_000_000


@pytest.mark.parametrize("name", ["service.log", "mine.txt"])
def test_output_to_a_log_appends(tmp_path: Path, name: str) -> None:
    """`>` of a shell does not, and would go on where it was, behind a hole."""
    code = f"""
import os, sys
from pathlib import Path
from neurolink_mitm.adapters.log_trim import append
os.write(1, b"x" * 100)
append(Path({str(tmp_path)!r}))
os.truncate({str(tmp_path / name)!r}, 0)
os.write(1, b"y")
"""
    with (tmp_path / name).open("wb") as output:
        subprocess.run([sys.executable, "-c", code], stdout=output, check=True)
    expected = b"y" if name == "service.log" else b"\0" * 100 + b"y"
    assert (tmp_path / name).read_bytes() == expected


def test_output_elsewhere_is_no_fault(tmp_path: Path) -> None:
    append(tmp_path / "nowhere", (1, 2, 999))


def test_a_log_that_is_opened_is_the_owners(tmp_path: Path) -> None:
    descriptor = open_log(tmp_path / "logs" / "service.log")
    os.close(descriptor)
    log = tmp_path / "logs" / "service.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
