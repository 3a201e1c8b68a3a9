"""Logins and keys at rest: `tokens.json` (or the keyring) and the legacy `anthropic-credentials.json`.

Every change is made under a lock between processes, on what is read within it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from filelock import FileLock

from neurolink_mitm.adapters.files import TRIES, ChangedError, locked
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_backend import LARGEST, Backend, FileBackend, KeyringBackend
from neurolink_mitm.core.auth.credentials import (
    LEGACY_LABEL,
    StoredAccount,
    parse_legacy,
    parse_token_store,
)
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.auth.token_document import TokenDocument
from neurolink_mitm.core.redact.secret import Secret

__all__ = ["LARGEST", "Credentials", "TokenStore", "TokenStoreError", "open_store"]

T = TypeVar("T")


class TokenStoreError(Exception):
    """Stored credentials are there but can't be used, or can't be written; one line that names the place.

    It is an exception, not an empty pool: falling through to the environment's key would spend
    money where a subscription was meant.
    """


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is stored, and what its owner should know."""

    stored: tuple[StoredAccount, ...] = ()
    legacy: StoredAccount | None = None
    warnings: tuple[str, ...] = ()
    revision: str = field(default="", compare=False)
    """Identifies the content of the store, the legacy file left out."""


class TokenStore:
    """The credentials of one home directory. All methods block for as long as the disk does."""

    def __init__(
        self, home: Home, backend: Backend | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._home = home
        self._backend = backend or FileBackend(home.tokens)
        self._now = now
        self._watched: str | None = None

    def read(self) -> Credentials:
        """Missing files hold nothing; broken or unreadable ones raise `TokenStoreError`."""
        legacy_file = FileBackend(self._home.legacy_credentials)
        data = _read(self._backend, lambda data: (parse_token_store(data), _revision(data)))
        stored, revision = data or ((), _revision(None))
        legacy = _read(legacy_file, parse_legacy)
        warnings = (self._backend.warning(), legacy_file.warning())
        return Credentials(stored, legacy, tuple(each for each in warnings if each), revision)

    def watch(self, revision: str) -> None:
        """From here on, `is_own_change` says whether others have written the store since it held `revision`."""
        self._watched = revision

    def is_own_change(self) -> bool:
        """Whether all that came after the watched revision was written by this object.

        By content: a write of our own takes the watched revision along only if it changed that very content, so that
        one by others is noticed at whatever moment it comes. What can't be read is nobody's.
        """
        try:
            return _revision(self._backend.load()) == self._watched
        except (OSError, ValueError):
            return False

    def save(self, login: StoredAccount) -> None:
        """Add a login, or put it in the place of what has its label; it then stands as new.

        Raises `ValueError` for a label or token that couldn't be read back.
        """
        self._change(lambda document: document.put(login, self._now()))

    def replace_tokens(self, label: str, tokens: Tokens, spent: Secret | None = None) -> bool:
        """New tokens of the same login, whose failures are forgotten.

        Whether there is such an account, still with the refresh token `spent` that they came of:
        a login that was made meanwhile is not touched.
        """

        def change(document: TokenDocument) -> bool:
            self._adopt(document, label, spent)
            done = document.replace_tokens(label, tokens, spent)
            if not done and self._backend.load() is None:  # moved away or set aside, not logged out
                raise TokenStoreError(f"{self._backend.name} is not there")
            return done

        return self._change(change)

    def remove(self, label: str) -> bool:
        """Whether there was such an account. The legacy file goes with the label it is known by."""
        removed = self._change(lambda document: document.remove(label))
        return (label == LEGACY_LABEL and self._remove_legacy()) or removed

    def delete(self) -> None:
        """All logins, and where they were kept. Raises `TokenStoreError`."""
        try:
            self._backend.delete()
            self._home.legacy_credentials.unlink(missing_ok=True)
        except (OSError, ValueError) as e:
            raise TokenStoreError(f"can't delete {self._backend.name}: {e}") from e

    def disable(self, label: str, reason: str, at: float, spent: Secret | None = None) -> bool:
        """It takes no requests until a login or `enable`. Whether there is such an account, still
        with the refresh token `spent` if one is given.
        """

        def change(document: TokenDocument) -> bool:
            self._adopt(document, label, spent)
            return document.disable(label, reason, at, spent)

        return self._change(change)

    def enable(self, label: str) -> bool:
        """Take the mark and the failures away. Whether there is such an account."""
        return self._change(lambda document: document.enable(label))

    def note_failure(self, label: str, spent: Secret | None = None) -> int:
        """One more failed refresh in a row; how many that makes. 0 where there is nothing to disable."""

        def change(document: TokenDocument) -> int:
            self._adopt(document, label, spent)
            return document.note_failure(label, spent)

        return self._change(change)

    def failures(self, label: str) -> int:
        """Failed refreshes in a row."""
        return _read(self._backend, lambda data: TokenDocument(data).failures(label)) or 0

    def refresh_lock(self, label: str) -> FileLock:
        """Held by whoever refreshes this account, in any process. May be released by any thread.

        Raises `OSError` when it is taken and can't be.
        """
        # a label may hold what a file name can't
        name = hashlib.sha256(label.encode()).hexdigest()[:16]
        path = self._home.root / f".refresh-{name}.lock"
        return FileLock(path, mode=0o600, thread_local=False)

    def _change(self, change: Callable[[TokenDocument], T]) -> T:
        """Read, change, write, with the lock; again where a program that takes no lock came in between."""
        try:
            self._home.create()
            with locked(self._home.tokens):
                for _ in range(TRIES):
                    with suppress(ChangedError):
                        return self._try(change)
        except OSError as e:
            raise TokenStoreError(f"can't write {self._backend.name}: {e.strerror or e}") from e
        raise TokenStoreError(f"another program keeps writing {self._backend.name}")

    def _adopt(self, document: TokenDocument, label: str, spent: Secret | None) -> None:
        """A legacy login whose refresh token is `spent` is taken in: only there can it be replaced or marked."""
        if label != LEGACY_LABEL or spent is None or document.holds(label):
            return
        legacy = _read(FileBackend(self._home.legacy_credentials), parse_legacy)
        if legacy and legacy.refresh_token == spent:
            document.put(legacy, self._now())

    def _try(self, change: Callable[[TokenDocument], T]) -> T:
        """What was not changed is not written."""
        data, document = self._document()
        before = document.encode(0)
        result = change(document)
        if document.encode(0) != before:
            self._replace(data, document.encode(self._now()))
        return result

    def _replace(self, data: bytes | None, new: bytes) -> None:
        """Two entries that turn out to be one account change the pool: such a write is left to the watch."""
        before = self._watched
        if before == _revision(data) and _accounts(data) == _accounts(new):
            self._watched = _revision(new)  # first: whoever watches may be quick
        try:
            self._backend.replace(data, new)
        except (OSError, ChangedError):
            self._watched = before
            raise

    def _document(self) -> tuple[bytes | None, TokenDocument]:
        try:
            data = self._backend.load()
            return data, TokenDocument(data)
        except ValueError as e:
            aside = self._backend.set_aside(self._now())
            raise TokenStoreError(
                f"{self._backend.name} is broken ({e}) and was set aside as {aside}:"
                " repair it and put it back, or log in again"
            ) from e

    def _remove_legacy(self) -> bool:
        try:
            self._home.legacy_credentials.unlink()
        except FileNotFoundError:
            return False
        except OSError as e:
            raise TokenStoreError(
                f"can't remove {self._home.legacy_credentials}: {e.strerror}"
            ) from e
        return True


def open_store(
    home: Home, environ: Mapping[str, str], now: Callable[[], float] = time.time
) -> TokenStore:
    """The store that `NEUROLINK_TOKEN_STORE` names: `file` (the default) or `keyring`.

    Raises `TokenStoreError`.
    """
    kind = environ.get("NEUROLINK_TOKEN_STORE", "").strip().lower() or "file"
    if kind == "file":
        return TokenStore(home, now=now)
    if kind != "keyring":
        raise TokenStoreError(f"NEUROLINK_TOKEN_STORE must be file or keyring, got {kind!r}")
    try:
        return TokenStore(home, KeyringBackend(str(home.root), home.keyring_changed), now)
    except OSError as e:
        raise TokenStoreError(str(e)) from e


def _revision(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _accounts(data: bytes | None) -> int:
    """How many accounts the entries are of, as far as they say."""
    stored = parse_token_store(data) if data else ()
    named = ((each.account_uuid, each.organization_uuid, each.label) for each in stored)
    return len({(uuid, org) if uuid and org else (label,) for uuid, org, label in named})


def _read(backend: Backend, parse: Callable[[bytes], T]) -> T | None:
    try:
        data = backend.load()
        return None if data is None else parse(data)
    except OSError as e:
        raise TokenStoreError(f"can't read {backend.name}: {e.strerror or e}") from e
    except ValueError as e:
        raise TokenStoreError(f"{backend.name} is broken and was left as it is: {e}") from e
