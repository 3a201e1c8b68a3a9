"""Atomic writes, private directories, and compare-and-swap edits."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.files import LARGEST, TRIES, edit, private_directory, write_atomic


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o177], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("mode", [0o600, 0o644], ids=oct)
def test_a_new_file_has_its_content_and_mode(tmp_path: Path, mode: int) -> None:
    write_atomic(tmp_path / "f", b"content", mode)
    assert (tmp_path / "f").read_bytes() == b"content"
    assert mode_of(tmp_path / "f") == mode


def test_an_old_file_is_replaced_and_narrowed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a longer old content")
    path.chmod(0o644)
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600


def test_nothing_else_is_left_in_the_directory(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"x")
    assert os.listdir(tmp_path) == ["f"]


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "f")
    write_atomic(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "f").read_bytes() == b"x"


@pytest.mark.usefixtures("_umask")
def test_the_temporary_file_is_never_open_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at when it has just been made, before a byte is in it."""
    modes: list[int] = []
    fdopen = os.fdopen

    def look(descriptor: int, how: str) -> object:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return fdopen(descriptor, how)

    monkeypatch.setattr(os, "fdopen", look)
    write_atomic(tmp_path / "f", b"x")
    assert [mode & 0o077 for mode in modes] == [0]


def test_everything_is_on_disk_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noting(name: str) -> Callable[..., None]:
        real = getattr(os, name)

        def call(*arguments: object) -> None:
            is_directory = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)  # type: ignore[arg-type]
            calls.append("fsync directory" if is_directory else name)
            real(*arguments)

        return call

    for name in ("fsync", "replace", "fchmod"):
        monkeypatch.setattr(os, name, noting(name))
    write_atomic(tmp_path / "f", b"x")
    assert calls == ["fchmod", "fsync", "replace", "fsync directory"]


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()],
    ids=["disk-full", "interrupted"])  # fmt: skip
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failure: BaseException
) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(failure)):
        write_atomic(tmp_path / "f", b"new")
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_directory_that_can_not_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def refuse_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not supported")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    write_atomic(tmp_path / "f", b"x")
    assert (tmp_path / "f").read_bytes() == b"x"


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "none" / "f", b"x")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.mkdir()


def link_to_a_device(path: Path) -> None:
    path.symlink_to(os.devnull)


def identity(path: Path) -> tuple[int, int, int]:
    """What stays where nothing is written; a link that is followed has another time of access."""
    status = path.lstat()
    return status.st_ino, status.st_mode, status.st_mtime_ns


@pytest.mark.parametrize("make", [fifo, directory, link_to_a_device])
@pytest.mark.parametrize("write", [
    lambda path: write_atomic(path, b"x"),
    lambda path: edit(path, lambda _: "x"),
    lambda path: edit(path, lambda _: None),
], ids=["write", "edit", "remove"])  # fmt: skip
def test_what_is_no_regular_file_stays_and_is_named(
    tmp_path: Path, make: Callable[[Path], None], write: Callable[[Path], None]
) -> None:
    """A FIFO is not waited for either."""
    path = tmp_path / "f"
    make(path)
    before = identity(path)
    with pytest.raises(OSError, match=r"is no regular file|Is a directory") as raised:
        write(path)
    assert raised.value.filename == str(path)
    assert identity(path) == before
    assert os.listdir(tmp_path) == ["f"]
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_a_directory_and_those_above_it_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private_directory(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in sorted((tmp_path / "a").rglob("*"))]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    private_directory(tmp_path / "a" / "b" / "c")  # it may be there already


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="a"):
        private_directory(tmp_path / "a" / "b")
    with pytest.raises(FileExistsError):
        private_directory(tmp_path / "a")


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
