"""Pauses of the accounts of a home. Running proxies follow at once, also after a restart."""

from __future__ import annotations

from typing import Any

from neurolink_mitm.adapters import pause_file
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.pause_file import Check
from neurolink_mitm.core.auth.credentials import PROVIDER
from neurolink_mitm.core.pool.pauses import Pause, pause_reason, utc


def pause(
    home: Home,
    audit: Audit,
    key: str,
    until: float | None,
    now: float,
    reason: str = "",
    check: Check = pause_file.any_pause,
) -> Pause | None:
    """Pause the account `key` until `until`, or until it is resumed; return the pause that it had.

    `check` is called with that first. Raises `PauseFileError`, `OSError`, and what `check` raises.
    """
    home.create()
    new = Pause(until, pause_reason(reason))
    before = pause_file.pause(home.pauses, key, new, now, check)
    audit.record("pause", key.removeprefix(PROVIDER), pause_row(before), pause_row(new))
    return before


def resume(
    home: Home, audit: Audit, key: str, now: float, check: Check = pause_file.any_pause
) -> Pause | None:
    """End the pause of the account `key`, and return it; None where there was none. Raises as `pause` does."""
    before = pause_file.resume(home.pauses, key, now, check)
    if before:
        audit.record("resume", key.removeprefix(PROVIDER), pause_row(before))
    return before


def pause_row(pause: Pause | None) -> dict[str, Any] | None:
    """Return a pause as JSON, as `pauses.json` has it."""
    if pause is None:
        return None
    return {"until": None if pause.until is None else utc(pause.until), "reason": pause.reason}
