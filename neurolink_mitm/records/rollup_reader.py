"""Reads a roll-up, `rollups/DATE.json` beside the logs."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path

import msgspec

from neurolink_mitm.adapters import files
from neurolink_mitm.records import rollups
from neurolink_mitm.records.rollups import (
    BrokenError,
    Header,
    Rollup,
)
from neurolink_mitm.records.stats import Groups, Times

FOLDER = "rollups"


def path_of(logs: Path, day: date) -> Path:
    return logs / FOLDER / f"{day}.json"


def days(logs: Path) -> set[date]:
    """Return the days that have a roll-up, readable or not."""
    with suppress(OSError):
        return {
            day for name in os.listdir(logs / FOLDER) if (day := _day(name.removesuffix(".json")))
        }
    return set()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


class RollupReader:
    """The roll-up of a day as it was when it was opened: a new one takes its name, not its content."""

    def __init__(self, logs: Path, day: date) -> None:
        """Raises `FileNotFoundError`, `BrokenError`."""
        path = path_of(logs, day)
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would be waited for
            raise BrokenError("no regular file")
        self._file = path.open("rb")
        try:
            line = self._file.readline(files.LARGEST)
            self.header: Header = rollups.read_header(line, str(day))
        except BaseException:
            self._file.close()
            raise
        self.day = day
        self._start = len(line)
        self._groups: dict[str, Groups] = {}

    def __enter__(self) -> RollupReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    @property
    def parents(self) -> Mapping[str, str]:
        """By agent: the one that has started it."""
        return self.header.parents

    def groups(self, section: str) -> Groups:
        """Return a section of requests. Raises `BrokenError`."""
        if section not in self._groups:
            expected = self.header.sections[section]
            self._groups[section] = rollups.read_groups(self._line(section), expected)
        return self._groups[section]

    def totals(self, section: str) -> rollups.Totals:
        """Return the totals of a section. Raises `BrokenError`."""
        name = rollups.TOTALS.format(section)
        return rollups.read_totals(self._line(name), self.header.sections[name])

    def raw(self, section: str) -> Mapping[str, msgspec.Raw]:
        """Return a section with each group still as JSON. Raises `BrokenError`."""
        return rollups.read_raw(self._line(section), self.header.sections[section])

    def times(self) -> Times:
        """Return the section of attempts. Raises `BrokenError`."""
        return rollups.read_times(
            self._line(rollups.ATTEMPTS), self.header.sections[rollups.ATTEMPTS]
        )

    def _line(self, section: str) -> bytes:
        offset, length, _ = self.header.sections[section]
        self._file.seek(self._start + max(offset, 0))
        return self._file.read(min(max(length, 0), os.fstat(self._file.fileno()).st_size))

    def rollup(self) -> Rollup:
        """Return all of it. Raises `BrokenError`."""
        requests = {name: self.groups(name) for name in rollups.REQUESTS}
        return Rollup(requests, self.times(), self.header.parents, self.header.sources)
