"""The subject of a 429: the account, one model, or the credits of a model family."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from neurolink_mitm.core.pool.families import families_in, family_of
from neurolink_mitm.core.pool.limit_headers import UNIFIED, limit_headers
from neurolink_mitm.core.pool.windows import REJECTED, is_of_account, read_windows, window_of
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields

WHOLE_ACCOUNT = "*"
"""The wildcard of all models."""

_COMMON = (f"{UNIFIED}5h-status", f"{UNIFIED}7d-status")
_NAMED = re.compile(r"\bmodel:? ?`?claude-[a-z0-9]", re.IGNORECASE)


class Limit(enum.Enum):
    """The subject of a rate limit."""

    ACCOUNT = "account"
    MODEL = "one model"
    CREDITS = "credits of one model family"
    BARE = "nothing named"


def limit_of(fields: Fields, message: str) -> Limit:
    """Return the subject of a 429, by its headers and message."""
    limits = limit_headers(fields)
    account_wide = _is_account_wide(limits)
    if limits.get(f"{UNIFIED}overage-disabled-reason") == "out_of_credits" and not account_wide:
        return Limit.CREDITS
    if _names_a_model(limits, message) and not account_wide:
        return Limit.MODEL
    named = limits.keys() - {f"{UNIFIED}overage-disabled-reason"}
    should_retry = headers.get(fields, b"x-should-retry") == "true"
    if should_retry and not named and headers.get(fields, b"retry-after") is None:
        return Limit.BARE
    return Limit.ACCOUNT


def scope_of(status: int | None, fields: Fields, message: str, model: str | None) -> str:
    """Return the models that a failure concerns, as a wildcard; `*` is the whole account."""
    limit = limit_of(fields, message) if status == 429 else Limit.ACCOUNT
    if limit is Limit.ACCOUNT or limit is Limit.BARE or not model:
        return WHOLE_ACCOUNT
    # the cooldown has to be for the model that was refused, whatever the headers and the message call it
    family = family_of(model)
    limited = limit is Limit.CREDITS or family in families_in(_windows(limit_headers(fields)))
    return f"*{family}*" if family and limited else model


def _is_account_wide(limits: Mapping[str, str]) -> bool:
    """Return whether a window of the whole account is used up; without a status of one, the claim names the window."""
    statuses = [limits[name] for name in _COMMON if name in limits]
    claim = limits.get(f"{UNIFIED}representative-claim")
    return REJECTED in statuses or (not statuses and claim in ("five_hour", "seven_day"))


def _names_a_model(limits: Mapping[str, str], message: str) -> bool:
    """Return whether the limit is one model's.

    By a window of some models that is used up or claimed, by the message, or by a rejection while the windows of the
    account are open.
    """
    if any(not is_of_account(name) for name in _windows(limits)) or _NAMED.search(message):
        return True
    return limits.get(f"{UNIFIED}status") == REJECTED and all(name in limits for name in _COMMON)


def _windows(limits: Mapping[str, str]) -> list[str]:
    """Return the names of the windows that are used up, and of the one that is claimed."""
    windows = read_windows(limits, now=0.0).items()
    claimed = window_of(limits.get(f"{UNIFIED}representative-claim", ""))
    rejected = [name for name, window in windows if window.status == REJECTED]
    return [*rejected, claimed] if claimed else rejected
