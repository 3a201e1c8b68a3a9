from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from neurolink_mitm.adapters import file_watch
from neurolink_mitm.adapters.file_watch import FileWatch
from tests.waiting import LIMIT


def replaced(path: Path, text: str) -> None:
    """As editors do it."""
    other = path.with_name(f"{path.name}.new")
    other.write_text(text)
    other.rename(path)


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


async def told(path: Path, change: Callable[[], object]) -> None:
    """Returns once the change has been noticed."""
    async with asyncio.timeout(LIMIT), aclosing(FileWatch([path]).changes()) as changes:
        noticed = asyncio.ensure_future(anext(changes))
        for _ in range(20):  # turns of the loop, in which it begins to listen
            await asyncio.sleep(0)
        change()
        await noticed


@pytest.mark.parametrize("write", [in_place, replaced])
async def test_a_file_that_is_written(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    await told(path, lambda: write(path, "another"))


@pytest.mark.parametrize("write", [in_place, replaced])
async def test_one_behind_a_link(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    target.write_text("one")
    link.symlink_to(target)
    await told(link, lambda: write(target, "another"))


async def test_a_link_that_leads_elsewhere(tmp_path: Path) -> None:
    """As Kubernetes exchanges a mounted file: by the link to its directory."""
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    data, link = tmp_path / "..data", tmp_path / "file"
    data.symlink_to("one")
    link.symlink_to("..data/file")

    def exchange() -> None:
        (tmp_path / "new").symlink_to("another")
        os.replace(tmp_path / "new", data)

    await told(link, exchange)


async def test_then_what_it_leads_to_is_watched(tmp_path: Path) -> None:
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one/file")
    async with asyncio.timeout(LIMIT), aclosing(FileWatch([link]).changes()) as changes:
        replaced_link = tmp_path / "new"
        replaced_link.symlink_to("another/file")
        os.replace(replaced_link, link)
        await anext(changes)
        (tmp_path / "another" / "file").write_text("changed once more")
        await anext(changes)


async def test_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    await told(path, lambda: path.write_text("there"))
    await told(path, path.unlink)


async def test_a_change_before_it_was_listened_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    watch = FileWatch([path])
    path.write_text("there")
    async with asyncio.timeout(LIMIT), aclosing(watch.changes()) as changes:
        await anext(changes)


async def test_what_happens_beside_is_not_told(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    watch = FileWatch([path])
    async with aclosing(watch.changes()) as changes:
        task = asyncio.ensure_future(anext(changes))
        other.write_text("x")
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert not done
        path.write_text("x")
        await asyncio.wait_for(task, LIMIT)


async def test_a_directory_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurolink_mitm.adapters.file_watch.AT_LEAST", 0.05)
    path = tmp_path / "later" / "file"

    def create() -> None:
        path.parent.mkdir()
        path.write_text("there")

    await told(path, create)


async def test_where_nothing_can_be_watched_it_looks_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine has 128 watchers for each user, and a process so many open files."""
    monkeypatch.setattr(file_watch, "AT_LEAST", 0.1)
    path = tmp_path / "file"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with asyncio.timeout(LIMIT), aclosing(FileWatch([path]).changes()) as changes:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            noticed = asyncio.ensure_future(anext(changes))
            while "they can't be watched" not in caplog.text:  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        path.write_text("one")
        await noticed
