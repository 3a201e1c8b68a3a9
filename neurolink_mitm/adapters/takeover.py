"""Takes over the token store of the original NeuroLink, which lies in our home, when it is first read.

In this order, so that a process that is killed in between loses nothing and the next one goes on: the old file is
copied to `tokens.json.original-<time>`, then the store is replaced, if it is still that file.
"""

from __future__ import annotations

import logging
import os
import pwd
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from neurolink_mitm.adapters.files import read, write_atomic
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.other_programs import original, running
from neurolink_mitm.adapters.token_backend import LARGEST, Backend, FileBackend
from neurolink_mitm.core.auth.original_store import Conversion, convert
from neurolink_mitm.core.auth.token_document import TokenDocument

logger = logging.getLogger("neurolink.tokens")


class OriginalRunsError(Exception):
    """The original NeuroLink runs, so that its store was left to it."""


def home_directories(environ: Mapping[str, str], root: Path) -> Sequence[str]:
    """Return the home directories that the original's store in `root` may have been written with."""
    named = [environ.get("HOME", ""), str(root.parent), os.path.realpath(root.parent)]
    with suppress(KeyError):
        named.append(pwd.getpwuid(os.getuid()).pw_dir)
    return [each for home in named for each in (home, home.rstrip("/")) if each]


class Takeover:
    """The takeover in one home. All methods block on the disk."""

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        runs: Callable[[], str | None] | None = None,
    ) -> None:
        self._home = home
        self._homes = home_directories(environ, home.root)
        self._runs = runs or (lambda: running(original(home.root)))

    def due(self) -> bool:
        """Return whether there is a store of the original. Raises `ValueError` if it can't be understood."""
        return self._conversion()[1] is not None

    def check(self) -> None:
        """Raise `OriginalRunsError` if the original runs."""
        if how := self._runs():
            raise OriginalRunsError(how)

    def run(self, backend: Backend, *, force: bool = False) -> Conversion | None:
        """Take the store over into `backend`, unless there is none (any more). The caller holds the store's lock.

        Raises `OriginalRunsError`, `OSError`, `ValueError`, `ChangedError`.
        """
        data, conversion = self._conversion()
        if conversion is None or data is None:
            return None
        if not force:
            self.check()
        backup = self._back_up(data)
        if isinstance(backend, FileBackend):
            backend.replace(data, _stamped(conversion))
        else:
            self._move(backend, conversion)
        logger.warning("%s", _report(conversion, backup))
        return conversion

    def _conversion(self) -> tuple[bytes | None, Conversion | None]:
        try:
            data = read(self._home.tokens, LARGEST)
        except (OSError, ValueError):  # the store itself reports it
            return None, None
        return data, None if data is None else convert(data, self._homes)

    def _back_up(self, data: bytes) -> Path:
        """Return a copy of the old file, 0600: the one of a takeover that was cut off, else a new one."""
        path = self._home.tokens
        for copy in sorted(path.parent.glob(f"{path.name}.original-*")):
            with suppress(OSError, ValueError):
                if read(copy, LARGEST) == data:
                    return copy
        second = int(time.time())
        while (copy := path.with_name(f"{path.name}.original-{second}")).exists():
            second += 1
        write_atomic(copy, data)
        return copy

    def _move(self, backend: Backend, conversion: Conversion) -> None:
        """Add the accounts to a store that is no file; those that it has stay as they are."""
        seen = backend.load()
        document = TokenDocument(seen)
        document.adopt(conversion.data)
        backend.replace(seen, document.encode(time.time()))
        self._home.tokens.unlink()


def _stamped(conversion: Conversion) -> bytes:
    return TokenDocument(conversion.data).encode(time.time())


def _report(conversion: Conversion, backup: Path) -> str:
    count, labels = len(conversion.labels), ", ".join(conversion.labels)
    accounts = f"{count} account{'s' * (count != 1)}{f' ({labels})' if labels else ''}"
    text = f"taken over from the original NeuroLink: {accounts}; its file is kept as {backup.name}"
    if not conversion.left:
        return text
    left = ", ".join("".join(filter(str.isprintable, key))[:60] for key in conversion.left[:10])
    return f"{text}, and only there what it has of other providers: {left}"
