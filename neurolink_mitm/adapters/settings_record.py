"""What is kept of the changes to Claude Code's settings: an entry for each proxy, in the order they came."""

from __future__ import annotations

import json

import msgspec

from neurolink_mitm.adapters.state_file import is_running
from neurolink_mitm.core.claude_settings import Before, shifted

OUTAGES = 5
"""The last ones are kept, for `status`."""


class Away(msgspec.Struct, rename="camel", frozen=True):
    """A proxy is detached since then, in seconds since the epoch. `left` is what was in the place of its values."""

    since: float
    why: str
    left: dict[str, str | None]


class Outage(msgspec.Struct, rename="camel", frozen=True):
    """A proxy was detached from then to then, in seconds since the epoch."""

    since: float
    until: float
    why: str


class Entry(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """What one proxy did. `made` are the directories that were not there, the innermost last."""

    pid: int
    pid_started: float
    url: str
    path: str
    ours: dict[str, str]
    before: Before
    made: list[str] = []
    away: Away | None = None
    outages: list[Outage] = []

    @property
    def alive(self) -> bool:
        return is_running(self.pid, self.pid_started)


class Record(msgspec.Struct):
    """The whole file."""

    entries: list[Entry]
    version: int = 1


def with_entry(left: list[Entry], entry: Entry, order: list[Entry]) -> list[Entry]:
    """`entry` in its place among those that are left."""
    pids = [each.pid for each in order]
    made: list[str] = []  # they are gone, or the next one's
    kept = msgspec.structs.replace(entry, made=made)
    return sorted([*left, kept], key=lambda each: pids.index(each.pid))


def later_than(entries: list[Entry], entry: Entry) -> Entry | None:
    """The next one whose values are in the same file above those of `entry`."""
    behind = entries[entries.index(entry) + 1 :]
    return next((e for e in behind if e.path == entry.path and e.away is None), None)


def shifted_by(entries: list[Entry], by: Entry, *, attached: bool) -> list[Entry]:
    """What those that are detached have left changes with what is under it, as a proxy comes and goes."""
    ours: dict[str, str | None] = {name: json.dumps(value) for name, value in by.ours.items()}
    old, new = (by.before.values, ours) if attached else (ours, by.before.values)

    def moved(entry: Entry) -> Entry:
        if entry.away is None or entry.path != by.path or entry.pid == by.pid:
            return entry
        left = shifted(entry.away.left, old, new)
        return msgspec.structs.replace(entry, away=msgspec.structs.replace(entry.away, left=left))

    return [moved(each) for each in entries]
