"""Which entries of another program are taken into the pool, and under which labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from neurolink_mitm.accounts.imports.entries import Entry
from neurolink_mitm.accounts.placement import is_same
from neurolink_mitm.accounts.report import needs_login
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.labels import unique


@dataclass(frozen=True, slots=True)
class Step:
    """One entry: the account to store, or the reason why there is none."""

    entry: Entry
    account: StoredAccount | None = None
    renews: bool = False
    reason: str = ""

    @property
    def shared(self) -> bool:
        """Whether two programs would refresh the same login."""
        return self.account is not None and self.account.refresh_token is not None


def plan(entries: Sequence[Entry], stored: Sequence[StoredAccount], now: float) -> tuple[Step, ...]:
    """Return a step an entry, in order.

    An account that is in the pool stays as it is, unless it needs a login and the entry is another credential.
    """
    steps: list[Step] = []
    taken = {account.label for account in stored}
    for entry in entries:
        step = _step(entry, stored, [each.account for each in steps if each.account], now, taken)
        if step.account is not None:
            taken.add(step.account.label)
        steps.append(step)
    return tuple(steps)


def _step(
    entry: Entry,
    stored: Sequence[StoredAccount],
    planned: Sequence[StoredAccount],
    now: float,
    taken: set[str],
) -> Step:
    new = entry.account
    if new is None:
        return Step(entry, reason=entry.reason)
    if twin := next((each for each in planned if _same(new, each)), None):
        return Step(entry, reason=f"the same account as {twin.label!r}, which is taken")
    known = next((each for each in stored if _same(new, each)), None)
    if known is None:
        return Step(entry, replace(new, label=unique(new.label, taken)))
    if needs_login(known, now) and not _same_credential(new, known):
        return Step(entry, replace(new, label=known.label), renews=True)
    return Step(entry, reason=f"it is in the pool already, as {known.label!r}")


def _same(new: StoredAccount, other: StoredAccount) -> bool:
    origin = new.origin is not None and new.origin == other.origin
    return origin or _same_credential(new, other) or is_same(new, other)


def _same_credential(new: StoredAccount, other: StoredAccount) -> bool:
    refresh = new.refresh_token is not None and new.refresh_token == other.refresh_token
    return refresh or new.access_token == other.access_token
