"""`clients.json`: who may use the proxy, by name and the hash of a key."""

from __future__ import annotations

import secrets
from pathlib import Path

from neurolink_mitm.adapters.files import locked, set_aside, write_atomic
from neurolink_mitm.core.auth.access import (
    CLIENT_KEY_PREFIX,
    ClientKey,
    digest,
    encode_client_keys,
    parse_client_keys,
)
from neurolink_mitm.core.auth.credentials import check_label


class ClientFileError(ValueError):
    """The file can't be used; one line."""


def read_clients(path: Path) -> tuple[ClientKey, ...]:
    """A missing file holds none. Raises `ClientFileError`."""
    try:
        return parse_client_keys(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as e:
        raise ClientFileError(f"{path}: can't be read: {e.strerror}") from e
    except ValueError as e:
        raise ClientFileError(f"{path}: is broken: {e}") from e


def add_client(path: Path, name: str, now: float) -> str:
    """A new key, which is nowhere to be found again. Raises `ValueError`, `OSError`."""
    check_label(name)
    with locked(path):
        known = _read_to_change(path)
        if any(client.name == name for client in known):
            raise ValueError(
                f"there is a client {name!r} already: revoke it first, or choose another name"
            )
        key = CLIENT_KEY_PREFIX + secrets.token_urlsafe(32)
        write_atomic(path, encode_client_keys((*known, ClientKey(name, digest(key), now))))
    return key


def revoke_client(path: Path, name: str) -> bool:
    """Whether there was one. Raises `ValueError`, `OSError`."""
    with locked(path):
        known = _read_to_change(path)
        left = [client for client in known if client.name != name]
        if len(left) < len(known):
            write_atomic(path, encode_client_keys(left))
    return len(left) < len(known)


def _read_to_change(path: Path) -> tuple[ClientKey, ...]:
    """A broken file is not written over."""
    try:
        return read_clients(path)
    except ClientFileError:
        if path.is_file():
            set_aside(path)
        raise
