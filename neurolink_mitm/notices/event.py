"""An event as receivers get it: JSON, and plain words in local time; and the signature of a webhook.

No field has a key or a token, and a mail only where it is the label of an account. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import hashlib
import hmac
import shlex

import msgspec

from neurolink_mitm.core.cost.budget import of_cap
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import zoned_time
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.redact.search import addresses
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import SecretMatch, redact, replaced, short
from neurolink_mitm.notices.conditions import Condition

TEST = "test"
"""The event of `neurolink notify test`."""
LONGEST = 300
"""Characters of a text that comes from elsewhere."""
_WINDOWS = {"5h": "5-hour", "7d": "7-day"}


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event. Fields without a meaning for its kind are null."""

    event: str
    """`needs-login`, `window-80`, `all-cooling`, `back`, `paid-fallback`, `cap` or `test`."""
    id: str
    """Unique; the same in all tries and channels."""
    at: str
    """When it was noticed."""
    message: str
    """The event in a sentence, with local times."""
    account: str | None = None
    """The label of the account, or the name of another provider's model."""
    window: str | None = None
    """The window, by Anthropic's name: `5h`, `7d`, …"""
    used: float | None = None
    """The used share of the window: 1.0 is all."""
    reset: str | None = None
    """When it is over by itself: the window's reset, the first account's recovery, the end of the day."""
    reason: str | None = None
    """Why an account needs a login, in upstream's words."""
    client: str | None = None
    """The name of the client key whose cap is reached; null for `routing.daily-cap-usd`."""
    spent_usd: float | None = None
    """Spent today."""
    cap_usd: float | None = None
    """The cap."""


def event_of(condition: Condition, event_id: str, now: float) -> Event:
    """Return the event that tells of `condition`."""
    return Event(
        event=condition.kind,
        id=event_id,
        at=iso(now),
        message=_message(condition, now),
        account=_clean(condition.account),
        window=condition.window,
        used=condition.used,
        reset=None if condition.reset is None else iso(condition.reset),
        reason=_without_mails(_clean(condition.reason)),
        client=_clean(condition.client),
        spent_usd=_rounded(condition.spent_usd),
        cap_usd=_rounded(condition.cap_usd),
    )


def trial_event(event_id: str, now: float) -> Event:
    """Return an event for a trial of the channels."""
    return Event(
        event=TEST, id=event_id, at=iso(now), message="This is a test: notices arrive here."
    )


def encode(event: Event) -> bytes:
    return msgspec.json.encode(event)


def signature(body: bytes, secret: Secret, now: float) -> str:
    """Return the header `x-neurolink-signature` of `body`: `t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`."""
    at = str(int(now))
    signed = hmac.new(secret.reveal().encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def _message(condition: Condition, now: float) -> str:
    account = _clean(condition.account) or "an account"
    until = "" if condition.reset is None else zoned_time(condition.reset, now)
    match condition.kind:
        case "needs-login":
            login = f"neurolink auth login anthropic --label {shlex.quote(account)}"
            return f"Account {account} needs a login: {login}"
        case "window-80":
            used = condition.used
            share = "all" if used is None or used >= 1 else f"{used:.0%}"
            name = _WINDOWS.get(condition.window or "", condition.window)
            reset = until and f", which is reset at {until}"
            return f"Account {account} has used {share} of its {name} window{reset}."
        case "all-cooling":
            return (
                f"No account can serve Claude Code now; the first, {account}, is back at {until}."
            )
        case "back":
            by = f" by account {account}" if condition.account else ""
            return f"Claude Code is served again{by}."
        case "paid-fallback":
            return f"No subscription can serve now: {account} does, which is paid per use."
        case "cap":
            whose = (
                f"client {_clean(condition.client)}'s daily cap"
                if condition.client
                else "the daily cap"
            )
            spent = of_cap(condition.spent_usd or 0, condition.cap_usd or 0)
            again = until and f"; more can be spent from {until}"
            return f"{whose[0].upper()}{whose[1:]} is reached: {spent}{again}."


def _clean(text: str | None) -> str | None:
    return None if text is None else printable(redact(short(text, LONGEST)))


def _without_mails(text: str | None) -> str | None:
    if text is None:
        return None
    return replaced(text, (SecretMatch(*at) for at in addresses(text)))


def _rounded(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 6)
