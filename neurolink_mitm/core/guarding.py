"""What a guard does: it watches a proxy, and undoes what that one could not."""

from __future__ import annotations

from enum import Enum

MISSES = 5
"""Questions in a row, one a second, to which a proxy that runs has no answer, until it counts as gone."""


class Verdict(Enum):
    """What the guard does now. The values are what it says in its log."""

    WATCH = "watching"
    UNDONE = "it has put Claude Code's settings back itself"
    TAKEN_OVER = "it is dead, and another proxy serves its address"
    DEAD = "it is dead"
    SILENT = f"it runs, but did not answer {MISSES} times"


def judge(*, recorded: bool, alive: bool, answers: bool, misses: int) -> Verdict:
    """`recorded`: the settings still have to be put back; `misses`: how often nothing answered, this time included."""
    if not recorded:
        return Verdict.UNDONE
    if not alive:
        return Verdict.TAKEN_OVER if answers else Verdict.DEAD
    return Verdict.SILENT if misses >= MISSES else Verdict.WATCH
