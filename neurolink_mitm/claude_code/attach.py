"""Attaches Claude Code to the proxy while it runs: changes its settings, and starts the guard that restores them."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.claude_code import editors
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.choices import Choices, read_choices
from neurolink_mitm.claude_code.settings import SettingsError

logger = logging.getLogger("neurolink.claude")

CHECK_EVERY = 5.0
"""Seconds between two checks that the guard runs."""
END_LIMIT = 2.0
"""Seconds for the guard to end after SIGTERM."""
HAND_ON = ("HOME", "LANG", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Environment variables that the guard gets; it needs no keys."""


class ClaudeCode:
    """Claude Code, attached from when the proxy serves until it stops. No failure here stops the proxy."""

    def __init__(self, home: Home, settings: Path) -> None:
        self.path = settings
        self.attached = False
        self._home = home
        self._settings = AllSettings(home)
        self._editor_attached = False
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def guard_pid(self) -> int | None:
        return self._guard.pid if self._guard else None

    def attach(self, pid: int, url: str, trust: Mapping[str, str] | None = None) -> None:
        """Start the guard, and point Claude Code at `url`, with the variables `trust` for its certificate. Blocks.

        The guard comes first: a proxy that is killed at any moment leaves a process that restores the settings.
        """
        self._watch(pid)
        choices = self._choices()
        try:
            self._settings.claude.claim(self.path, pid, url, choices.variables, trust=trust)
            self.attached = True
        except SettingsError as e:
            logger.warning(
                "%s; Claude Code will not come here by itself: mend that and start again,"
                ' or set it in your shell: eval "$(neurolink proxy env)"',
                e,
            )
        self._editor_attached = self._attach_editor(pid, url, choices, trust)
        if not self._any_attached:
            self._dismiss()

    @property
    def _any_attached(self) -> bool:
        return self.attached or self._editor_attached

    def _choices(self) -> Choices:
        try:
            return read_choices(self._home.claude_choices)
        except (ValueError, OSError) as e:
            logger.warning("%s; run neurolink proxy setup again", e)
            return Choices()

    def _attach_editor(
        self, pid: int, url: str, choices: Choices, trust: Mapping[str, str] | None
    ) -> bool:
        """Return whether the editor is attached; one that a dead proxy has left attached is restored."""
        try:
            if choices.editor is None:
                if self._home.editor_settings.exists():
                    self._settings.editor.put_back()
                return False
            attach_editor(self._settings, Path(choices.editor), pid, url, choices, trust)
        except SettingsError as e:
            logger.warning("%s; Claude Code's extension is left as it is", e)
            return False
        return True

    async def keep_guarded(self, pid: int, changed: Callable[[], object]) -> None:
        """Start another guard when one has ended, and call `changed`; runs until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            gone = self._guard is None or self._guard.poll() is not None
            if self._any_attached and gone and await asyncio.to_thread(self._guard_again, pid):
                changed()

    def _guard_again(self, pid: int) -> bool:
        try:
            if self._settings.entry(pid) is None:  # nothing to restore
                return False
        except SettingsError:
            return False
        return self._watch(pid)

    def _watch(self, pid: int) -> bool:
        if self._guard and self._guard.poll() is None:
            return True
        try:
            self._guard = _spawn(self._home, pid)
        except OSError as e:
            logger.warning("no guard watches over Claude Code's settings: %s", e)
            return False
        return True

    def detach(self, pid: int) -> None:
        """Restore the settings, and end the guard. Blocks."""
        if not self._any_attached:
            return
        self.attached = self._editor_attached = False
        try:
            self._settings.release(pid)
        except SettingsError as e:
            logger.error("%s; the next start tries again, or take ANTHROPIC_BASE_URL out of it", e)
        self._dismiss()

    def _dismiss(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        guard.terminate()
        try:
            guard.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()


def attach_editor(
    settings: AllSettings,
    path: Path,
    pid: int,
    url: str,
    choices: Choices,
    trust: Mapping[str, str] | None = None,
) -> None:
    """Point Claude Code's extension at `url`. Raises `SettingsError`."""
    if fault := editors.fault(path):
        raise SettingsError(fault)
    settings.editor.claim(path, pid, url, choices.variables, trust=trust)


def _spawn(home: Home, pid: int) -> subprocess.Popen[bytes]:
    """Start a guard in a session of its own, which neither Ctrl-C nor a closed terminal reaches."""
    paths = [os.path.abspath(each) for each in sys.path if each]
    null = subprocess.DEVNULL
    return subprocess.Popen(
        [
            sys.executable, "-P", "-m", "neurolink_mitm.claude_code.guard",
            str(home.root), str(pid), str(process_start(pid) or 0.0),
        ],
        env={name: os.environ[name] for name in HAND_ON if name in os.environ}
        | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd="/", start_new_session=True, stdin=null, stdout=null, stderr=null,
    )  # fmt: skip
