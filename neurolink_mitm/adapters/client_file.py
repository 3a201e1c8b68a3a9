"""`clients.json`: names of clients, and hashes of their keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neurolink_mitm.adapters.files import locked, read, read_whole, set_aside, write_atomic
from neurolink_mitm.core.auth.client_keys import (
    CLIENT_KEY_PREFIX,
    ClientKey,
    digest,
    encode_client_keys,
    parse_client_keys,
)
from neurolink_mitm.core.auth.credentials import check_label

Change = Callable[[Mapping[str, ClientKey]], Mapping[str, ClientKey | None]]


class ClientFileError(ValueError):
    """The file can't be used; the text is one line."""


def read_clients(path: Path) -> tuple[ClientKey, ...]:
    """Return the client keys; none if the file is missing. Raises `ClientFileError`."""
    try:
        return parse_client_keys(read_whole(path))
    except FileNotFoundError:
        return ()
    except OSError as e:
        raise ClientFileError(f"{path}: can't be read: {e.strerror}") from e
    except ValueError as e:
        raise ClientFileError(f"{path}: is broken: {e}") from e


def add_client(path: Path, name: str, now: float, **limits: Any) -> str:
    """Return a new key, of which only the hash is stored. `limits` are fields of `ClientKey`.

    Raises `ValueError`, `OSError`.
    """
    check_label(name)
    with locked(path):
        clients = _read_to_change(path)
        if any(client.name == name for client in clients):
            raise ValueError(
                f"there is a client {name!r} already: revoke it first, or choose another name"
            )
        key = CLIENT_KEY_PREFIX + secrets.token_urlsafe(32)
        _write(path, (*clients, ClientKey(name, digest(key), now, **limits)))
    return key


def change_client(path: Path, name: str, **changes: Any) -> ClientKey | None:
    """Change fields of a client; return what it has now, None if there is none of that name.

    Raises `ValueError`, `OSError`.
    """
    with locked(path):
        clients = [
            replace(each, **changes) if each.name == name else each
            for each in _read_to_change(path)
        ]
        changed = next((each for each in clients if each.name == name), None)
        if changed:
            _write(path, clients)
    return changed


def renew_client(path: Path, name: str) -> str | None:
    """Return a new key for a client, whose limits stay; None if there is none of that name. The old key opens nothing.

    Raises `ValueError`, `OSError`.
    """
    key = CLIENT_KEY_PREFIX + secrets.token_urlsafe(32)
    return key if change_client(path, name, digest=digest(key)) else None


def revoke_client(path: Path, name: str) -> bool:
    """Remove a client; return whether it existed. Raises `ValueError`, `OSError`."""
    with locked(path):
        clients = _read_to_change(path)
        left = [client for client in clients if client.name != name]
        if len(left) < len(clients):
            _write(path, left)
    return len(left) < len(clients)


def replace_clients(path: Path, chosen: Change) -> None:
    """Replace or remove (None) the clients that `chosen` returns for those there are.

    Raises `ValueError`, `OSError`.
    """
    with locked(path):
        clients = {client.name: client for client in _read_to_change(path)}
        before = dict(clients)
        for name, client in chosen(before).items():
            if client is None:
                clients.pop(name, None)
            else:
                clients[name] = client
        if clients != before:
            _write(path, clients.values())


def _read_to_change(path: Path) -> tuple[ClientKey, ...]:
    """Read the clients; set a broken file aside, so that it is not overwritten."""
    try:
        return read_clients(path)
    except ClientFileError:
        if path.is_file():
            set_aside(path)
        raise


def _write(path: Path, clients: Iterable[ClientKey]) -> None:
    before = read(path) or b""
    write_atomic(path, encode_client_keys(clients, before))
