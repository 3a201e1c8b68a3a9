"""Pauses: accounts that their owner has taken out of the pool for a while, from bytes to values.

`{"anthropic:work": {"until": "2026-11-29T18:00:00Z", "reason": "on holiday"}}`; `until` is null where only a resume
ends it. The name may be a label alone, and `until` a number of seconds or milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from neurolink_mitm.core.auth.credentials import PROVIDER, ends_at
from neurolink_mitm.core.json_errors import UNREADABLE

LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Pause:
    """Why an account is paused by its owner, and until when (seconds since the epoch; None: until it is resumed)."""

    until: float | None = None
    reason: str = ""

    def over(self, now: float) -> bool:
        return self.until is not None and self.until <= now

    @property
    def text(self) -> str:
        end = "" if self.until is None else f" until {utc(self.until)}"
        return f"paused{end}: {self.reason}" if self.reason else f"paused{end}"


class _Written(msgspec.Struct):
    until: float | str | None = None
    reason: str | None = None


def parse_pauses(data: bytes) -> Mapping[str, Pause]:
    """Return the pauses by account key. Raises `ValueError`."""
    try:
        written = msgspec.json.decode(data, type=dict[str, _Written])
    except UNREADABLE as e:
        raise ValueError(str(e) if isinstance(e, msgspec.MsgspecError) else "not JSON") from None
    return {
        PROVIDER + name.removeprefix(PROVIDER): Pause(
            ends_at(pause.until, f"{msgspec.json.encode(name).decode()}.until"),
            pause_reason(pause.reason or ""),
        )
        for name, pause in written.items()
    }


def encode_pauses(pauses: Mapping[str, Pause], now: float) -> bytes:
    """Return the file's content, without the pauses that are over."""
    written: dict[str, Any] = {
        key: {"until": None if pause.until is None else utc(pause.until), "reason": pause.reason}
        for key, pause in pauses.items()
        if not pause.over(now)
    }
    return msgspec.json.format(msgspec.json.encode(written)) + b"\n"


def pause_reason(text: str) -> str:
    """Return a reason in one line, as views and headers of logs can have it."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(line.split())[:LONGEST_REASON]


def utc(moment: float) -> str:
    """Return `moment` as `2026-11-29T18:00:00Z`, in whole seconds: rounded up, two hours would be shown as `2h1m`."""
    return datetime.fromtimestamp(math.floor(moment), UTC).isoformat().replace("+00:00", "Z")
