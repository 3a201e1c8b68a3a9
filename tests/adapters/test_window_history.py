from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.window_history import WindowHistory, read_history
from neurolink_mitm.core.pool.readings import SavedReading
from tests.fakes import NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "windows.jsonl"


@pytest.fixture
def history(path: Path) -> Iterator[WindowHistory]:
    history = WindowHistory(path, every=0.0)
    yield history
    history.close()


def reading(minute: int, window: str = "5h") -> SavedReading:
    return SavedReading(NOW + 60 * minute, "anthropic:a", window, minute / 1000)


READINGS = [reading(minute) for minute in range(5)]


def write(path: Path, readings: list[SavedReading], largest: int = 10**6) -> None:
    """By a process of its own."""
    history = WindowHistory(path, every=3600, largest=largest)
    history.add(readings)
    history.close()


def test_what_is_written_is_read(path: Path) -> None:
    write(path, READINGS[:2])
    write(path, READINGS[2:])
    assert read_history(path) == READINGS
    assert len(path.read_bytes().splitlines()) == len(READINGS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_written_while_it_runs(path: Path, history: WindowHistory) -> None:
    history.add(READINGS)
    for _ in range(1000):
        if read_history(path) == READINGS:
            return
        history._closing.wait(0.01)
    raise AssertionError("it was not written within ten seconds")


def test_the_older_half_is_dropped(path: Path) -> None:
    for ten in range(0, 100, 10):
        write(path, [reading(minute) for minute in range(ten, ten + 10)], largest=2000)
        assert path.stat().st_size <= 2000
    kept = read_history(path)
    assert kept == [reading(minute) for minute in range(100)][-len(kept) :]
    assert len(kept) > 5


@pytest.mark.parametrize(
    "broken",
    [b"", b"\n\n", b"{", b'{"at":1,"account":"a","win', b"null", b'{"at":"x"}', b"\xff\xfe", b"[" * 5000,
     b'{"at":NaN,"account":"a","window":"5h","used":1}'],
    ids=["empty", "blank", "brace", "torn", "null", "type", "bytes", "deep", "nan"],
)  # fmt: skip
def test_broken_lines_are_skipped(path: Path, broken: bytes) -> None:
    write(path, READINGS[:2])
    with path.open("ab") as file:
        file.write(broken)
    write(path, READINGS[2:])
    assert read_history(path) == READINGS


def test_without_a_file_there_is_none(path: Path) -> None:
    assert read_history(path) == []


@pytest.mark.parametrize("kind", ["directory", "fifo", "full"])
def test_what_can_not_be_written_is_logged_once_and_harmless(
    path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/full")
    write(path, READINGS)
    assert len(caplog.records) == 1
    assert "windows.jsonl can't be written, forecasts begin anew" in caplog.text
    assert read_history(path) == []
