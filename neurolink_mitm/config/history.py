"""The configuration files of before: each edit keeps the version that it replaces, for undo."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from neurolink_mitm.adapters.files import private_directory, read_whole, write_atomic

MOST = 20
"""Versions that are kept of one file; the oldest go."""


_NAME = re.compile(r"(?P<file>[0-9a-f]{12}-)(?P<at>\d{10}\.\d{6})-(?P<after>[0-9a-f]{16})")


def digest(content: bytes | None) -> str:
    """Return what tells one version of a file from another."""
    return "missing" if content is None else hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Version:
    """What a file was until `at`, and the digest of what has replaced it."""

    path: Path
    at: float
    replaced_by: str

    def content(self) -> bytes:
        """Return the file as it was. Raises `OSError`."""
        return read_whole(self.path)


@dataclass(frozen=True, slots=True)
class History:
    """The earlier versions of `file`, in files of their own in `folder`, which is the owner's alone."""

    folder: Path
    file: Path
    clock: Callable[[], float] = time.time

    @contextmanager
    def keeping(self, before: bytes, after: bytes) -> Iterator[None]:
        """Keep `before` while `after` replaces it, and from then on; not if that fails. Raises `OSError`."""
        kept = self.keep(before, after)
        try:
            yield
        except BaseException:
            self.forget(kept)
            raise

    def keep(self, before: bytes, after: bytes) -> Version:
        """Keep `before`, which `after` is about to replace. Raises `OSError`."""
        private_directory(self.folder)
        last = self.last()
        at = max(self.clock(), last.at + 1e-6 if last else 0.0)  # a clock that was set back
        name = f"{self._prefix}{at:017.6f}-{digest(after)}{self.file.suffix}"
        made = Version(self.folder / name, at, digest(after))
        write_atomic(made.path, before, 0o600)
        for version in self.versions()[:-MOST]:
            self.forget(version)
        return made

    def versions(self) -> list[Version]:
        """Return all versions, the oldest first."""
        with suppress(OSError):
            names = sorted(
                name for name in os.listdir(self.folder) if name.startswith(self._prefix)
            )
            return [version for name in names if (version := self._version(name))]
        return []

    def last(self) -> Version | None:
        """Return the version that the last edit has replaced."""
        return next(reversed(self.versions()), None)

    def forget(self, version: Version) -> None:
        with suppress(OSError):
            version.path.unlink()

    @property
    def _prefix(self) -> str:
        where = os.path.realpath(self.file)
        return f"{hashlib.sha256(os.fsencode(where)).hexdigest()[:12]}-"

    def _version(self, name: str) -> Version | None:
        match = _NAME.fullmatch(name.removesuffix(self.file.suffix))
        if match is None or match["file"] != self._prefix:
            return None
        return Version(self.folder / name, float(match["at"]), match["after"])
