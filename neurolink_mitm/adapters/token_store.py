"""The token store: `tokens.json` (or the keyring) and the legacy `anthropic-credentials.json`.

Whoever reads it first takes over what the original NeuroLink has left in its place (`takeover`).
Every change reads, changes and writes under a lock between processes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from filelock import FileLock

from neurolink_mitm.adapters.files import TRIES, ChangedError, locked
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.takeover import OriginalRunsError, Takeover
from neurolink_mitm.adapters.token_backend import Backend, FileBackend, KeyringBackend
from neurolink_mitm.core.auth.credentials import (
    LEGACY_LABEL,
    StoredAccount,
    parse_legacy,
    parse_token_store,
)
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.auth.original_store import Conversion
from neurolink_mitm.core.auth.token_document import TokenDocument
from neurolink_mitm.core.redact.secret import Secret

T = TypeVar("T")


class TokenStoreError(Exception):
    """The store can't be read or written; the message is one line that names the place.

    Not an empty pool, since falling back to the environment's key would spend money where a subscription was meant.
    """


class StoreInUseError(TokenStoreError):
    """The original NeuroLink uses the store."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The content of the store, and warnings for its owner."""

    stored: tuple[StoredAccount, ...] = ()
    legacy: StoredAccount | None = None
    warnings: tuple[str, ...] = ()
    revision: str = field(default="", compare=False)
    """Hash of the store's content, without the legacy file."""


