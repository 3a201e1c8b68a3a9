"""Deletes logs: those that are too old, then the oldest until the rest is within the size limit.

The sums of a day are written to its roll-up before: these are kept longer, and count for no size.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from filelock import Timeout

from neurolink_mitm.core.settings.values import Logging
from neurolink_mitm.records import log_files, rollup_files, rollup_reader
from neurolink_mitm.records.rollup_files import Breathe
from neurolink_mitm.records.rollups import BrokenError

_ROWS = re.compile(r"(?:proxy(?:-attempts|-debug)?|audit)-(\d{4}-\d{2}-\d{2})\.jsonl")
MEGABYTE = 1_000_000
EVERY = 3600.0
"""Seconds between two cleanings."""
BODIES = "bodies"
PAUSE = 0.0005
"""Seconds of rest after a few rows: the event loop of the flows needs the same interpreter lock."""

logger = logging.getLogger("neurolink.journal")


@dataclass(frozen=True, slots=True, order=True)
class LogEntry:
    """A file of rows, or the directory of one request's bodies, in the order of deletion."""

    day: date
    rows: bool
    """Bodies (False) go before the rows of their day: they are larger and matter less."""
    changed: float
    path: str
    size: int


def day_of(name: str) -> date | None:
    """Return the day of a file of rows; None for any other name."""
    match = _ROWS.fullmatch(name)
    return parse_day(match[1]) if match else None


def parse_day(text: str) -> date | None:
    """Return the day `YYYY-MM-DD`; None for any other text."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def surplus(
    entries: Iterable[LogEntry], now: float, *, max_age_days: int, max_bytes: int
) -> list[LogEntry]:
    """Return the entries to delete, in this order."""
    first = (datetime.fromtimestamp(now, UTC) - timedelta(days=max_age_days)).date()
    ordered = sorted(entries)
    old = [each for each in ordered if each.day < first]
    young = ordered[len(old) :]
    return [*old, *_oldest(young, sum(each.size for each in young) - max_bytes)]


def _oldest(ordered: Iterable[LogEntry], excess: int) -> Iterator[LogEntry]:
    for each in ordered:
        if excess <= 0:
            return
        excess -= each.size
        yield each


async def keep_clean(
    directory: Path, limits: Callable[[], Logging], now: Callable[[], float], every: float = EVERY
) -> None:
    """Clean every `every` seconds until cancelled; `limits` is called each time: a reload may change them."""
    stopping = threading.Event()

    def breathe(_: int) -> None:
        if stopping.wait(PAUSE):
            raise StoppedError

    try:
        while True:
            with suppress(StoppedError):
                await asyncio.to_thread(clean, directory, limits(), now(), breathe)
            await asyncio.sleep(every)
    finally:
        stopping.set()  # who ends the proxy waits for its threads


class StoppedError(Exception):
    """The proxy stops while rows are read; what was read is read again the next time."""


def clean(directory: Path, limits: Logging, now: float, breathe: Breathe = lambda _: None) -> None:
    """Write roll-ups, and delete the surplus. What can't be is reported, and tried again the next time."""
    write_rollups(directory, breathe)
    gone = surplus(
        entries(directory),
        now,
        max_age_days=limits.max_age_days,
        max_bytes=limits.max_size_mb * MEGABYTE,
    )
    gone.sort(key=lambda each: bool(_summed(Path(each.path))))  # the others make room for roll-ups
    failed = [error for each in gone if (error := _remove_entry(Path(each.path), breathe))]
    if failed:
        logger.error("%d old logs can't be deleted: %s", len(failed), failed[0])
    for day in _entries(directory / BODIES):
        if parse_day(day.name):
            with suppress(OSError):  # it is empty only when all of its requests are gone
                os.rmdir(day.path)
    _remove_rollups(directory, now, limits.rollup_days)


def write_rollups(directory: Path, breathe: Breathe = lambda _: None) -> None:
    """Bring the roll-ups of all days up to their rows; broken ones of days without rows are set aside."""
    failed: list[OSError] = []
    days = _days_with_rows(directory)
    for day in sorted(days | rollup_reader.days(directory)):
        outdated = rollup_files.is_stale if day in days else rollup_files.is_broken
        try:
            if outdated(directory, day):
                rollup_files.refresh(directory, day, breathe)
        except (Timeout, BrokenError):
            pass  # another process does it; or a later version has done it
        except OSError as e:
            failed.append(e)
    if failed:
        logger.error("%d roll-ups can't be written: %s", len(failed), failed[0])


def _days_with_rows(directory: Path) -> set[date]:
    return {day for family in rollup_files.FAMILIES for day in log_files.days(directory, family)}


def _summed(path: Path) -> tuple[str, date] | None:
    """Return family and day of rows that a roll-up sums up."""
    day = day_of(path.name)
    family = path.name[: -len("-YYYY-MM-DD.jsonl")]
    return (family, day) if day and family in rollup_files.FAMILIES else None


def _remove_entry(path: Path, breathe: Breathe) -> OSError | None:
    summed = _summed(path)
    if summed is None:
        return _remove(path)
    family, day = summed
    try:
        rollup_files.remove_rows(path.parent, day, family, breathe)
    except BrokenError:  # of a later version, which has summed them up
        return _remove(path)
    except (Timeout, FileNotFoundError):
        return None  # another process cleans
    except OSError as e:
        return e
    return None


def _remove_rollups(directory: Path, now: float, max_days: int) -> None:
    """Delete roll-ups that are too old, and whose rows are gone."""
    first = (datetime.fromtimestamp(now, UTC) - timedelta(days=max_days)).date()
    rows = _days_with_rows(directory)
    for entry in _entries(directory / rollup_reader.FOLDER):
        day = parse_day(entry.name[:10])
        if day and day < first and day not in rows:
            _remove(Path(entry.path))


def entries(directory: Path) -> Iterator[LogEntry]:
    """Yield our log files and bodies; anything else in the directory is left alone."""
    for entry in _entries(directory):
        day = day_of(entry.name)
        if day and not entry.is_symlink():
            with suppress(OSError):
                stat = entry.stat()
                yield LogEntry(day, True, stat.st_mtime, entry.path, stat.st_size)
    for each in _entries(directory / BODIES):
        day = parse_day(each.name)
        for request in _entries(Path(each.path)) if day and not each.is_symlink() else ():
            if day:
                with suppress(OSError):
                    changed = request.stat(follow_symlinks=False).st_mtime
                    yield LogEntry(day, False, changed, request.path, _size(request))


def _size(directory: os.DirEntry[str]) -> int:
    if directory.is_symlink() or not directory.is_dir():
        return directory.stat(follow_symlinks=False).st_size
    return sum(each.stat(follow_symlinks=False).st_size for each in _entries(Path(directory.path)))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return []


def _remove(path: Path) -> OSError | None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as e:
        return e
    return None
