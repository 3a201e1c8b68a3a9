"""When an account recovers by itself: at the reset of the window that upstream called used up, where it is known.

`Cooldown.recovery` has the result, so that what ends a cooldown (a success, a new credential) ends this, too.
"""

from __future__ import annotations

from neurolink_mitm.core.pool import quota as quotas
from neurolink_mitm.core.pool.cooldown import BACKOFF_CAP
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import (
    COMMON,
    LONGEST_WINDOW,
    REJECTED,
    Window,
    is_of_account,
    window_of,
)
from neurolink_mitm.core.request.headers import Fields


def reset_of_used_up(
    fields: Fields, latest: Quota | None, models: str, retry_after: float | None, now: float
) -> float | None:
    """Return the reset of the window for which upstream refused a request with a 429; None where it is unknown.

    `fields` are the 429's headers. If they name no window, `latest` counts, which is what the account's responses have
    reported so far. `models` is the scope of the 429. Of several windows that are used up, the last reset is returned.
    """
    reported = quotas.parse(fields, now)
    if reported and (reported.windows or reported.status):
        resets = _resets(reported, models, now + retry_after if retry_after else None)
    else:
        resets = _resets(latest, models, None) if latest else []
    return max((at for at in resets if at and now < at < now + LONGEST_WINDOW), default=None)


def _resets(quota: Quota, models: str, retry_at: float | None) -> list[float | None]:
    """Return the resets of the windows that are used up.

    1. The window's own reset. 2. That of the whole response, which is the reset of the window claimed. 3. `retry_at`,
    if it is later than any cooldown ends: so long a wait is a window's.
    """
    claimed = window_of(quota.claim)
    used_up = {n: w for n, w in quota.windows.items() if w.is_used_up and _concerns(n, models)}
    if not used_up and quota.status == REJECTED and _concerns(claimed, models):
        window = quota.windows.get(claimed, Window(None))
        used_up = (
            {} if window.status else {claimed: window}
        )  # a status of its own says that it is open
    if retry_at is not None and retry_at <= quota.seen_at + BACKOFF_CAP:
        retry_at = None
    return [
        window.reset or (quota.reset if name == claimed else None) or retry_at
        for name, window in used_up.items()
    ]


def _concerns(name: str, models: str) -> bool:
    """Return whether a 429 of this scope can be for this window: one of the whole account has an account's."""
    if not name:
        return True
    return is_of_account(name) if models == WHOLE_ACCOUNT else name not in COMMON
