"""The zip file, and the ends of logs."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from neurolink_mitm.adapters.bundle_file import tail, write_bundle


def test_a_zip_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "report.zip"
    write_bundle(path, {"a.json": "{}", "logs/b": "ü\n"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a.json", "logs/b"]
        assert archive.read("logs/b").decode() == "ü\n"


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "report.zip"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_bundle(path, {})
    assert path.read_text() == "mine"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bundle(tmp_path / "nowhere" / "report.zip", {})


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nb\nc\n", ["b", "c"]),
        (b"a", ["a"]),
        (b"a\n\xff\n", ["a", "\ufffd"]),
    ],
    ids=["empty", "last-two", "one", "no-utf8"],
)
def test_the_end_of_a_file(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert tail(path, 2) == lines


def test_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond\nthird\n")
    assert tail(path, 10, most=9) == ["third"]


def test_the_end_of_no_file(tmp_path: Path) -> None:
    assert tail(tmp_path / "log", 2) == []
