"""What exactly a 429 limits: the account, one model on it, or nothing that would last."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

from neurolink_mitm.core import headers
from neurolink_mitm.core.headers import Fields
from neurolink_mitm.core.quota import UNIFIED, limits_said

WHOLE_ACCOUNT = "*"

_FAMILIES = ("opus", "sonnet", "haiku")
_COMMON = (f"{UNIFIED}5h-status", f"{UNIFIED}7d-status")
_NAMED = re.compile(r"\bmodel:? ?`?claude-[a-z0-9]", re.IGNORECASE)


class Limit(enum.Enum):
    """What a rate limit is about."""

    ACCOUNT = "account"
    MODEL = "one model"
    CREDITS = "credits of one model family"
    BARE = "nothing named"


def limit_of(fields: Fields, message: str) -> Limit:
    """Read from a 429's headers and message."""
    said = limits_said(fields)
    account_wide = _is_account_wide(said)
    if said.get(f"{UNIFIED}overage-disabled-reason") == "out_of_credits" and not account_wide:
        return Limit.CREDITS
    if _names_a_model(said, message) and not account_wide:
        return Limit.MODEL
    named = said.keys() - {f"{UNIFIED}overage-disabled-reason"}
    should_retry = headers.get(fields, b"x-should-retry") == "true"
    if should_retry and not named and headers.get(fields, b"retry-after") is None:
        return Limit.BARE
    return Limit.ACCOUNT


def scope_of(status: int | None, fields: Fields, message: str, model: str | None) -> str:
    """Which models a failure is about, as a wildcard: `*` is the whole account."""
    limit = limit_of(fields, message) if status == 429 else Limit.ACCOUNT
    if limit is Limit.ACCOUNT or limit is Limit.BARE or not model:
        return WHOLE_ACCOUNT
    claim = limits_said(fields).get(f"{UNIFIED}representative-claim", "")
    family = _family(claim) or (_family(model) if limit is Limit.CREDITS else "")
    # what is benched has to be what was refused, whatever the headers and the message call it
    return f"*{family}*" if family and family in model else model


def _is_account_wide(said: Mapping[str, str]) -> bool:
    """A common window is used up; where no status of one is told, the claim says which."""
    statuses = [said[name] for name in _COMMON if name in said]
    claim = said.get(f"{UNIFIED}representative-claim")
    return "rejected" in statuses or (not statuses and claim in ("five_hour", "seven_day"))


def _names_a_model(said: Mapping[str, str], message: str) -> bool:
    """A claim on one family's window, a message; a window of some models used up, or rejected with all others open."""
    if _family(said.get(f"{UNIFIED}representative-claim", "")) or _NAMED.search(message):
        return True
    if said.get(f"{UNIFIED}7d_oi-status") == "rejected":
        return True
    return said.get(f"{UNIFIED}status") == "rejected" and all(name in said for name in _COMMON)


def _family(text: str) -> str:
    return next((family for family in _FAMILIES if family in text), "")
