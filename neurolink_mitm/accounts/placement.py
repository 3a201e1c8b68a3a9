"""Where a new login goes among the stored accounts, and which of them are useless."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from neurolink_mitm.accounts.report import needs_login
from neurolink_mitm.core.auth.credentials import StoredAccount, check_label
from neurolink_mitm.core.auth.labels import unique

ANOTHER_LOGIN = "log out in the browser first, or use a private window"


@dataclass(frozen=True, slots=True)
class Placement:
    """The label to store an account under; `gone` is the label it had until now."""

    label: str
    replaces: bool = False
    gone: str | None = None
    question: str | None = None
    """The question that the user has to agree to first."""
    default: bool = True
    otherwise: str = ""
    """What to do where nobody can answer; empty where that counts as yes."""
    note: str | None = None


def place(
    new: StoredAccount, stored: Sequence[StoredAccount], wish: str | None, *, add: bool
) -> Placement:
    """Return where `new` goes; `wish` is the user's label for it, `new.label` the default.

    Raises `ValueError` where it can't have that label.
    """
    if wish is not None:
        check_label(wish)
    labels = [each.label for each in stored]
    same = next((each for each in stored if is_same(new, each)), None)
    if same is not None:
        return _renewed(same.label, wish, labels, add=add)
    if wish in labels:
        named = next(each for each in stored if each.label == wish)
        return _replaced(named, new, add=add)
    label = wish or unique(new.label, labels)
    if not stored or add:
        return Placement(label)
    them = "it" if len(labels) == 1 else "them"
    return Placement(
        label,
        question=f"The pool has {_counted(labels)}. Add {label!r} beside {them}?",
        otherwise="pass --add to put it beside the accounts there are",
    )


def place_again(new: StoredAccount, stored: Sequence[StoredAccount], label: str) -> Placement:
    """Return where a login goes that renews the account `label`. Raises `ValueError` if it is another account's."""
    same = next((each for each in stored if is_same(new, each)), None)
    if same is not None and same.label != label:
        raise ValueError(f"this is the account {same.label!r}, not {label!r}; {ANOTHER_LOGIN}")
    old = next((each for each in stored if each.label == label), None)
    if old and same is None and has_identity(old) and has_identity(new):
        raise ValueError(f"this is another account than {label!r}; {ANOTHER_LOGIN}")
    return Placement(label, replaces=old is not None)


def _renewed(label: str, wish: str | None, labels: Collection[str], *, add: bool) -> Placement:
    if wish in (None, label):
        return Placement(label, replaces=True)
    if add:
        hint = f"to add another account, {ANOTHER_LOGIN}"
        return Placement(label, replaces=True, note=f"this is {label!r}, which is renewed; {hint}")
    if wish in labels:
        raise ValueError(f"this login is {label!r}, and {wish!r} is another account")
    return Placement(wish or label, gone=label)


def _replaced(old: StoredAccount, new: StoredAccount, *, add: bool) -> Placement:
    if add:
        raise ValueError(f"there is an account {old.label!r} already: choose another --label")
    another = has_identity(old) and has_identity(new)
    who = f" ({old.email})" if old.email else ""
    return Placement(
        old.label,
        replaces=True,
        question=f"Replace the {_kind(old)} {old.label!r}{who}?",
        default=not another,
        otherwise="choose another --label, or log the old account out first" if another else "",
    )


def useless(stored: Sequence[StoredAccount], now: float) -> Iterator[tuple[StoredAccount, str]]:
    """Yield each entry that may be removed, and why. Of several for one account the last to expire stays."""
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
    """Whether both have the same credential, or are logins to one account in one organisation."""
    if one.access_token == other.access_token:
        return True
    logins = one.type == other.type == "oauth" and has_identity(one)
    return logins and _identity(one) == _identity(other)


def has_identity(account: StoredAccount) -> bool:
    return None not in _identity(account)


def _identity(account: StoredAccount) -> tuple[str | None, str | None]:
    return account.account_uuid, account.organization_uuid


def _kind(account: StoredAccount) -> str:
    return "login" if account.type == "oauth" else "API key"


def _counted(labels: Sequence[str]) -> str:
    listed = ", ".join(labels[:5]) + (", …" if len(labels) > 5 else "")
    return f"{len(labels)} account{'s' * (len(labels) != 1)} ({listed})"
