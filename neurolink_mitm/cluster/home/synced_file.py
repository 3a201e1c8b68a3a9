"""`cluster-synced.json`: what this home last had in common with Redis."""

from __future__ import annotations

from pathlib import Path

import msgspec
from filelock import FileLock

from neurolink_mitm.adapters.files import locked, read, set_aside, write_atomic
from neurolink_mitm.core.cluster.merge import Synced
from neurolink_mitm.core.json_errors import UNREADABLE

Kinds = dict[str, dict[str, Synced]]
"""By kind and name."""


class _File(msgspec.Struct):
    namespace: str
    kinds: Kinds
    version: int = 1


class SyncedFile:
    """One home's file. Its lock lets one process of the home come in step at a time."""

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._namespace = namespace
        self._written: bytes | None = None

    def lock(self) -> FileLock:
        return locked(self._path)

    def load(self) -> Kinds:
        """Return what was written for this namespace; a broken file is set aside. Raises `OSError`."""
        try:
            data = read(self._path)
            file = None if data is None else msgspec.json.decode(data, type=_File)
        except (ValueError, *UNREADABLE):
            set_aside(self._path)
            return {}
        self._written = data
        return file.kinds if file and file.namespace == self._namespace else {}

    def save(self, kinds: Kinds) -> None:
        """Write what has changed. Raises `OSError`."""
        data = msgspec.json.encode(_File(self._namespace, kinds))
        if data != self._written:
            write_atomic(self._path, data)
            self._written = data
