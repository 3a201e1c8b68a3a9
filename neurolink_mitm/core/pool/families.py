"""Which models a window counts for: by its name, by a table, and by what an account's responses have shown.

`5h` and `7d` count for all models. Windows of one family beside them, and what is known of them:
- `7d_opus`, `7d_sonnet`: claims `seven_day_opus` and `seven_day_sonnet`, which Claude Code calls "Opus limit" and
  "Sonnet limit". https://pypi.org/project/ccusage/
- `7d_oi`: claim `seven_day_overage_included`, "Fable 5 limit" in Claude Code. Only responses to Fable name it; Opus
  goes on while it is rejected. A plan that draws on its included overage for Opus is limited by it for Opus, too.
  https://github.com/askalf/dario/issues/1262 https://github.com/Wei-Shaw/sub2api/pull/3698
  https://github.com/router-for-me/CLIProxyAPI/issues/5275
- `7d_omelette` and `7d_cowork` are other products' (Claude Design, Cowork). https://github.com/askalf/dario/pull/672

Windows come and go unannounced, so each response is evidence, for the family of its model: see `Evidence`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

from neurolink_mitm.core.pool.windows import COMMON, MAX_WINDOWS, Windows, is_of_account

T = TypeVar("T")
MAX_FAMILIES = 16
"""Families of a window of which evidence is kept: clients choose the models."""

_FAMILY = re.compile(r"\bclaude-(?:[\d.]+-)*([a-z]{3,20})(?![a-z])")
_KNOWN = ("opus", "sonnet", "haiku", "fable")
_TABLE: Mapping[str, tuple[str, ...]] = {
    **{f"7d_{family}": (family,) for family in _KNOWN},
    "7d_oi": ("fable",),
    "7d_omelette": (),
    "7d_cowork": (),
}


class Evidence(enum.StrEnum):
    """What the latest response to a family has shown of a window."""

    NAMED = "named"
    """The response named it: a hint that it counts, where its name tells nothing."""
    ABSENT = "absent"
    """The response named the account's windows, but not this one: it does not count."""
    PASSED = "passed"
    """It was used up, and the request was served within the plan: it does not count."""
    REFUSED = "refused"
    """It was used up, those of the account were not, and the request was refused: it counts."""


Learned = Mapping[str, Mapping[str, str]]
"""Evidence by window and family."""


@lru_cache(256)
def family_of(model: str | None) -> str:
    """Return the family of a model: `opus` of `claude-opus-4-6`; empty where the name tells none."""
    named = _FAMILY.search(model or "")
    return named[1] if named else ""


def counts_for(window: str, family: str, learned: Learned) -> bool:
    """Return whether a window counts for a family of models; an empty family is any model."""
    if window in COMMON:
        return True
    latest = learned.get(window, {}).get(family)
    if latest in (Evidence.ABSENT, Evidence.PASSED):
        return False
    if latest == Evidence.REFUSED or is_of_account(window):
        return True
    if window in _TABLE:
        return family in _TABLE[window]
    return latest == Evidence.NAMED


def models_of(window: str, learned: Learned) -> list[str]:
    """Return the wildcards of the models that a window counts for, as far as it is known; `*` is all."""
    families = learned.get(window, {})
    counting = [f for f in (*_TABLE.get(window, ()), *families) if counts_for(window, f, learned)]
    everything = is_of_account(window) and len(counting) == len(families)
    return ["*"] if everything else [f"*{family}*" for family in sorted(set(counting))]


def families_in(windows: Iterable[str]) -> set[str]:
    """Return the families that the names of windows tell."""
    return {family for window in windows for family in _TABLE.get(window, ())}


def evidence(
    reported: Windows, current: Windows, *, refused: bool, served: bool
) -> dict[str, Evidence]:
    """Return what a response shows of each window.

    `reported` are its own windows, `current` those that the account's responses have reported so far. `refused`: a 429
    for a limit of the model; `served`: a response within the plan.
    """
    by_window = {}
    for name in (*reported, *(name for name in current if name not in reported)):
        if name in COMMON:
            continue
        window = reported.get(name) or current[name]
        if window.is_used_up and (refused or served):
            by_window[name] = Evidence.REFUSED if refused else Evidence.PASSED
        elif name in reported:
            by_window[name] = Evidence.NAMED
        elif served and any(common in reported for common in COMMON):
            by_window[name] = Evidence.ABSENT
    return by_window


def learn(learned: Learned, family: str, shown: Mapping[str, Evidence]) -> Learned:
    """Return what is known after a response to `family`; the same object where it shows nothing new.

    The latest evidence counts, but that a response names a window says less than that it let the model pass.
    """
    for name, latest in shown.items() if family else ():
        before = learned.get(name, {})
        stays = (Evidence.NAMED, Evidence.PASSED, Evidence.REFUSED)
        if before.get(family) == latest or (latest in stays[:1] and before.get(family) in stays):
            continue
        families = _latest(before, family, MAX_FAMILIES) | {family: latest.value}
        learned = _latest(learned, name, MAX_WINDOWS) | {name: families}
    return learned


def _latest(entries: Mapping[str, T], replaced: str, most: int) -> dict[str, T]:
    """Return the latest entries without the one that is `replaced`, so many that there is room for it."""
    left = [(key, entry) for key, entry in entries.items() if key != replaced]
    return dict(left[1 - most :])
