"""Attaches Claude Code to the proxy while it runs: changes its settings, and starts the guard that restores them."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError

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
        self._settings = ClaudeSettings(home.claude_settings)
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def guard_pid(self) -> int | None:
        return self._guard.pid if self._guard else None

    def attach(self, pid: int, url: str) -> None:
        """Start the guard, and point Claude Code at `url`. Blocks.

        The guard comes first: a proxy that is killed at any moment leaves a process that restores the settings.
        """
        self._watch(pid)
        try:
            self._settings.claim(self.path, pid, url)
        except SettingsError as e:
            logger.warning(
                "%s; Claude Code will not come here by itself: mend that and start again,"
                ' or set it in your shell: eval "$(neurolink proxy env)"',
                e,
            )
            self._dismiss()
            return
        self.attached = True

    async def keep_guarded(self, pid: int, changed: Callable[[], object]) -> None:
        """Start another guard when one has ended, and call `changed`; runs until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY)
            gone = self._guard is None or self._guard.poll() is not None
            if self.attached and gone and await asyncio.to_thread(self._guard_again, pid):
                changed()

    def _guard_again(self, pid: int) -> bool:
        try:
            if self._settings.entry(pid) is None:  # nothing to restore
                return False
        except SettingsError:
            return False
        return self._watch(pid)

    def _watch(self, pid: int) -> bool:
        try:
            self._guard = _spawn(self._home, pid)
        except OSError as e:
            logger.warning("no guard watches over Claude Code's settings: %s", e)
            return False
        return True

    def detach(self, pid: int) -> None:
        """Restore the settings, and end the guard. Blocks."""
        if not self.attached:
            return
        self.attached = False
        try:
            self._settings.release(pid)
        except SettingsError as e:
            logger.error(
                "%s; the next start tries again, or take env.ANTHROPIC_BASE_URL out of it", e
            )
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
