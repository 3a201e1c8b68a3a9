"""What reading JSON of others can raise: more than msgspec's own errors."""

from __future__ import annotations

import msgspec

UNREADABLE = (
    msgspec.MsgspecError,
    UnicodeError,  # a string that is no UTF-8
    RecursionError,  # nested too deeply
)
