"""Why an account is passed over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skip:
    """The reason, and until when, where that is only a matter of time (seconds since the epoch)."""

    reason: str
    until: float | None = None
