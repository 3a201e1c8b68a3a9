"""Why a channel could not deliver an event."""

from __future__ import annotations

from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.redact.text import redact, short, without_passwords

LONGEST = 300
"""Characters of a reason."""


class Undelivered(Exception):
    """A reason without secrets; `again`: another try may help."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(printable(redact(without_passwords(short(reason, LONGEST)))))
        self.again = again
