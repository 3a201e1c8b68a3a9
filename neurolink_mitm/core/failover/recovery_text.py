"""When an account is back, in words: the window that is used up, its reset in local time, the countdown."""

from __future__ import annotations

import math
import re
from datetime import tzinfo

from neurolink_mitm.core.logs.reset_times import in_local_time, reset_time
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import REJECTED, Window, window_of

SOON = 60
"""Seconds up to which only the countdown is named."""
SLACK = 2.0
"""Seconds by which two resets of the same window may differ."""
_SECONDS = re.compile(r"\bfor \d+ s\b")
_LENGTH = re.compile(r"(\d+)([hd])(?:_(opus|sonnet|haiku))?")
_UNITS = {"h": "hour", "d": "day"}


def back_text(until: float, now: float, zone: tzinfo | None = None) -> str:
    """Return `in 10 s`, `at 16:40 CET (in 2h5m)`. `zone` is the reader's; None: that of this machine."""
    seconds = max(1, math.ceil(until - now))
    return f"in {seconds} s" if seconds <= SOON else f"at {reset_time(until, now, zone)}"


def reason_text(reason: Ineligible, quota: Quota | None, now: float, zone: tzinfo | None) -> str:
    """Return why an account is ineligible and until when: `5-hour window used up until 16:40 CET (in 2h5m)`."""
    if reason.until is None:
        return in_local_time(reason.reason, now, zone)
    until = f"until {reset_time(reason.until, now, zone)}"
    if name := used_up_window(reason, quota, now):
        return f"{window_text(name)} used up {until}"
    return timed(reason.reason, reason.until, now, zone)


def timed(reason: str, until: float, now: float, zone: tzinfo | None = None) -> str:
    """Return `reason` with the local time and the countdown in place of its seconds, if these are many."""
    if until - now <= SOON:
        return reason
    return _SECONDS.sub(f"until {reset_time(until, now, zone)}", reason, count=1)


def used_up_window(reason: Ineligible, quota: Quota | None, now: float) -> str | None:
    """Return the name of the window whose reset an account waits for; None where it is unknown, or there is none."""
    if quota is None or reason.until is None or not reason.reason.startswith("cooling"):
        return None
    windows = quota.current(now).items()
    named = [name for name, window in windows if _ends(window, reason.until)]
    claimed = window_of(quota.claim) if reason.tried_at is not None else ""
    if named and claimed not in named:
        return named[0]
    return claimed or None


def _ends(window: Window, until: float) -> bool:
    used_up = window.status == REJECTED or (window.utilization or 0) >= 1
    return used_up and window.reset is not None and abs(window.reset - until) <= SLACK


def window_text(name: str) -> str:
    """Return a window in a user's words: `5-hour window`, `weekly window`, `weekly Opus window`, `7d_oi window`."""
    length = _LENGTH.fullmatch(name)
    if length is None:
        return f"{name} window"
    number, unit, family = length.groups()
    words = "weekly" if (number, unit) == ("7", "d") else f"{number}-{_UNITS[unit]}"
    return f"{words} {family.capitalize()} window" if family else f"{words} window"
