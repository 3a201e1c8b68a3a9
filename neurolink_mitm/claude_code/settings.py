"""Points Claude Code's `settings.json` at a proxy while it runs, and records how to restore the file.

The record (`claude-settings.json` in NEUROLINK_HOME) has an entry for each proxy that has changed the file, in their
order. An entry is written before the file is changed and removed after it is restored, so that it holds for a proxy
that is killed in between. The file has the values of the last proxy; an earlier one that ends hands its backup on to
the next.

A proxy that does not answer is detached: the file is restored, and the entry stays until the proxy is attached again.
Values that somebody else has set meanwhile are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from neurolink_mitm.adapters.files import edit, locked, read, read_whole, set_aside, write_atomic
from neurolink_mitm.adapters.state_file import is_running, process_start
from neurolink_mitm.claude_code import settings_text, vscode_text
from neurolink_mitm.claude_code.settings_text import (
    BASE_URL,
    Before,
    Variables,
    free,
    inherit,
    shifted,
    variables,
)
from neurolink_mitm.core.json_errors import UNREADABLE

OUTAGES = 5
"""Outages of an entry that are kept for `status`."""


@dataclass(frozen=True, slots=True)
class Form:
    """How variables are set and restored in the text of a file."""

    merge: Callable[[str | None, Variables], tuple[str, Before]]
    restore: Callable[[str, Variables, Before], str | None]
    values: Callable[[str | None, Iterable[str]], dict[str, str | None]]


CLAUDE_CODE = Form(settings_text.merge, settings_text.restore, settings_text.values)
VSCODE = Form(vscode_text.merge, vscode_text.restore, vscode_text.values)


class Away(msgspec.Struct, rename="camel", frozen=True):
    """A proxy is detached since `since` (seconds since the epoch). `left` are the values that were restored."""

    since: float
    why: str
    left: dict[str, str | None]


class Outage(msgspec.Struct, rename="camel", frozen=True):
    """A proxy was detached from `since` to `until`, in seconds since the epoch."""

    since: float
    until: float
    why: str


class Entry(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """The changes of one proxy. `made` are the directories that it created, the innermost last."""

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
    """The content of the record."""

    entries: list[Entry]
    version: int = 1


def with_entry(left: list[Entry], entry: Entry, order: list[Entry]) -> list[Entry]:
    """Return the entries `left` and `entry`, sorted as in `order`."""
    pids = [each.pid for each in order]
    detached = msgspec.structs.replace(entry, made=[])  # they are removed, or the next entry's
    return sorted([*left, detached], key=lambda each: pids.index(each.pid))


def later_than(entries: list[Entry], entry: Entry) -> Entry | None:
    """Return the next attached entry of the same file after `entry`."""
    later = entries[entries.index(entry) + 1 :]
    return next((e for e in later if e.path == entry.path and e.away is None), None)


def shifted_by(entries: list[Entry], by: Entry, *, attached: bool) -> list[Entry]:
    """Return the entries after `by` was attached or detached: what detached ones have left changes with it."""
    ours: dict[str, str | None] = {name: json.dumps(value) for name, value in by.ours.items()}
    old, new = (by.before.values, ours) if attached else (ours, by.before.values)

    def moved(entry: Entry) -> Entry:
        if entry.away is None or entry.path != by.path or entry.pid == by.pid:
            return entry
        left = shifted(entry.away.left, old, new)
        return msgspec.structs.replace(entry, away=msgspec.structs.replace(entry.away, left=left))

    return [moved(each) for each in entries]


class SettingsError(Exception):
    """The settings can't be changed; the text is one line that names the file and the reason."""


def settings_path(environ: Mapping[str, str]) -> Path | None:
    """Return Claude Code's `settings.json`; None if the environment does not say where home is."""
    chosen, user = environ.get("CLAUDE_CONFIG_DIR"), environ.get("HOME")
    if not chosen and not user:
        return None
    return Path(chosen or f"{user}/.claude").absolute() / "settings.json"


class Attachments(Protocol):
    """What a guard needs of the settings of one proxy or several files."""

    def entry(self, pid: int) -> Entry | None: ...

    def release(self, pid: int) -> bool: ...

    def detach(self, pid: int, why: str, now: float) -> bool: ...

    def attach_again(self, pid: int, now: float) -> bool: ...


