from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from neurolink_mitm.adapters.careful_edit import LARGEST, TRIES, edit


def upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    path.write_bytes(b"\xef\xbb\xbfone\r\n")
    return path


def test_bytes_stay_as_they_are(path: Path) -> None:
    edit(path, upper)
    assert path.read_bytes() == b"\xef\xbb\xbfONE\r\n"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o444], ids=oct)
def test_the_mode_stays(path: Path, mode: int) -> None:
    path.chmod(mode)
    edit(path, upper)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_is_its_owners(tmp_path: Path) -> None:
    edit(tmp_path / "new", lambda text: f"was {text}")
    assert (tmp_path / "new").read_text() == "was None"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_link_stays_and_leads_to_the_new_text(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("settings.json")
    edit(link, upper)
    assert os.readlink(link) == "settings.json"
    assert path.read_bytes() == b"\xef\xbb\xbfONE\r\n"


def test_a_link_to_nothing_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("later")
    edit(link, lambda _: "made")
    assert (tmp_path / "later").read_text() == "made"
    edit(link, lambda _: None)
    assert link.is_symlink()
    assert not link.exists()


def test_none_removes_it(path: Path) -> None:
    edit(path, lambda _: None)
    assert not path.exists()


def written(path: Path) -> tuple[int, int]:
    """Another after each write; not after a look, which may change the time of the last one."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_what_does_not_change_is_not_written(path: Path) -> None:
    before = written(path)
    edit(path, lambda text: text)
    assert written(path) == before


def test_what_another_writes_meanwhile_is_kept(path: Path) -> None:
    asked: list[str | None] = []

    def change(text: str | None) -> str:
        asked.append(text)
        if len(asked) == 1:
            path.write_text("two")
        return f"{text}!"

    edit(path, change)
    assert asked == ["\ufeffone\r\n", "two"]
    assert path.read_text() == "two!"


def test_it_gives_up_where_another_writes_all_the_time(path: Path) -> None:
    times = iter(range(100))

    def change(text: str | None) -> str:
        path.write_text(str(next(times)))
        return f"{text}!"

    with pytest.raises(OSError, match="another program keeps writing it"):
        edit(path, change)
    assert path.read_text() == str(TRIES - 1)
    assert [each.name for each in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{\x00}\x00", b" " * (LARGEST + 1)], ids=["utf-16", "large"]
)
def test_what_can_not_be_read_is_not_touched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - partly Python's own words
        edit(path, upper)
    assert path.read_bytes() == content


def test_what_a_killed_writer_left_is_removed(path: Path) -> None:
    old, new = (path.with_name(f".settings.json.{name}.tmp") for name in ("old", "new"))
    for each in (old, new):
        each.touch()
    os.utime(old, (0, 0))
    edit(path, upper)
    assert (old.exists(), new.exists()) == (False, True)
