"""What a guard does: it watches a proxy, and undoes what that one could not."""

from __future__ import annotations

from enum import Enum

MISSES = 5
"""Seconds in a row in which a proxy that runs answered nothing, until Claude Code is detached from it."""
JUMP = 2.0
"""Seconds by which the guard may be late until that says that it did not run itself."""
NO_ANSWER = "the proxy did not answer"


class WatchdogAction(Enum):
    """What the guard does now. The values are what it says in its log."""

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
    """What to do about a proxy.

    `recorded`: the settings still have to be put back; `awaited`: it has not changed them yet, but is about to;
    `misses`: for how many seconds nothing answered; `detached`: they are put back since nothing did.
    """
    if not recorded:
        return WatchdogAction.WATCH if awaited and alive else WatchdogAction.UNDONE
    if not alive:
        return WatchdogAction.TAKEN_OVER if answers else WatchdogAction.DEAD
    if detached:
        return WatchdogAction.BACK if answers else WatchdogAction.WATCH
    return WatchdogAction.SILENT if misses >= MISSES else WatchdogAction.WATCH


def count_misses(misses: int, *, answers: bool, took: float, limit: float) -> int:
    """The misses after one more question, which took so many seconds and should have taken at most `limit`."""
    if answers:
        return 0
    slept = took > limit + JUMP  # stopped itself, the guard knows nothing of the proxy meanwhile
    return misses + (0 if slept else max(1, round(took)))
