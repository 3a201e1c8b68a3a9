"""What the refresher knows of logins: the store, and beyond it the tokens that couldn't be written.

A refresh spends the refresh token on disk. If the new one can't be written, this process alone
holds what keeps the login alive: it goes on from there and writes it at the next chance.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.oauth import MAX_FAILURES, Tokens
from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.stored import LEGACY_LABEL, NEEDS_LOGIN, StoredAccount
from neurolink_mitm.ports import Clock

logger = logging.getLogger("neurolink.refresh")


@dataclass(frozen=True, slots=True)
class _Unwritten:
    spent: Secret
    """The refresh token on disk, of which these came in the end."""
    outdated: Secret
    """The access token on disk beside it."""
    tokens: Tokens
    why: str = ""
    """Why the last try to write them failed; empty before the first."""


class Logins:
    """All methods block, and may be called from any thread."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._unwritten: dict[str, _Unwritten] = {}
        self._lock = threading.Lock()

    def current(self, account: Account) -> StoredAccount | None:
        """The login as it is by now. Raises `TokenStoreError`."""
        with self._lock:
            return self._current(account)

    def put(self, login: StoredAccount, spent: Secret, tokens: Tokens) -> StoredAccount | None:
        """Write what `spent` of this login was traded for; what can't be written is kept here.

        The login that counts now: this one, or the one that came meanwhile. None if it is gone.
        Raises `TokenStoreError`.
        """
        label = login.label
        with self._lock:
            before = self._unwritten.get(label) or _Unwritten(spent, login.access_token, tokens)
            self._unwritten[label] = replace(before, tokens=tokens)
            return _with_tokens(login, tokens) if self._write(label) else self._find(label)

    def refused(
        self, account: Account, refresh_token: Secret, message: str
    ) -> StoredAccount | None:
        """Its refresh token is no good: disable it, unless there is another by now; that one then."""
        with self._lock:
            try:
                login = self._current(account)
            except TokenStoreError:
                login = None
            if login and login.refresh_token != refresh_token:
                return login
            unwritten = self._unwritten.pop(account.label, None)
        on_disk = unwritten.spent if unwritten else refresh_token
        if self._disable(account.label, f"{NEEDS_LOGIN}: {message}", on_disk):
            return None
        return self._find(account.label)

    def failed(self, label: str, refresh_token: Secret, message: str) -> bool:
        """Count a failure; the last one that an account has disables it. Whether this was the last."""
        unwritten = self._unwritten.get(label)
        on_disk = unwritten.spent if unwritten else refresh_token
        try:
            count = self._store.note_failure(label, on_disk)
        except TokenStoreError as e:
            logger.error("account=%s: its failure was not counted: %s", label, e)
            return False
        last = count >= MAX_FAILURES
        if last:
            self._disable(label, f"{count} refreshes failed in a row, the last: {message}", on_disk)
        return last

    def flush(self) -> bool:
        """Try again to write what is left. Whether nothing is left now."""
        with self._lock:
            for label in list(self._unwritten):
                self._write(label)
            return not self._unwritten

    @property
    def unwritten(self) -> Mapping[str, str]:
        """Labels of accounts whose newest tokens the store does not hold, and why."""
        # one look, and no lock: a writer may hold that for as long as a disk hangs
        return {label: each.why for label, each in self._unwritten.copy().items() if each.why}

    def newest(self, account: Account) -> Account:
        """This account, as it was read from the disk, with the newer token that is not there yet."""
        unwritten = self._unwritten.get(account.label)
        if unwritten is None or account.secret != unwritten.outdated:
            return account
        tokens, disabled = unwritten.tokens, _but_for_login(account.disabled)
        return replace(
            account, secret=tokens.access_token, expires_at=tokens.expires_at, disabled=disabled
        )

    def is_written(self, label: str) -> bool:
        """Whether the store holds the newest tokens."""
        return label not in self._unwritten

    def _current(self, account: Account) -> StoredAccount | None:
        unwritten = self._unwritten.get(account.label)
        try:
            login = self._stored(account)
        except TokenStoreError:
            if unwritten is None:
                raise
            return unwritten.tokens.as_login(account.label)
        if login is None or unwritten is None:
            return login
        if login.refresh_token != unwritten.spent:
            # a new login: what came of the old one is of no use any more
            del self._unwritten[account.label]
            return login
        if self._write(account.label):
            return _with_tokens(login, unwritten.tokens)
        return self._stored(account)

    def _stored(self, account: Account) -> StoredAccount | None:
        login = self._find(account.label)
        if login is None and account.source == "legacy" and (legacy := self._store.read().legacy):
            self._adopt(legacy)
            return legacy
        return login

    def _find(self, label: str) -> StoredAccount | None:
        return next((each for each in self._store.read().stored if each.label == label), None)

    def _adopt(self, legacy: StoredAccount) -> None:
        """Into the store, where its tokens can be replaced and its failures counted."""
        try:
            self._store.save(legacy)
        except TokenStoreError as e:
            logger.error("account=%s was not taken into the token store: %s", legacy.label, e)

    def _write(self, label: str) -> bool:
        """With the lock held. Loud, but not again and again about the same.

        False if these tokens are of no use any more, since their login was replaced or forgotten.
        """
        unwritten = self._unwritten[label]
        try:
            counts = self._replace(label, unwritten)
        except TokenStoreError as e:
            if str(e) != unwritten.why:
                logger.error(
                    "account=%s: ITS NEW TOKENS ARE NOT ON DISK (%s); they work until this process"
                    " ends, then it needs a new login; writing is tried again",
                    label,
                    e,
                )
            self._unwritten[label] = replace(unwritten, why=str(e))
            return True
        del self._unwritten[label]
        if not counts:
            logger.info("account=%s: renewed for nothing, another login came or it is gone", label)
        elif unwritten.why:
            logger.warning("account=%s: its new tokens are on disk now", label)
        return counts

    def _replace(self, label: str, unwritten: _Unwritten) -> bool:
        legacy = self._store.read().legacy if label == LEGACY_LABEL else None
        if legacy and legacy.refresh_token == unwritten.spent and self._find(label) is None:
            self._store.save(legacy)  # it could not be adopted before
        return self._store.replace_tokens(label, unwritten.tokens, unwritten.spent)

    def _disable(self, label: str, reason: str, refresh_token: Secret) -> bool:
        """Not the login that came meanwhile: False then."""
        try:
            if not self._store.disable(label, reason, self._clock.now(), refresh_token):
                return False
        except TokenStoreError as e:
            logger.error("account=%s can't be marked as disabled: %s", label, e)
        logger.error("account=%s is disabled: %s", label, reason)
        return True


def _with_tokens(login: StoredAccount, tokens: Tokens) -> StoredAccount:
    return replace(
        login,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or login.refresh_token,
        expires_at=tokens.expires_at,
        disabled=_but_for_login(login.disabled),
    )


def _but_for_login(disabled: str | None) -> str | None:
    """Without the mark of another process, which has tried the refresh token that is spent."""
    return None if disabled and disabled.startswith(NEEDS_LOGIN) else disabled
