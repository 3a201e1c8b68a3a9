"""What replicas know together of one cooldown, and how two of them put what they know together.

A state is what replicas have reported: windows (one is one cooldown), and the time of the last heal. Merging is a set
union without the windows that a heal has ended, so its order and repetitions don't matter. `scripts/cooldowns.lua`
has the same rules. Times are seconds since the epoch, by Redis' clock.
"""

from __future__ import annotations

import msgspec

from neurolink_mitm.core.pool.account_state import LEVEL_LIFETIME
from neurolink_mitm.core.pool.cooldown import (
    BACKOFF_CAP,
    LONG_COOLDOWN,
    SLACK,
    Cooldown,
)

MOST_WINDOWS = 4
"""Windows of a state at most; there is one, unless replicas were apart."""
SAME = 0.001
"""Seconds by which two beginnings of one cooldown differ at most: clocks were converted, and back."""
HIGHEST_LEVEL = 10_000
LATEST = 1e11
"""No time is later."""
HEALED_FOR = 2 * LEVEL_LIFETIME
"""Seconds for which a heal is remembered: a replica that was away that long has no older cooldown."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """One cooldown, as the replica `by` reported it. The fields are those of `Cooldown`."""

    began: float
    level: int
    until: float
    whole: bool = False
    resets_at: float = 0.0
    """0 where it is unknown."""
    reason: str = ""
    by: str = ""


class State(msgspec.Struct, frozen=True, array_like=True):
    """The windows that go on, or still raise the level of the next one; and `healed`, which ended those before."""

    healed: float = 0.0
    """The beginning of the last cooldown that a success or a reset has ended: those that began later go on."""
    windows: tuple[Window, ...] = ()

    def gone(self, now: float) -> bool:
        """Return whether there is nothing in it that a replica could want to know."""
        return not self.windows and self.healed < now - HEALED_FOR


NOTHING = State()


def merged(one: State, other: State, now: float) -> State:
    """Return what both know together. Absurd values count as never reported, whoever wrote them."""
    healed = max(_healed(one, now), _healed(other, now))
    sound = {
        w for w in (*one.windows, *other.windows) if w.began > healed + SAME if _is_sound(w, now)
    }
    if len(sound) < 2:
        return State(healed, tuple(sound))
    after = sorted(sound, key=_key)
    windows = tuple(w for w in after if not any(_covers(each, w) for each in after))
    return State(healed, windows[-MOST_WINDOWS:])


def _healed(state: State, now: float) -> float:
    return state.healed if 0 < state.healed <= now + SLACK else 0.0


def _is_sound(window: Window, now: float) -> bool:
    cap = BACKOFF_CAP if window.level > 0 else LONG_COOLDOWN
    return (
        0 <= window.level <= HIGHEST_LEVEL
        and 0 < window.began <= now + SLACK
        and now - LEVEL_LIFETIME < window.until <= now + cap + SLACK
        and 0 <= window.resets_at < LATEST
    )


def _key(window: Window) -> tuple[float | str, ...]:
    numbers = window.began, window.level, window.until, window.whole, window.resets_at
    return *numbers, window.reason, window.by


def _covers(one: Window, other: Window) -> bool:
    """Return whether `one` says all that `other` says; of two that say the same, the later in order covers."""
    at_least = (
        one.began >= other.began
        and one.level >= other.level
        and one.until >= other.until
        and one.whole >= other.whole
    )
    return at_least and _key(one) > _key(other)


def healed(state: State, now: float) -> State:
    """Return the state after a success, or a reset, on a replica that knew it."""
    last = max((window.began for window in state.windows), default=0.0)
    return merged(state, State(last), now)


def in_force(state: State, now: float) -> Cooldown | None:
    """Return the cooldown that a state amounts to, running or run out, its reason with who reported it; else None."""
    if not state.windows:
        return None
    last = max(state.windows, key=lambda window: (window.until, window.began))
    return Cooldown(
        level=max(window.level for window in state.windows),
        began=max(window.began for window in state.windows),
        until=last.until,
        reason=last.reason,
        whole=any(window.whole and window.until > now for window in state.windows),
        resets_at=last.resets_at or None,
    )


def reported_by(state: State) -> str:
    """Return the replica whose report decides when the cooldown ends."""
    return max(state.windows, key=lambda window: (window.until, window.began)).by
