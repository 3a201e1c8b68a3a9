"""Cooldowns that are forgotten: in the file that a proxy reads at its start, and in the audit log.

What a running proxy has in its pool is reset there (`Pool.reset`), by its own path or in its dashboard.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.persisted_state import read_cooldowns, write_cooldowns
from neurolink_mitm.core.auth.credentials import PROVIDER
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.persisted import PersistedState


def reset_file(home: Home, audit: Audit, account: str | None) -> list[str]:
    """Forget the persisted cooldowns of an account (label or key), or of all; return the labels.

    Raises `ValueError` where there is none for that account, `OSError`.
    """
    cooldowns = dict(read_cooldowns(home.cooldowns))
    gone = [key for key in cooldowns if account in (None, key, _label(key))]
    if account and not gone:
        cooling = ", ".join(map(_label, cooldowns))
        there = f"; there are some for: {cooling}" if cooling else ""
        raise ValueError(f"no cooldown is kept for an account {account!r}{there}")
    if gone:
        left = {key: cooldowns[key] for key in cooldowns if key not in gone}
        write_cooldowns(home.cooldowns, left)
    labels = [*map(_label, gone)]
    record_resets(audit, labels, cooldowns)
    return labels


def record_resets(
    audit: Audit, labels: Collection[str], before: Mapping[str, PersistedState]
) -> None:
    """Write the rows of accounts that were reset; `before` are the cooldowns that there were, by key."""
    for label in labels:
        state = before.get(PROVIDER + label) or before.get(label)  # another provider's model
        audit.record("reset", label, cooldowns_row(state))


def cooldowns_row(state: PersistedState | None) -> dict[str, Any] | None:
    """Return the cooldowns of an account by scope: until when, and why."""
    if state is None:
        return None
    return {
        scope: f"until {iso(each.until)}: {each.reason}" for scope, each in state.scopes.items()
    }


def _label(key: str) -> str:
    return key.removeprefix(PROVIDER)
