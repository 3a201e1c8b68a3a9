"""Tells when files change: written in place, replaced by rename, behind a symbolic link, gone, there again."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

logger = logging.getLogger("neurolink.watch")
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # a line for each write of our own

STEP = 100
"""Milliseconds of quiet after which a change is taken to be whole."""
AT_LEAST = 5.0
"""Seconds after which files are looked at even if nothing was heard: network file systems tell nothing."""

Signature = tuple[int, int, int] | None


class FileWatch:
    """Over some files, each of which may be missing. What is new is told by comparison with the last look."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._seen = signatures(self._paths)

    async def changes(self) -> AsyncGenerator[frozenset[Path], None]:
        """Yields what has changed, for ever; at once where something has changed before it was called."""
        if changed := self._look():
            yield changed
        while True:
            places = directories(self._paths)
            async with aclosing(_events(places)) as events:
                async for _ in events:
                    if changed := self._look():
                        yield changed
                    if directories(self._paths) != places:
                        break

    def _look(self) -> frozenset[Path]:
        before, self._seen = self._seen, signatures(self._paths)
        pairs = zip(self._paths, before, self._seen, strict=True)
        return frozenset(path for path, old, new in pairs if old != new)


def signatures(paths: Iterable[Path]) -> tuple[Signature, ...]:
    """Tells one state of the files from another."""
    return tuple(map(_signature, paths))


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def directories(paths: Iterable[Path]) -> frozenset[str]:
    """Where something happens when one of the files changes: beside it, and beside what it is a link to."""
    beside = (Path(where).parent for path in paths for where in (path, os.path.realpath(path)))
    return frozenset(str(place) for place in beside if place.is_dir())


async def _events(places: Iterable[str]) -> AsyncGenerator[None, None]:
    try:
        # all of it, unfiltered: a link to a directory may be what is exchanged
        watched = awatch(
            *places, watch_filter=None, recursive=False, step=STEP, debounce=2 * STEP,
            rust_timeout=int(AT_LEAST * 1000), yield_on_timeout=True,
        )  # fmt: skip
        async with aclosing(watched):
            async for _ in watched:
                yield
    except (
        OSError,
        RuntimeError,
    ) as e:  # of inotify there is only so much; watchfiles has an error of its own
        logger.warning("files are looked at every %.0f s: they can't be watched: %s", AT_LEAST, e)
    while True:
        await asyncio.sleep(AT_LEAST)
        yield
