"""Claude Code's `settings.json`, pointed at a proxy while it runs, and the record of how to put it back.

The record (`claude-settings.json` in NEUROLINK_HOME) has an entry for each proxy that has changed the file, in the
order they did. An entry is written before the file is changed and removed after it is put back, so one that was
killed in between still holds. The values in the file are those of the last proxy; one that ends before it leaves to
the next what was there before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from neurolink_mitm.adapters.atomic import write_atomic
from neurolink_mitm.adapters.careful_edit import edit
from neurolink_mitm.adapters.shared_file import locked, set_aside
from neurolink_mitm.adapters.state_file import is_running, process_start
from neurolink_mitm.core.claude_settings import Before, inherit, merge, restore, variables


class Entry(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """What one proxy did. `made` are the directories that were not there, the innermost last."""

    pid: int
    pid_started: float
    url: str
    path: str
    ours: dict[str, str]
    before: Before
    made: list[str] = []

    @property
    def alive(self) -> bool:
        return is_running(self.pid, self.pid_started)


class _Record(msgspec.Struct):
    entries: list[Entry]
    version: int = 1


class SettingsError(Exception):
    """The settings can't be changed; one line that names the file and the reason."""


def settings_path(environ: Mapping[str, str]) -> Path | None:
    """Claude Code's; None where the environment does not say where home is."""
    chosen, user = environ.get("CLAUDE_CONFIG_DIR"), environ.get("HOME")
    if not chosen and not user:
        return None
    return Path(chosen or f"{user}/.claude").absolute() / "settings.json"


class ClaudeSettings:
    """All methods block for as long as the disk and the lock do, and raise `SettingsError`."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def claim(self, path: Path, pid: int, url: str) -> None:
        """Point Claude Code at `url` until `release(pid)`; what dead proxies left is put back first."""
        with self._locked():
            others, _ = self._put_back_dead()
            with _faults_of(path):
                made = _make_directory(path.parent)
                try:
                    self._merge(path, pid, url, others, made)
                except BaseException:
                    _remove_directories(made)
                    self._write(others)
                    raise

    def release(self, pid: int) -> bool:
        """Put back what was there before that proxy. Whether there was anything of it."""
        with self._locked():
            entries = self._read()
            mine = [each for each in entries if each.pid == pid]
            for entry in mine:
                entries = _without(entries, entry)
            if mine:
                self._write(entries)
        return bool(mine)

    def put_back(self) -> tuple[str, ...]:
        """Undo what dead proxies did. Returns what is wrong with the files where that is not possible."""
        with self._locked():
            return self._put_back_dead()[1]

    def running(self) -> tuple[Entry, ...]:
        """What proxies did that run."""
        with _faults_of(self._record):
            return tuple(each for each in self._read() if each.alive)

    def entry(self, pid: int) -> Entry | None:
        """What that proxy did, if it is not undone yet."""
        with _faults_of(self._record):
            return next((each for each in self._read() if each.pid == pid), None)

    def _merge(self, path: Path, pid: int, url: str, others: list[Entry], made: list[str]) -> None:
        def change(text: str | None) -> str:
            done, before = merge(text, ours)
            entry = Entry(
                pid=pid, pid_started=process_start(pid) or 0.0, url=url,
                path=str(path), ours=ours, before=before, made=made,
            )  # fmt: skip
            self._write([*others, entry])
            return done

        ours = variables(url)
        edit(path, change)

    def _put_back_dead(self) -> tuple[list[Entry], tuple[str, ...]]:
        """What is left of the record then, and what is wrong."""
        entries, faults = self._read(), []
        for dead in [each for each in entries if not each.alive]:
            # looked up: it may have inherited from another that is dead
            dead = next(each for each in entries if each.pid == dead.pid)
            try:
                entries = _without(entries, dead)
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
            return msgspec.json.decode(self._record.read_bytes(), type=_Record).entries
        except FileNotFoundError:
            return []
        except (msgspec.MsgspecError, UnicodeDecodeError):
            set_aside(self._record)
            return []

    def _write(self, entries: list[Entry]) -> None:
        if entries:
            write_atomic(self._record, msgspec.json.encode(_Record(entries)) + b"\n")
        else:
            self._record.unlink(missing_ok=True)


def _without(entries: list[Entry], gone: Entry) -> list[Entry]:
    """The entries without one, whose changes are undone, or left to the next that changed the same file."""
    place = entries.index(gone)
    later = next((each for each in entries[place + 1 :] if each.path == gone.path), None)
    left = [each for each in entries if each is not gone]
    if later is None:
        _undo(gone)
        return left
    before = inherit(later.before, gone.ours, gone.before)
    heir = msgspec.structs.replace(later, before=before, made=[*gone.made, *later.made])
    return [heir if each is later else each for each in left]


def _undo(entry: Entry) -> None:
    def change(text: str | None) -> str | None:
        return None if text is None else restore(text, entry.ours, entry.before)

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
    """Those that nobody else uses by now."""
    for each in reversed(made):
        with suppress(OSError):
            Path(each).rmdir()
