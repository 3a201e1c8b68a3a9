"""Stored accounts: enabled, disabled, forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neurolink_mitm.accounts import pauses
from neurolink_mitm.accounts.order import UnknownAccountError
from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.pause_file import PauseFileError
from neurolink_mitm.adapters.token_store import Credentials, TokenStore
from neurolink_mitm.core.auth.credentials import PROVIDER, StoredAccount
from neurolink_mitm.core.logs.rows import iso

Check = Callable[[str | None], None]
"""Called with why the account is disabled, before that is changed; it may raise."""
BY_HAND = "by hand"
"""Why an account is disabled, where its owner names no reason."""


def stored_account(credentials: Credentials, label: str) -> StoredAccount:
    """Return the stored account of that label, the legacy one included. Raises `UnknownAccountError`."""
    accounts = every_stored(credentials)
    named = next((each for each in accounts if each.label == label), None)
    if named is None:
        raise unknown(label, credentials.stored)
    return named


def every_stored(credentials: Credentials) -> tuple[StoredAccount, ...]:
    """Return the stored accounts, and the one of the legacy file."""
    return credentials.stored + ((credentials.legacy,) if credentials.legacy else ())


def unknown(label: str, stored: Sequence[StoredAccount]) -> UnknownAccountError:
    labels = ", ".join(account.label for account in stored)
    none = "none is; log in with: neurolink auth login anthropic"
    there = f"there are: {labels}" if labels else none
    return UnknownAccountError(f"no account {label!r} is stored; {there}")


def enable(
    store: TokenStore, audit: Audit, label: str, check: Check = lambda _: None
) -> str | None:
    """Let an account serve again, and forget its failed refreshes; return why it was disabled.

    Raises `UnknownAccountError`, `TokenStoreError`.
    """
    check(before := _disabled(store, label))
    if not store.enable(label):
        raise unknown(label, store.read().stored)
    audit.record("enable", label, {"disabled": before}, {"disabled": None})
    return before


def disable(
    store: TokenStore,
    audit: Audit,
    label: str,
    reason: str,
    now: float,
    check: Check = lambda _: None,
) -> str | None:
    """Give an account no requests until it is enabled or logged in again; return why it was disabled before.

    Raises `UnknownAccountError`, `TokenStoreError`.
    """
    check(before := _disabled(store, label))
    if not store.disable(label, reason, now):
        raise unknown(label, store.read().stored)
    audit.record("disable", label, {"disabled": before}, {"disabled": reason})
    return before


def _disabled(store: TokenStore, label: str) -> str | None:
    return next((each.disabled for each in store.read().stored if each.label == label), None)


def log_out(
    home: Home, store: TokenStore, audit: Audit, account: StoredAccount, now: float
) -> list[str]:
    """Forget an account, and its pause, as another may get its label; return notes for its owner.

    Raises `UnknownAccountError`, `TokenStoreError`.
    """
    if not store.remove(account.label):
        raise UnknownAccountError(f"{account.label!r} is gone already")
    audit.record("logout", account.label, stored_row(account))
    notes = []
    try:
        pauses.resume(home, audit, PROVIDER + account.label, now)
    except (OSError, PauseFileError) as e:
        notes.append(f"it may still be paused: {e}")
    if account.type == "oauth":
        notes.append(
            "its tokens are forgotten here; end the session itself at https://claude.ai/settings"
        )
    return notes


def stored_row(account: StoredAccount) -> dict[str, Any]:
    """Return a stored account as the audit log has it: nothing of the credential, no mail address."""
    ends = account.expires_at
    return {
        "type": account.type,
        "accountUuid": account.account_uuid,
        "organizationUuid": account.organization_uuid,
        "expiresAt": None if ends is None else iso(ends),
        "disabled": account.disabled,
    }
