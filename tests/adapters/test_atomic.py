from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.atomic import private_directory, write_atomic


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
