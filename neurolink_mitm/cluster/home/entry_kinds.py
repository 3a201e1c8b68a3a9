"""What replicas have in common of a home's files: logins, client keys, pauses, marks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from neurolink_mitm.adapters.client_file import read_clients, replace_clients
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.mark_file import Marks, checked_mark, note_marks, replace_marks
from neurolink_mitm.adapters.pause_file import read_pauses, replace_pauses
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.client_keys import encode_client, parse_client
from neurolink_mitm.core.auth.credentials import PROVIDER, check_label, parse_token_store
from neurolink_mitm.core.cluster.merge import (
    Content,
    Newer,
    agreed,
    canonical,
    newest,
    newest_client,
    newest_login,
)
from neurolink_mitm.core.pool.pauses import Pause, parse_pauses, utc

Changes = Mapping[str, tuple[Content, Content]]
"""By name: what the home had when it was read, and what it is to have."""


class Kind(Protocol):
    """One kind of entries. All methods block; those that read raise `ValueError`, `OSError`, `TokenStoreError`."""

    name: ClassVar[str]
    hidden: ClassVar[bool]
    """Whether Redis must not see the content."""

    @property
    def newer(self) -> Newer: ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that tell of a change."""

    def read(self) -> Mapping[str, bytes] | None:
        """Return the entries, in canonical form; None if the file is missing."""

    def check(self, name: str, content: bytes) -> None:
        """Raise `ValueError` for an entry that this program can't use."""

    def write(self, changes: Changes) -> set[str]:
        """Change the entries that are still what was read; return the names of those."""


@dataclass(frozen=True)
class Logins:
    """The accounts of the token store."""

    name: ClassVar[str] = "logins"
    hidden: ClassVar[bool] = True
    store: TokenStore
    paths: tuple[Path, ...]
    newer: Newer = newest_login

    def read(self) -> Mapping[str, bytes] | None:
        entries = self.store.entries()
        return None if entries is None else {name: canonical(raw) for name, raw in entries.items()}

    def check(self, name: str, content: bytes) -> None:
        check_label(name)
        document = {"providers": {PROVIDER + name: msgspec.Raw(content)}}
        parse_token_store(msgspec.json.encode(document))

    def write(self, changes: Changes) -> set[str]:
        done: set[str] = set()

        def chosen(entries: Mapping[str, bytes]) -> Mapping[str, Content]:
            present = {name: canonical(raw) for name, raw in entries.items()}
            done.clear()
            done.update(_unchanged(present, changes))
            return {name: changes[name][1] for name in _oldest_first(done, changes)}

        self.store.replace_entries(chosen)
        return done


@dataclass(frozen=True)
class _OneFile:
    """Entries in a file of their own, which Redis may see."""

    path: Path
    hidden: ClassVar[bool] = False

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)


@dataclass(frozen=True)
class Clients(_OneFile):
    """The keys of those who call the proxy."""

    name: ClassVar[str] = "clients"
    newer: Newer = newest_client

    def read(self) -> Mapping[str, bytes] | None:
        if not self.path.exists():
            return None
        return {key.name: canonical(encode_client(key)) for key in read_clients(self.path)}

    def check(self, name: str, content: bytes) -> None:
        if parse_client(content).name != name:
            raise ValueError("another client's entry")

    def write(self, changes: Changes) -> set[str]:
        done: set[str] = set()

        def chosen(clients: Mapping[str, Any]) -> Mapping[str, Any]:
            present = {name: canonical(encode_client(key)) for name, key in clients.items()}
            done.update(_unchanged(present, changes))
            new = {name: changes[name][1] for name in _oldest_first(done, changes)}
            return {name: data and parse_client(data) for name, data in new.items()}

        replace_clients(self.path, chosen)
        return done


@dataclass(frozen=True)
class Pauses(_OneFile):
    """Accounts that their owner has taken out of the pool for a while."""

    name: ClassVar[str] = "pauses"
    newer: Newer = newest

    def read(self) -> Mapping[str, bytes] | None:
        if not self.path.exists():
            return None
        return _encoded(read_pauses(self.path))

    def check(self, name: str, content: bytes) -> None:
        _parsed(name, content)

    def write(self, changes: Changes) -> set[str]:
        done: set[str] = set()

        def chosen(pauses: Mapping[str, Pause]) -> Mapping[str, Pause | None]:
            done.update(_unchanged(_encoded(pauses), changes))
            return {name: _parsed(name, changes[name][1]) for name in done}

        replace_pauses(self.path, chosen, time.time())
        return done


@dataclass(frozen=True)
class RoutingMarks(_OneFile):
    """The primary account and the order of use."""

    configured: Callable[[], Marks | None]
    """Returns what the configuration file says; None if it can't be read."""
    name: ClassVar[str] = "marks"
    newer: Newer = agreed

    def read(self) -> Mapping[str, bytes] | None:
        marks = note_marks(self.path, self.configured())
        if not marks and not self.path.exists():
            return None
        return {name: canonical(msgspec.json.encode(value)) for name, value in marks.items()}

    def check(self, name: str, content: bytes) -> None:
        checked_mark(name, msgspec.json.decode(content))

    def write(self, changes: Changes) -> set[str]:
        present = self.read() or {}
        done = _unchanged(present, changes)
        values = {name: changes[name][1] for name in done}
        new = {name: msgspec.json.decode(data) for name, data in values.items() if data is not None}
        replace_marks(self.path, new, self.configured())
        return done


def kinds_of(
    home: Home, store: TokenStore, configured: Callable[[], Marks | None]
) -> tuple[Kind, ...]:
    logins = Logins(store, (home.tokens, home.keyring_changed))
    marks = RoutingMarks(home.cluster_marks, configured)
    return logins, Clients(home.clients), Pauses(home.pauses), marks


def _unchanged(present: Mapping[str, bytes], changes: Changes) -> set[str]:
    return {name for name, (before, _) in changes.items() if present.get(name) == before}


def _oldest_first(names: set[str], changes: Changes) -> list[str]:
    """Return the names in the order in which they were made, so that all homes list accounts alike."""
    return sorted(names, key=lambda name: (_created(changes[name][1]), name))


def _created(content: Content) -> float:
    fields = msgspec.json.decode(content or b"{}")
    made = fields.get("createdAt") if isinstance(fields, dict) else None
    return float(made) if isinstance(made, int | float) else 0.0


def _encoded(pauses: Mapping[str, Pause]) -> dict[str, bytes]:
    fields = {
        key: {"until": None if each.until is None else utc(each.until), "reason": each.reason}
        for key, each in pauses.items()
    }
    return {key: canonical(msgspec.json.encode(each)) for key, each in fields.items()}


def _parsed(name: str, content: Content) -> Pause | None:
    if content is None:
        return None
    check_label(name.removeprefix(PROVIDER))
    return parse_pauses(msgspec.json.encode({name: msgspec.Raw(content)}))[name]