class ClaudeSettings:
    """The settings and their record. All methods block on disk and lock, and raise `SettingsError`."""

    def __init__(self, record: Path, form: Form = CLAUDE_CODE) -> None:
        self._record = record
        self._form = form

    def claim(
        self,
        path: Path,
        pid: int,
        url: str,
        more: Variables | None = None,
        *,
        trust: Variables | None = None,
    ) -> None:
        """Point Claude Code at `url` until `release(pid)`; changes of dead proxies are undone first.

        `more` are variables to set beside the address, `trust` those of its certificate, which a value of the user's
        stands above. What this proxy has set before is undone, too.
        """
        with self._locked():
            others, _ = self._put_back_dead()
            for own in [each for each in others if each.pid == pid]:
                others = self._without(others, own)
            with _faults_of(path):
                made = _make_directory(path.parent)
                try:
                    ours = variables(url) | dict(more or {})
                    self._merge(path, pid, ours, url, others, made, dict(trust or {}))
                except BaseException:
                    _remove_directories(made)
                    self._write(others)
                    raise

    def release(self, pid: int) -> bool:
        """Undo the changes of a proxy; return whether there were any."""
        with self._locked():
            entries = self._read()
            mine = [each for each in entries if each.pid == pid]
            for entry in mine:
                entries = self._without(entries, entry)
            if mine:
                self._write(entries)
        return bool(mine)

    def detach(self, pid: int, why: str, now: float) -> bool:
        """Undo the changes of a proxy until `attach_again`; return whether there were any."""
        with self._locked():
            entries = self._read()
            entry = next((each for each in entries if each.pid == pid), None)
            if entry is None:
                return False
            if entry.away is None:
                away = Away(now, why, self._in_force(entries, entry))
                gone = msgspec.structs.replace(entry, away=away)
                entries = [gone if each is entry else each for each in entries]
                self._write(entries)
                entry = gone
            left = self._without(entries, entry)  # repeated if a guard was killed in between
            self._write(with_entry(left, entry, entries))
        return True

    def attach_again(self, pid: int, now: float) -> bool:
        """Undo `detach`. False if a later proxy is attached, or somebody has set the address meanwhile."""
        with self._locked():
            entries = self._read()
            entry = next((each for each in entries if each.pid == pid), None)
            if entry is None or entry.away is None or later_than(entries, entry):
                return False
            with _faults_of(Path(entry.path)):
                made = _make_directory(Path(entry.path).parent)
                back = self._merge_again(entries, entry, made)
                if back is None:
                    _remove_directories(made)
                    return False
            outage = Outage(entry.away.since, now, entry.away.why)
            outages = [*entry.outages, outage][-OUTAGES:]
            back = msgspec.structs.replace(back, away=None, outages=outages)
            new = [back if each is entry else each for each in entries]
            self._write(shifted_by(new, back, attached=True))
            return True

    def put_back(self) -> tuple[str, ...]:
        """Undo the changes of dead proxies; return the faults of files that can't be restored."""
        with self._locked():
            return self._put_back_dead()[1]

    def running(self) -> tuple[Entry, ...]:
        """Return the entries of running proxies."""
        with _faults_of(self._record):
            return tuple(each for each in self._read() if each.alive)

    def entry(self, pid: int) -> Entry | None:
        """Return the entry of a proxy; None if its changes are undone."""
        with _faults_of(self._record):
            return next((each for each in self._read() if each.pid == pid), None)

    def _merge(
        self,
        path: Path,
        pid: int,
        ours: dict[str, str],
        url: str,
        others: list[Entry],
        made: list[str],
        trust: dict[str, str],
    ) -> None:
        def change(text: str | None) -> str:
            there = self._form.values(text, trust)
            unset = {name: value for name, value in trust.items() if there[name] is None}
            set_now = ours | unset
            done, before = self._form.merge(text, set_now)
            entry = Entry(
                pid=pid, pid_started=process_start(pid) or 0.0, url=url,
                path=str(path), ours=set_now, before=before, made=made,
            )  # fmt: skip
            self._write(shifted_by([*others, entry], entry, attached=True))
            return done

        edit(path, change)

    def _merge_again(self, entries: list[Entry], entry: Entry, made: list[str]) -> Entry | None:
        """Return the entry with its new backup; still detached, which holds if the process is killed here."""
        back: Entry | None = None

        def change(text: str | None) -> str | None:
            nonlocal back
            assert entry.away
            base = None if text is None else self._form.restore(text, entry.ours, entry.before)
            names = free(entry.away.left, self._form.values(base, entry.away.left))
            if BASE_URL not in names:
                back = None
                return text
            ours = {name: entry.ours[name] for name in names}
            merged, before = self._form.merge(base, ours)
            away = msgspec.structs.replace(entry.away, left=before.values)
            back = msgspec.structs.replace(entry, ours=ours, before=before, made=made, away=away)
            self._write([back if each is entry else each for each in entries])
            return merged

        edit(Path(entry.path), change)
        return back

    def _put_back_dead(self) -> tuple[list[Entry], tuple[str, ...]]:
        """Return the entries of running proxies and of dead ones that can't be undone, and the faults."""
        entries, faults = self._read(), []
        for dead in [each for each in entries if not each.alive]:
            # looked up: its backup may be that of another dead one by now
            dead = next(each for each in entries if each.pid == dead.pid)
            try:
                entries = self._without(entries, dead)
            except SettingsError as e:
                faults.append(str(e))
            else:
                self._write(entries)
        return entries, tuple(faults)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _faults_of(self._record), locked(self._record):
            yield

    def _read(self) -> list[Entry]:
        try:
            return msgspec.json.decode(read_whole(self._record), type=Record).entries
        except FileNotFoundError:
            return []
        except (ValueError, *UNREADABLE):
            set_aside(self._record)
            return []

    def _write(self, entries: list[Entry]) -> None:
        if entries:
            write_atomic(self._record, msgspec.json.encode(Record(entries)) + b"\n")
        else:
            self._record.unlink(missing_ok=True)

    def _without(self, entries: list[Entry], gone: Entry) -> list[Entry]:
        """Return the entries without `gone`; undo its changes, or hand its backup on to the next entry of the file."""
        left = [each for each in entries if each is not gone]
        later = later_than(entries, gone)
        if later is None:
            self._undo(gone)
            return shifted_by(left, gone, attached=False)
        self._undo_alone(gone, left)
        before = inherit(later.before, gone.ours, gone.before)
        heir = msgspec.structs.replace(later, before=before, made=[*gone.made, *later.made])
        return shifted_by([heir if each is later else each for each in left], gone, attached=False)

    def _in_force(self, entries: list[Entry], entry: Entry) -> dict[str, str | None]:
        """Return the backup of `entry`, without variables that somebody has changed meanwhile."""
        path = Path(entry.path)
        names = list(entry.ours)
        if later_than(entries, entry) is None:
            with _faults_of(path):
                data = read(path)
                current = self._form.values(None if data is None else data.decode("utf-8"), names)
            names = [n for n in names if current[n] == json.dumps(entry.ours[n])]
        return {name: entry.before.values.get(name) for name in names}

    def _undo_alone(self, gone: Entry, left: list[Entry]) -> None:
        """Undo the variables of `gone` that no entry in `left` sets: no other backup has them."""
        theirs = {name for each in left if each.path == gone.path for name in each.ours}
        alone = {name: value for name, value in gone.ours.items() if name not in theirs}
        if alone:
            self._undo(msgspec.structs.replace(gone, ours=alone, made=[]))

    def _undo(self, entry: Entry) -> None:
        def change(text: str | None) -> str | None:
            return None if text is None else self._form.restore(text, entry.ours, entry.before)

        path = Path(entry.path)
        with _faults_of(path):
            edit(path, change)
        _remove_directories(entry.made)


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as e:
        raise SettingsError(f"{path} can't be changed: {e}") from e
    except OSError as e:
        raise SettingsError(f"{e.filename or path} can't be changed: {e.strerror or e}") from e


def _make_directory(wanted: Path) -> list[str]:
    missing = [each for each in (wanted, *wanted.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700)
    return [str(each) for each in reversed(missing)]


def _remove_directories(made: list[str]) -> None:
    """Remove the directories in `made` that are empty."""
    for each in reversed(made):
        with suppress(OSError):
            Path(each).rmdir()
