"""The windows of a subscription: `anthropic-ratelimit-unified-<name>-{utilization,status,reset}`.

`5h` and `7d` are the account's. Others come and go, most of them for one family of models: `7d_opus`, `7d_sonnet`,
`7d_oi`, …
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from neurolink_mitm.core.pool.limit_headers import MAX_NUMBER, UNIFIED, moment, number

FIVE_HOURS, SEVEN_DAYS = COMMON = ("5h", "7d")
"""The windows of the whole account, by upstream's names."""
REJECTED = "rejected"
"""Status of a window that is used up."""
MAX_WINDOWS = 16
"""Windows of an account that are kept: upstream chooses their names."""
LONGEST_WINDOW = 8 * 86_400.0
"""Seconds: seven days, and one for a clock that is off. A later reset is ignored."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")
_HEADER = re.compile(rf"{UNIFIED}({_NAME.pattern})-(?:utilization|status|reset)")
_NO_WINDOW = "overage"
"""Has the same three headers, but is usage that is paid beside the plan."""
_STATUS = re.compile(r"[a-z_]{1,32}")
_OF_ACCOUNT = re.compile(r"\d+[a-z]+")
_CLAIM = re.compile(r"(five_hour|seven_day)(?:_([a-z0-9_]{1,28}))?")
_LENGTHS = {"five_hour": FIVE_HOURS, "seven_day": SEVEN_DAYS}
_CLAIMED_MODELS = {None: "", "overage_included": "oi"}
"""How a window's name ends, by the end of its claim where that is another word. Source: `families.py`."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window. `utilization` is a share of 1.0, None where upstream named only its status or reset."""

    utilization: float | None
    status: str = ""
    reset: float | None = None
    seen_at: float = field(default=0.0, compare=False)

    @property
    def is_used_up(self) -> bool:
        """Whether upstream called it used up; its status counts, if it has one."""
        return self.status == REJECTED or (not self.status and (self.utilization or 0) >= 1)

    def is_current(self, now: float) -> bool:
        """Return whether the window has not been reset since, and its reset is not too late to be true."""
        return self.reset is None or now < self.reset < now + LONGEST_WINDOW


Windows = Mapping[str, Window]


@lru_cache(256)
def is_of_account(name: str) -> bool:
    """Return whether the name alone tells that a window counts for all models: `5h`, `7d`, `30d`, not `7d_opus`."""
    return _OF_ACCOUNT.fullmatch(name) is not None


def window_of(claim: str) -> str:
    """Return the name of the window that a claim names, as `7d_opus` for `seven_day_opus`; empty for another claim."""
    match = _CLAIM.fullmatch(claim.lower())
    if match is None:
        return ""
    models = _CLAIMED_MODELS.get(match[2], match[2])
    return _LENGTHS[match[1]] + (f"_{models}" if models else "")


def read_windows(limits: Mapping[str, str], now: float) -> dict[str, Window]:
    """Return the windows that rate-limit headers name, by upstream's name; those of the whole account first."""
    windows = {n: _window(limits, f"{UNIFIED}{n}", now) for n in _windows_in(tuple(limits))}
    return {name: window for name, window in windows.items() if window}


@lru_cache(16)
def _windows_in(headers: tuple[str, ...]) -> list[str]:
    """Return the names of windows in names of headers, which are the same in most responses."""
    names = {match[1] for header in headers if (match := _HEADER.fullmatch(header))}
    return sorted(names - {_NO_WINDOW}, key=lambda name: (name not in COMMON, name))[:MAX_WINDOWS]


def _window(limits: Mapping[str, str], header: str, now: float) -> Window | None:
    used = number(limits.get(f"{header}-utilization"))
    reset = moment(limits.get(f"{header}-reset"))
    status = _status(limits.get(f"{header}-status", ""))
    return (
        None if used is None and reset is None and not status else Window(used, status, reset, now)
    )


@lru_cache(64)
def _status(text: str) -> str:
    status = text.lower()
    return status if _STATUS.fullmatch(status) else ""


def sound(windows: Windows) -> dict[str, Window]:
    """Return persisted windows as headers could have named them: a file may have any name and any number."""
    named = [name for name in windows if _NAME.fullmatch(name)][:MAX_WINDOWS]
    return {name: _sound(windows[name]) for name in named}


def _sound(window: Window) -> Window:
    used, reset, status = window.utilization, window.reset, window.status
    return Window(
        used if used is not None and 0 <= used < MAX_NUMBER else None,
        status if _STATUS.fullmatch(status) else "",
        reset if reset is not None and 0 < reset < MAX_NUMBER else None,
        window.seen_at,
    )


def merged(before: Windows, latest: Windows, now: float) -> Windows:
    """Return the `latest` windows, and those of `before` that are not among them and still current.

    Upstream names the window of some models only to requests for them. It is the same object where there are none.
    """
    if before.keys() <= latest.keys():
        return latest
    old = [name for name, each in before.items() if name not in latest and _lasts(each, now)]
    room = max(0, MAX_WINDOWS - len(latest))
    return {name: before[name] for name in old[max(0, len(old) - room) :]} | dict(latest)


def _lasts(window: Window, now: float) -> bool:
    return window.is_current(now) and now < window.seen_at + LONGEST_WINDOW