class TokenStore:
    """The credentials of one home directory. All methods block on the disk."""

    def __init__(
        self,
        home: Home,
        backend: Backend | None = None,
        now: Callable[[], float] = time.time,
        takeover: Takeover | None = None,
    ) -> None:
        self._home = home
        self._backend = backend or FileBackend(home.tokens)
        self._now = now
        self._takeover = takeover
        self._watched: str | None = None

    def read(self) -> Credentials:
        """Read the store; missing files are empty. Raises `TokenStoreError`."""
        self.take_over()
        legacy_file = FileBackend(self._home.legacy_credentials)
        data = _read(self._backend, lambda data: (parse_token_store(data), _revision(data)))
        stored, revision = data or ((), _revision(None))
        legacy = _read(legacy_file, parse_legacy)
        if not stored and legacy and legacy.refresh_token and self._takeover:
            self._check_unused(self._takeover)
        warnings = (self._backend.warning(), legacy_file.warning())
        return Credentials(stored, legacy, tuple(each for each in warnings if each), revision)

    def _check_unused(self, takeover: Takeover) -> None:
        """Raise `StoreInUseError` if the original runs, which would refresh the legacy login, too."""
        try:
            takeover.check()
        except OriginalRunsError as e:
            raise StoreInUseError(
                f"{self._home.legacy_credentials} is the original NeuroLink's, which runs ({e}), and was left as it"
                " is: end that program first"
            ) from e

    def take_over(self, *, force: bool = False) -> Conversion | None:
        """Take over the store of the original NeuroLink, if it is there; with `force` though that runs.

        Raises `TokenStoreError`.
        """
        path, takeover = self._home.tokens, self._takeover
        if takeover is None:
            return None
        try:
            if not takeover.due():
                return None
            with locked(path), suppress(ChangedError):
                return takeover.run(self._backend, force=force)
        except OriginalRunsError as e:
            raise StoreInUseError(
                f"{path} is the original NeuroLink's, which runs ({e}), and was left as it is."
                " It is taken over when that program has ended, or by: neurolink auth import --from neurolink --force"
            ) from e
        except ValueError as e:
            raise TokenStoreError(f"{path} is broken and was left as it is: {e}") from e
        except OSError as e:
            raise TokenStoreError(
                f"can't take over the original NeuroLink's {path}: {e.strerror or e}"
            ) from e
        raise TokenStoreError(f"another program keeps writing {path}")

    def watch(self, revision: str) -> None:
        """Watch for changes since `revision`, for `is_own_change`."""
        self._watched = revision

    def is_own_change(self) -> bool:
        """Return whether this object made all changes since the watched revision.

        Compared by content: a write of our own moves the watched revision only if it replaced that very content, so a
        write by another process is always noticed.
        """
        try:
            return _revision(self._backend.load()) == self._watched
        except (OSError, ValueError):
            return False

    def save(self, login: StoredAccount) -> None:
        """Add `login`, or replace the one of its label. Raises `ValueError` if it could not be read back."""
        self._change(lambda document: document.put(login, self._now()))

    def save_all(
        self, chosen: Callable[[tuple[StoredAccount, ...]], Sequence[StoredAccount]]
    ) -> tuple[StoredAccount, ...]:
        """Add or replace the logins that `chosen` returns for those there are, in one write."""

        def change(document: TokenDocument) -> tuple[StoredAccount, ...]:
            logins = tuple(chosen(parse_token_store(document.encode(0))))
            for login in logins:
                document.put(login, self._now())
            return logins

        return self._change(change)

    def entries(self) -> Mapping[str, bytes] | None:
        """Return the entries by label, as they are written; None if there is no store. Raises `TokenStoreError`."""
        self.take_over()
        return _read(self._backend, lambda data: TokenDocument(data).entries())

    def replace_entries(
        self, chosen: Callable[[Mapping[str, bytes]], Mapping[str, bytes | None]]
    ) -> None:
        """Replace or remove (None) the entries that `chosen` returns for those there are, in one write."""

        def change(document: TokenDocument) -> None:
            for label, raw in chosen(document.entries()).items():
                document.replace_entry(label, raw)

        self._change(change)

    def replace_tokens(self, label: str, tokens: Tokens, spent: Secret | None = None) -> bool:
        """Replace the tokens of a login, and clear its failures.

        Return False if there is no such account, or not with the refresh token `spent`: then there is a new login.
        """

        def change(document: TokenDocument) -> bool:
            done = document.replace_tokens(label, tokens, spent)
            if not done and self._backend.load() is None:  # moved away, not logged out
                raise TokenStoreError(f"{self._backend.name} is not there")
            return done

        return self._change(change, label, spent)

    def remove(self, label: str) -> bool:
        """Remove an account, and the legacy file if it is that. Return whether there was one."""
        removed = self._change(lambda document: document.remove(label))
        return (label == LEGACY_LABEL and self._remove_legacy()) or removed

    def delete(self) -> None:
        """Delete the store and the legacy file. Raises `TokenStoreError`."""
        try:
            self._backend.delete()
            self._home.legacy_credentials.unlink(missing_ok=True)
        except (OSError, ValueError) as e:
            raise TokenStoreError(f"can't delete {self._backend.name}: {e}") from e

    def disable(self, label: str, reason: str, at: float, spent: Secret | None = None) -> bool:
        """Disable an account until a login or `enable`. Return False as `replace_tokens` does."""
        return self._change(
            lambda document: document.disable(label, reason, at, spent), label, spent
        )

    def enable(self, label: str) -> bool:
        """Enable an account and clear its failures. Return whether there is one."""
        return self._change(lambda document: document.enable(label))

    def note_failure(self, label: str, spent: Secret | None = None) -> int:
        """Count a failed refresh. Return the number in a row; 0 where `disable` returns False."""
        return self._change(lambda document: document.note_failure(label, spent), label, spent)

    def failures(self, label: str) -> int:
        """Return the failed refreshes in a row."""
        return _read(self._backend, lambda data: TokenDocument(data).failures(label)) or 0

    def refresh_lock(self, label: str) -> FileLock:
        """Return the lock of this account's refresh between processes; any thread may release it.

        Acquiring it raises `OSError` if its file can't be made.
        """
        # hashed, since a label may have characters that a file name can't
        name = hashlib.sha256(label.encode()).hexdigest()[:16]
        path = self._home.root / f".refresh-{name}.lock"
        return FileLock(path, mode=0o600, thread_local=False)

    def _change(
        self, change: Callable[[TokenDocument], T], label: str = "", spent: Secret | None = None
    ) -> T:
        """Read, change and write under the lock; again if a program without the lock wrote in between.

        `label` and `spent` tell whether the login to change is the legacy one (see `_adopt`).
        """
        self.take_over()
        try:
            self._home.create()
            with locked(self._home.tokens):
                for _ in range(TRIES):
                    with suppress(ChangedError):
                        return self._try(change, label, spent)
        except OSError as e:
            raise TokenStoreError(f"can't write {self._backend.name}: {e.strerror or e}") from e
        raise TokenStoreError(f"another program keeps writing {self._backend.name}")

    def _adopt(self, document: TokenDocument, label: str, spent: Secret | None) -> None:
        """Copy the legacy login with the refresh token `spent` into the store: it can only be changed there."""
        if label != LEGACY_LABEL or spent is None or document.holds(label):
            return
        legacy = _read(FileBackend(self._home.legacy_credentials), parse_legacy)
        if legacy and legacy.refresh_token == spent:
            document.put(legacy, self._now())

    def _try(self, change: Callable[[TokenDocument], T], label: str, spent: Secret | None) -> T:
        data, document = self._document()
        before = document.encode(0)
        self._adopt(document, label, spent)
        result = change(document)
        if document.encode(0) != before:
            self._replace(data, document.encode(self._now()))
        return result

    def _replace(self, data: bytes | None, new: bytes) -> None:
        """Write `new`. If two entries become one account, the pool changes: then the watch is to notice it."""
        before = self._watched
        if before == _revision(data) and _accounts(data) == _accounts(new):
            self._watched = _revision(new)  # first: the watch may be quick
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
    """Return the store that `NEUROLINK_TOKEN_STORE` names: `file` (default) or `keyring`. Raises `TokenStoreError`."""
    kind = environ.get("NEUROLINK_TOKEN_STORE", "").strip().lower() or "file"
    takeover = Takeover(home, environ)
    if kind == "file":
        return TokenStore(home, None, now, takeover)
    if kind != "keyring":
        raise TokenStoreError(f"NEUROLINK_TOKEN_STORE must be file or keyring, got {kind!r}")
    try:
        return TokenStore(home, KeyringBackend(str(home.root), home.keyring_changed), now, takeover)
    except OSError as e:
        raise TokenStoreError(str(e)) from e


def _revision(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


def _accounts(data: bytes | None) -> int:
    """Return how many accounts the entries belong to, by their identity."""
    stored = parse_token_store(data) if data else ()
    ids = ((each.account_uuid, each.organization_uuid, each.label) for each in stored)
    return len({(uuid, org) if uuid and org else (label,) for uuid, org, label in ids})


def _read(backend: Backend, parse: Callable[[bytes], T]) -> T | None:
    try:
        data = backend.load()
        return None if data is None else parse(data)
    except OSError as e:
        raise TokenStoreError(f"can't read {backend.name}: {e.strerror or e}") from e
    except ValueError as e:
        raise TokenStoreError(f"{backend.name} is broken and was left as it is: {e}") from e
