"""The settings of Claude Code and of VS Code, attached and restored together, each with a record of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.claude_code.settings import VSCODE, ClaudeSettings, Entry, SettingsError

T = TypeVar("T")


class AllSettings:
    """All methods block; they raise `SettingsError`, but only after each file was tried."""

    def __init__(self, home: Home) -> None:
        self.claude = ClaudeSettings(home.claude_settings)
        self.editor = ClaudeSettings(home.editor_settings, VSCODE)

    def entry(self, pid: int) -> Entry | None:
        """Return the entry of a proxy: an attached one, where there is one."""
        entries = [e for e in self._each(lambda settings: settings.entry(pid)) if e]
        return min(entries, key=lambda entry: entry.away is not None, default=None)

    def running(self) -> tuple[Entry, ...]:
        """Return the entries of running proxies."""
        return tuple(
            entry for each in self._each(lambda settings: settings.running()) for entry in each
        )

    def release(self, pid: int) -> bool:
        return any(self._each(lambda settings: settings.release(pid)))

    def detach(self, pid: int, why: str, now: float) -> bool:
        return any(self._each(lambda settings: settings.detach(pid, why, now)))

    def attach_again(self, pid: int, now: float) -> bool:
        return any(self._each(lambda settings: settings.attach_again(pid, now)))

    def put_back(self) -> tuple[str, ...]:
        """Undo the changes of dead proxies; return the faults of files that can't be restored."""
        return tuple(
            fault for each in self._each(lambda settings: settings.put_back()) for fault in each
        )

    def _each(self, act: Callable[[ClaudeSettings], T]) -> list[T]:
        results, faults = [], []
        for settings in (self.claude, self.editor):
            try:
                results.append(act(settings))
            except SettingsError as e:
                faults.append(str(e))
        if faults:
            raise SettingsError("; ".join(faults))
        return results
