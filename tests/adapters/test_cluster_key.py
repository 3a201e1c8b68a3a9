from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from neurolink_mitm.adapters.cluster_key import (
    ClusterKeyError,
    key_path,
    make_cluster_key,
    read_cluster_key,
)
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.cluster import Cluster

KEY = base64.b64encode(bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cluster.key"


def written(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_key_is_for_its_owner_only(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_cluster_key(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert len(base64.b64decode(read_cluster_key(path).reveal())) == 32


def test_no_key_is_overwritten(path: Path) -> None:
    make_cluster_key(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        make_cluster_key(path)
    assert path.read_bytes() == before


def test_two_keys_differ(tmp_path: Path) -> None:
    for name in "ab":
        make_cluster_key(tmp_path / name)
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", KEY[:-4], KEY + KEY, b"x" * 44, b"\xff\x00" * 20, b"x" * 1_000_000],
    ids=["empty", "line-end", "short", "long", "not-base64", "binary", "huge"],
)
def test_other_content_is_no_key_and_not_shown(path: Path, content: bytes) -> None:
    written(path, content)
    with pytest.raises(ClusterKeyError, match="neurolink cluster key") as caught:
        read_cluster_key(path)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o777])
def test_a_key_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    written(path, KEY, mode)
    with pytest.raises(ClusterKeyError, match=f"chmod 600 {path}"):
        read_cluster_key(path)


def test_an_owner_may_protect_it_from_himself(path: Path) -> None:
    written(path, KEY + b"\r\n", 0o400)
    assert read_cluster_key(path) == Secret(KEY.decode())


def test_a_symbolic_link_is_followed(path: Path, tmp_path: Path) -> None:
    written(tmp_path / "data", KEY)
    path.symlink_to(tmp_path / "data")
    assert read_cluster_key(path) == Secret(KEY.decode())


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "make it with `neurolink cluster key`"),
    "directory": (lambda path: path.mkdir(), "no regular file|Is a directory"),
    "fifo": (lambda path: os.mkfifo(path, 0o600), "no regular file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "is missing"),
    "loop": (lambda path: path.symlink_to(path), "can't be read"),
}


@pytest.mark.parametrize(("make", "message"), PLACES.values(), ids=PLACES)
def test_what_is_no_file(path: Path, make: Callable[[Path], object], message: str) -> None:
    make(path)
    with pytest.raises(ClusterKeyError, match=message):
        read_cluster_key(path)


@pytest.mark.parametrize(
    ("named", "expected"),
    [(None, "/home/nl/cluster.key"), ("keys/nl", "/etc/nl/keys/nl"), ("/run/key", "/run/key")],
    ids=["default", "relative", "absolute"],
)
def test_where_a_key_is(named: str | None, expected: str) -> None:
    settings = Cluster(url=Secret("redis://x"), key_file=named)
    assert key_path(settings, Path("/etc/nl/c.yaml"), Home(Path("/home/nl"))) == Path(expected)
