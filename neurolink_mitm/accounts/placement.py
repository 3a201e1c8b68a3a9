"""Where a new login goes among those that are stored, and which of those are of no use."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from neurolink_mitm.accounts.report import needs_login
from neurolink_mitm.core.auth.credentials import StoredAccount, check_label

LONGEST = 60
"""Characters taken of a wish: a label has at most 64, and a number may follow."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Store it under `label`. `gone` is another label that it leaves by this."""

    label: str
    replaces: bool = False
    gone: str | None = None
    question: str | None = None
    """To be answered with yes first."""
    default: bool = True
    otherwise: str = ""
    """What to do where nobody can answer; empty where the answer may then be taken for yes."""
    note: str | None = None


def place(
    new: StoredAccount, stored: Sequence[StoredAccount], asked: str | None, *, add: bool
) -> Placement:
    """`new.label` is what it would be called by itself, `asked` what the user wants it called.

    Raises `ValueError` where that can't be.
    """
    if asked is not None:
        check_label(asked)
    labels = [each.label for each in stored]
    same = next((each for each in stored if is_same(new, each)), None)
    if same is not None:
        return _renewed(same.label, asked, labels, add=add)
    if asked in labels:
        named = next(each for each in stored if each.label == asked)
        return _replaced(named, new, add=add)
    label = asked or unique(new.label, labels)
    if not stored or add:
        return Placement(label)
    return Placement(
        label,
        question=f"The pool has {_counted(labels)}. Add {label!r} beside it?"
        if len(labels) == 1
        else f"The pool has {_counted(labels)}. Add {label!r} beside them?",
        otherwise="pass --add to put it beside the accounts there are",
    )


def _renewed(label: str, asked: str | None, labels: Collection[str], *, add: bool) -> Placement:
    if asked in (None, label):
        return Placement(label, replaces=True)
    if add:
        hint = "to add another account, log out in the browser first, or use a private window"
        return Placement(label, replaces=True, note=f"this is {label!r}, which is renewed; {hint}")
    if asked in labels:
        raise ValueError(f"this login is {label!r}, and {asked!r} is another account")
    return Placement(asked or label, gone=label)


def _replaced(old: StoredAccount, new: StoredAccount, *, add: bool) -> Placement:
    if add:
        raise ValueError(f"there is an account {old.label!r} already: choose another --label")
    known = known_identity(old) and known_identity(new)
    who = f" ({old.email})" if old.email else ""
    return Placement(
        old.label,
        replaces=True,
        question=f"Replace the {_kind(old)} {old.label!r}{who}?",
        default=not known,
        otherwise="choose another --label, or log the old account out first" if known else "",
    )


def useless(stored: Sequence[StoredAccount], now: float) -> Iterator[tuple[StoredAccount, str]]:
    """Each entry that may go, and why. Of entries of one account the last to expire stays."""
    for account in stored:
        same = [each for each in stored if is_same(account, each)]
        best = max(same, key=lambda each: _worth(each, now))
        if best is not account:
            yield account, f"the same account as {best.label!r}"
        elif needs_login(account, now):
            yield account, account.disabled or "it has expired and can't be refreshed"
        elif account.disabled:
            yield account, f"disabled: {account.disabled}"


def _worth(account: StoredAccount, now: float) -> tuple[bool, bool, float]:
    return not needs_login(account, now), account.disabled is None, account.expires_at or 0.0


def is_same(one: StoredAccount, other: StoredAccount) -> bool:
    """The same credential, or two logins to one account in one organisation."""
    if one.access_token == other.access_token:
        return True
    logins = one.type == other.type == "oauth" and known_identity(one)
    return logins and _identity(one) == _identity(other)


def known_identity(account: StoredAccount) -> bool:
    return None not in _identity(account)


def _identity(account: StoredAccount) -> tuple[str | None, str | None]:
    return account.account_uuid, account.organization_uuid


def unique(wish: str, taken: Collection[str]) -> str:
    """The wish, made legal, with a number behind it where it is taken."""
    label = "".join(char for char in wish if char.isprintable())[:LONGEST].strip() or "account"
    number = 2
    found = label
    while found in taken:
        found, number = f"{label}-{number}", number + 1
    return check_label(found)


def _kind(account: StoredAccount) -> str:
    return "login" if account.type == "oauth" else "API key"


def _counted(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:5]) + (", …" if len(labels) > 5 else "")
    return f"{len(labels)} account{'s' * (len(labels) != 1)} ({shown})"
