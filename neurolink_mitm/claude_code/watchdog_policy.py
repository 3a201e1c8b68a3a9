"""The guard's watchdog policy: when Claude Code is detached from a proxy, and when it is attached again."""

from __future__ import annotations

from enum import Enum

MISSES = 5
"""Seconds in a row without an answer of a running proxy, after which Claude Code is detached."""
JUMP = 2.0
"""Seconds of delay after which the guard concludes that it was stopped itself."""
NO_ANSWER = "the proxy did not answer"


class WatchdogAction(Enum):
    """The guard's next action; the values are lines of its log."""

    WATCH = "watching"
    UNDONE = "it has put Claude Code's settings back itself"
    TAKEN_OVER = "it is dead, and another proxy serves its address"
    DEAD = "it is dead"
    SILENT = f"it runs, but did not answer {MISSES} times"
    BACK = "it answers again"


def choose_action(
    *,
    recorded: bool,
    alive: bool,
    answers: bool,
    misses: int,
    awaited: bool = False,
    detached: bool = False,
) -> WatchdogAction:
    """Return the guard's next action.

    `recorded`: the settings still have to be restored; `awaited`: the proxy is about to change them;
    `misses`: seconds without an answer; `detached`: the settings are restored while the proxy does not answer.
    """
    if not recorded:
        return WatchdogAction.WATCH if awaited and alive else WatchdogAction.UNDONE
    if not alive:
        return WatchdogAction.TAKEN_OVER if answers else WatchdogAction.DEAD
    if detached:
        return WatchdogAction.BACK if answers else WatchdogAction.WATCH
    return WatchdogAction.SILENT if misses >= MISSES else WatchdogAction.WATCH


def count_misses(misses: int, *, answers: bool, took: float, limit: float) -> int:
    """Return the misses after a health check that took `took` seconds, of `limit` allowed."""
    if answers:
        return 0
    slept = took > limit + JUMP  # while stopped itself, the guard can't judge the proxy
    return misses + (0 if slept else max(1, round(took)))
