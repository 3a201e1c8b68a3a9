from __future__ import annotations

import stat
from itertools import count
from pathlib import Path

import pytest

from neurolink_mitm.config.history import MOST, History, digest


def history(tmp_path: Path, name: str = "c.yaml") -> History:
    ticks = count(1_800_000_000)
    return History(tmp_path / "config-history", tmp_path / name, lambda: float(next(ticks)))


def test_the_last_version_comes_with_what_has_replaced_it(tmp_path: Path) -> None:
    kept = history(tmp_path)
    kept.keep(b"one", b"two")
    kept.keep(b"two", b"three")
    last = kept.last()
    assert last
    assert (last.content(), last.replaced_by, last.at) == (
        b"two",
        digest(b"three"),
        1_800_000_001,
    )
    kept.forget(last)
    first = kept.last()
    assert first
    assert first.content() == b"one"


def test_a_version_is_not_kept_if_the_file_was_not_written(tmp_path: Path) -> None:
    kept = history(tmp_path)
    with pytest.raises(OSError, match="full"), kept.keeping(b"one", b"two"):
        raise OSError("full")
    assert kept.last() is None


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    history(tmp_path).keep(b"one", b"two")
    history(tmp_path).keep(b"two", b"three")
    assert [each.content() for each in history(tmp_path).versions()] == [b"one", b"two"]


def test_a_version_that_is_gone_is_no_empty_file(tmp_path: Path) -> None:
    kept = history(tmp_path).keep(b"one", b"two")
    kept.path.unlink()
    with pytest.raises(FileNotFoundError):
        kept.content()


def test_versions_are_the_owners_and_bounded(tmp_path: Path) -> None:
    kept = history(tmp_path)
    for number in range(MOST + 5):
        kept.keep(b"%d" % number, b"x")
    versions = kept.versions()
    assert [each.content() for each in versions[:1]] == [b"5"]
    assert len(versions) == MOST
    modes = {stat.S_IMODE(each.path.stat().st_mode) for each in versions}
    assert (modes, stat.S_IMODE(kept.folder.stat().st_mode)) == ({0o600}, 0o700)


def test_other_files_and_odd_names_are_no_versions(tmp_path: Path) -> None:
    assert history(tmp_path).last() is None
    history(tmp_path, "other.yaml").keep(b"one", b"two")
    kept = history(tmp_path)
    kept.keep(b"one", b"two")
    prefix = kept.versions()[0].path.name[:13]
    for name in ("x-y", "", "1e999999x-", "12"):
        (kept.folder / f"{prefix}{name}").write_bytes(b"")
    assert len(kept.versions()) == 1
