"""Strategies: which of the usable accounts comes next. All are given them in pool order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from neurolink_mitm.core.accounts import Account

Strategy = Callable[[Sequence[Account]], Account]


def fill_first(accounts: Sequence[Account]) -> Account:
    """The first one left, in pool order: one account is used up before the next is touched."""
    return accounts[0]


STRATEGIES: Mapping[str, Strategy] = {"fill-first": fill_first}


def excludes(patterns: Iterable[str], model: str) -> bool:
    """Whether one of an account's `excludedModels` wildcards names this model."""
    return any(fnmatchcase(model, pattern) for pattern in patterns)
