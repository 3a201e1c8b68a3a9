"""What a request costs on an account that is paid per use: nothing, what its answer tells, or nobody can say.

https://platform.claude.com/docs/en/about-claude/pricing
"""

from __future__ import annotations

import enum
import re


class Charge(enum.Enum):
    """How its cost is known."""

    FREE = "free"
    TOLD = "told"  # its answer tells its tokens
    UNTOLD = "untold"  # a batch, say: its results come later, or never come by here


_READS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_FREE = re.compile(
    r"/v1/(files|skills(/[^/]+/versions)?|organizations/.*|messages/batches/[^/]+/cancel)/?"
)
"""What is posted there costs nothing."""


def charge_at(method: str, path: str) -> Charge:
    """The charge for anything but Messages, which tell theirs. What is not known to be free costs something."""
    if method in _READS:
        return Charge.FREE
    free = method == "POST" and _FREE.fullmatch(path.partition("?")[0])
    return Charge.FREE if free else Charge.UNTOLD
