"""Claude Code comes to the proxy while that runs: its settings, and the guard that undoes them."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from neurolink_mitm.adapters.claude_settings import ClaudeSettings, SettingsError
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import process_start

logger = logging.getLogger("neurolink.claude")

LOOK = 5.0
"""Seconds between two looks after the guard."""
END_LIMIT = 2.0
"""Seconds for the guard to end once it is told to."""
HAND_ON = ("HOME", "LANG", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Of the environment: the guard needs no keys."""


class ClaudeCode:
    """Attached from when the proxy serves until it stops. Nothing that goes wrong here stops the proxy."""

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

        In this order: killed at any moment, the proxy leaves somebody who puts the settings back.
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
        """Until it is cancelled: a guard that has ended is followed by another, and `changed` is called."""
        while True:
            await asyncio.sleep(LOOK)
            gone = self._guard is None or self._guard.poll() is not None
            if self.attached and gone and await asyncio.to_thread(self._guard_again, pid):
                changed()

    def _guard_again(self, pid: int) -> bool:
        try:
            if self._settings.entry(pid) is None:  # there is nothing to be undone
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
        """Put the settings back, and let the guard go. Blocks."""
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
    """In a session of its own: neither Ctrl-C nor a closed terminal is meant for it."""
    found = [os.path.abspath(each) for each in sys.path if each]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        [
            sys.executable, "-P", "-m", "neurolink_mitm.adapters.guard",
            str(home.root), str(pid), str(process_start(pid) or 0.0),
        ],
        env={name: os.environ[name] for name in HAND_ON if name in os.environ}
        | {"PYTHONPATH": os.pathsep.join(found)},
        cwd="/", start_new_session=True, stdin=nowhere, stdout=nowhere, stderr=nowhere,
    )  # fmt: skip
