"""Which account goes before which: whom the order of use can name, and why it is another than was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.pool.accounts import Account, unknown_account
from neurolink_mitm.core.settings.values import Config, Routing

Row = Mapping[str, Any]


class UnknownAccountError(ValueError):
    """There is no account of this label; the text names those there are."""


def check_labels(labels: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise `UnknownAccountError` unless each of `labels` is that of an account in `rows`."""
    names = [row["label"] for row in rows]
    for label in labels:
        if label not in names:
            raise UnknownAccountError(unknown_account(label, names))


def check_primary(label: str, stored: Sequence[StoredAccount], config: Config) -> None:
    """Raise `UnknownAccountError` unless `label` is that of a stored or configured account."""
    names = (*(each.label for each in stored), *(each.name for each in config.accounts))
    labels = [*dict.fromkeys(names)]
    if label not in labels:
        there = f"there are: {', '.join(labels)}"
        none = "there is none yet: neurolink auth login anthropic"
        raise UnknownAccountError(f"no account {label!r}; {there if labels else none}")


def order_notes(labels: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return why accounts are used in another order than they are named in."""
    at = {row["label"]: number for number, row in enumerate(rows)}
    by_label = {row["label"]: row for row in rows}
    notes = []
    for first, second in pairwise(labels):
        if at[first] < at[second]:
            continue
        row = by_label[second]
        why = "has a higher priority, or is listed with it"
        if row["primary"]:
            why = "is the primary account"
        elif row["type"] != by_label[first]["type"] and row["type"] == "oauth":
            why = "is a subscription, and they come before API keys of the same priority"
        notes.append(f"{second!r} stays before {first!r}: it {why}")
    return notes


def in_order(pool: Sequence[Account], routing: Routing) -> list[Account]:
    """Return the accounts in the order of use that `routing` asks for, which the pool may not follow yet."""
    place = {label: number for number, label in enumerate(routing.account_order)}
    return sorted(
        pool,
        key=lambda each: (
            each.label != routing.primary_account,
            -each.priority,
            each.type != "oauth",
            place.get(each.label, len(place)),
        ),
    )


def moved(pool: Sequence[Account], primary: str | None, label: str, *, up: bool) -> list[str]:
    """Return the labels of `pool`, which is in order, with `label` a place up or down. Raises `ValueError`."""
    labels = [account.label for account in pool]
    if label not in labels:
        raise UnknownAccountError(unknown_account(label, labels))
    at = labels.index(label)
    to = at - 1 if up else at + 1
    if not 0 <= to < len(labels):
        raise ValueError(f"{label!r} is the {'first' if up else 'last'} already")
    if reason := _fixed(pool[min(at, to)], pool[max(at, to)], primary):
        raise ValueError(reason)
    labels[at], labels[to] = labels[to], labels[at]
    return labels


def can_change_places(first: Account, second: Account, primary: str | None) -> bool:
    """Whether the order of use decides which of two neighbours goes first."""
    return _fixed(first, second, primary) is None


def _fixed(first: Account, second: Account, primary: str | None) -> str | None:
    why = None
    if first.label == primary:
        why = "is the primary account"
    elif first.priority != second.priority:
        why = f"has the higher priority, {first.priority}"
    elif first.type != second.type:
        why = "is a subscription, and they come before API keys of the same priority"
    return why and f"{first.label!r} stays before {second.label!r}: it {why}"
