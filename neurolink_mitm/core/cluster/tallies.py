"""What replicas have counted of each account, and the sums of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account

NAMES = ("attempts", "success", "errors", "rateLimits")
LARGEST = 10**15
Tallies = Mapping[str, tuple[int, ...]]
"""By account key: the counts in the order of `NAMES`."""


def tallies_of(states: Iterable[tuple[Account, AccountState]]) -> dict[str, tuple[int, ...]]:
    """Return the counts of accounts that have any."""
    counted = (
        (account.key, (each.attempts, each.success, each.errors, each.rate_limits))
        for account, state in states
        for each in (state.tally,)
    )
    return {key: counts for key, counts in counted if any(counts)}


def read_tallies(data: bytes, keys: Mapping[str, object]) -> Tallies:
    """Return the counts that another replica has written of the accounts `keys`; of what can't be read, none."""
    try:
        read = msgspec.json.decode(data)
    except (*UNREADABLE, ValueError):
        return {}
    pairs = read.items() if isinstance(read, dict) else ()
    return {key: tuple(counts) for key, counts in pairs if key in keys and _are_counts(counts)}


def _are_counts(counts: object) -> bool:
    return (
        isinstance(counts, list)
        and len(counts) == len(NAMES)
        and all(type(each) is int and 0 <= each <= LARGEST for each in counts)
    )


def summed(accounts: Iterable[Account], tallies: Iterable[Tallies]) -> list[dict[str, object]]:
    """Return a row for each account, with the sums of all replicas."""
    each_one = list(tallies)
    nothing = (0,) * len(NAMES)
    rows = []
    for account in accounts:
        counts = zip(*(each.get(account.key, nothing) for each in each_one), strict=True)
        sums = [sum(numbers) for numbers in counts] or nothing
        row = {"label": account.label, "key": account.key}
        rows.append(row | dict(zip(NAMES, sums, strict=True)))
    return rows
