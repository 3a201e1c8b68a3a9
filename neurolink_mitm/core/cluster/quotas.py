"""The quota of an account that several replicas see: the newest counts, window by window."""

from __future__ import annotations

from dataclasses import replace

from neurolink_mitm.core.pool.cooldown import SLACK
from neurolink_mitm.core.pool.limit_headers import MAX_NUMBER
from neurolink_mitm.core.pool.quota import CLASSIC, Classic, Quota
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, sound

RACE = 2.0
"""Seconds by which a replica may not know yet what another has seen."""


def newest(shared: Quota, ours: Quota | None) -> Quota:
    """Return what both know of an account.

    A window that only the older one names was ended by a success since, unless the newer one can't have known it.
    """
    if ours is None:
        return shared
    newer, older = (shared, ours) if shared.seen_at > ours.seen_at else (ours, shared)
    windows = {
        name: each
        for name, each in older.windows.items()
        if name in newer.windows or each.seen_at > newer.seen_at - RACE
    }
    for name, each in newer.windows.items():
        if name not in windows or each.seen_at >= windows[name].seen_at:
            windows[name] = each
    learned = newer.learned or older.learned
    fallback = older.fallback if newer.fallback is None else newer.fallback
    return replace(newer, windows=windows, learned=learned, fallback=fallback)


def news_of(shared: Quota, ours: Quota | None) -> Quota:
    """Return `shared` with those windows only that are newer than ours."""
    windows = {
        name: each
        for name, each in shared.windows.items()
        if not ours or name not in ours.windows or each.seen_at > ours.windows[name].seen_at
    }
    return replace(shared, windows=windows)


def shifted(quota: Quota, seconds: float) -> Quota:
    """Return a quota seen by a clock that is so many seconds ahead; resets are upstream's."""
    windows = {n: replace(w, seen_at=w.seen_at + seconds) for n, w in quota.windows.items()}
    return replace(quota, seen_at=quota.seen_at + seconds, windows=windows)


def bounded(quota: Quota, now: float) -> Quota | None:
    """Return a quota as headers could have reported it; None for one of the future, or too old to say anything."""
    if not now - LONGEST_WINDOW < quota.seen_at <= now + SLACK:
        return None
    windows = {
        name: each
        for name, each in sound(quota.windows).items()
        if 0 <= each.seen_at <= quota.seen_at + SLACK
    }
    classic = {name: _classic(quota.classic[name]) for name in CLASSIC if name in quota.classic}
    return replace(
        quota,
        windows=windows,
        classic=classic,
        fallback=_number(quota.fallback),
        reset=_number(quota.reset),
    )


def _classic(limit: Classic) -> Classic:
    return Classic(_number(limit.limit), _number(limit.remaining), _number(limit.reset))


def _number(value: float | None) -> float | None:
    return value if value is not None and 0 <= value < MAX_NUMBER else None
