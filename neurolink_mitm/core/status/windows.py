"""The windows of an account as `/status` and `auth list --format json` report them. Times are ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Callable

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.families import models_of
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.readings import runs_out_at
from neurolink_mitm.core.pool.windows import FIVE_HOURS, SEVEN_DAYS, Window

Row = dict[str, object]
Pace = Callable[[str, float], float]
"""The pace of a window (its name) at a time."""


def windows_report(quota: Quota, now: float, pace: Pace | None = None) -> Row:
    """Return the current windows by name, and the two of the whole account again by the names that they always had."""
    windows = {
        name: _window(window, runs_out_at(window, pace(name, now), now) if pace else None)
        | {"models": models_of(name, quota.learned)}
        for name, window in quota.current(now).items()
    }
    used = {name: each for name, each in windows.items() if each["used"] is not None}
    return {
        "fiveHour": used.get(FIVE_HOURS),
        "sevenDay": used.get(SEVEN_DAYS),
        "windows": windows,
    }


def _window(window: Window, out_at: float | None) -> Row:
    return {
        "used": window.utilization,
        "status": window.status or None,
        "reset": _iso(window.reset),
        "runsOutAt": _iso(out_at),
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)
