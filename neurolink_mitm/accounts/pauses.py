"""Pauses of the accounts of a home. Running proxies follow at once, also after a restart."""

from __future__ import annotations

from neurolink_mitm.adapters import pause_file
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.pool.pauses import Pause, pause_reason


def pause(home: Home, key: str, until: float | None, now: float, reason: str = "") -> None:
    """Pause the account `key` until `until`, or until it is resumed. Raises `PauseFileError`, `OSError`."""
    home.create()
    pause_file.pause(home.pauses, key, Pause(until, pause_reason(reason)), now)


def resume(home: Home, key: str, now: float) -> bool:
    """End the pause of the account `key`; return whether there was one. Raises `PauseFileError`, `OSError`."""
    return pause_file.resume(home.pauses, key, now)
