"""Backends of the token store: `tokens.json`, or one secret in the system's keyring."""

from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from neurolink_mitm.adapters.files import (
    ChangedError,
    compare_and_swap,
    read,
    remove_temporaries,
    write_atomic,
)
from neurolink_mitm.adapters.home import OPEN_TO_OTHERS
from neurolink_mitm.adapters.system import how_to_install

if TYPE_CHECKING:
    from types import ModuleType

logger = logging.getLogger("neurolink.tokens")

LARGEST = 4_000_000
"""Bytes of a store at most: thousands of accounts."""
SERVICE = "neurolink-mitm"


class Backend(Protocol):
    """Stores one document. All methods raise `OSError`, whose message names the place."""

    @property
    def name(self) -> str:
        """Name for messages."""

    def load(self) -> bytes | None:
        """Return the document; None if there is none. Raises `ValueError` if it is too large."""

    def replace(self, seen: bytes | None, data: bytes) -> None:
        """Replace the document, durably and atomically. The caller holds the store's lock.

        Raises `ChangedError` if it is no longer `seen`, since another program takes no lock.
        """

    def delete(self) -> None:
        """Delete the document, if there is one."""

    def set_aside(self, now: float) -> str:
        """Rename a document that can't be parsed; return its new name."""

    def warning(self) -> str | None:
        """Return a warning for its owner."""


class FileBackend:
    """A file, 0600 from its first byte."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        return str(self._path)

    def load(self) -> bytes | None:
        return read(self._path, LARGEST)

    def replace(self, seen: bytes | None, data: bytes) -> None:
        compare_and_swap(self._path, seen, data, 0o600)
        remove_temporaries(self._path)

    def delete(self) -> None:
        self._path.unlink(missing_ok=True)

    def set_aside(self, now: float) -> str:
        aside = _free_name(self._path, now)
        self._path.rename(aside)
        return str(aside)

    def warning(self) -> str | None:
        try:
            mode = stat.S_IMODE(self._path.stat().st_mode)
        except OSError:
            return None
        if not mode & OPEN_TO_OTHERS:
            return None
        return f"{self._path} is open to others (mode {mode:04o}): run chmod 600 {self._path}"


class KeyringBackend:
    """The keyring of this user: Keychain on macOS, Secret Service on Linux."""

    def __init__(self, user: str, changed: Path) -> None:
        """`user` names the document of one home. Each change rewrites the file `changed`, for the watch.

        Raises `OSError`.
        """
        self._user = user
        self._changed = changed
        self._keyring = _import_keyring()

    @property
    def name(self) -> str:
        return f"the keyring's {SERVICE} entry"

    def load(self) -> bytes | None:
        secret = self._call("get_password", SERVICE, self._user)
        return None if secret is None else str(secret).encode()

    def replace(self, seen: bytes | None, data: bytes) -> None:
        if self.load() != seen:
            raise ChangedError
        self._call("set_password", SERVICE, self._user, data.decode())
        try:
            write_atomic(self._changed, b"")
        except OSError as e:  # the tokens are stored
            logger.warning("a proxy that runs may not notice new tokens: %s", e.strerror)

    def delete(self) -> None:
        if self.load() is not None:
            self._call("delete_password", SERVICE, self._user)

    def set_aside(self, now: float) -> str:
        aside = f"{self._user}.corrupt-{int(now)}"
        broken = self._call("get_password", SERVICE, self._user)
        self._call("set_password", SERVICE, aside, broken)
        self._call("delete_password", SERVICE, self._user)
        return f"{SERVICE} of {aside}"

    def warning(self) -> str | None:
        return None

    def _call(self, function: str, *arguments: object) -> Any:
        try:
            return getattr(self._keyring, function)(*arguments)
        except Exception as e:  # whatever the system's keyring raises
            # its type only: the message is the backend's
            raise OSError(f"the keyring can't be used ({type(e).__name__})") from e


def _import_keyring() -> ModuleType:
    try:
        import keyring
    except ImportError as e:
        raise OSError(
            "NEUROLINK_TOKEN_STORE=keyring needs the keyring package:"
            f" install it with {how_to_install('keyring')}, or unset the variable"
        ) from e
    module: ModuleType = keyring
    return module


def _free_name(path: Path, now: float) -> Path:
    second = int(now)
    while (aside := path.with_name(f"{path.name}.corrupt-{second}")).exists():
        second += 1
    return aside
