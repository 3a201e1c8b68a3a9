"""Labels of accounts that are made from a name, an e-mail address or a key of another program."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain, count

from neurolink_mitm.core.auth.credentials import check_label

LONGEST = 60
"""Characters of a wished label: a label has at most 64, and a number may follow."""


def unique(wish: str, taken: Collection[str]) -> str:
    """Return a legal label like `wish` that is not `taken`, with a number behind it if need be."""
    label = "".join(char for char in wish if char.isprintable())[:LONGEST].strip() or "account"
    numbered = (f"{label}-{number}" for number in count(2))
    return check_label(next(each for each in chain((label,), numbered) if each not in taken))
