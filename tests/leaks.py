"""Looks through all that a run of the tests has written for secrets that the tests made up.

`conftest` asks at the end of the run. What is found is told by place, never by content.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from neurolink_mitm.sandbox.tokens import Grant, TokenDesk

SECRET = re.compile(rb"sk-(?:ant|client)-[\w-]{4,}|hunter2")
"""Keys and tokens of accounts and of clients, and what stands for other secrets in these tests."""
OPAQUE = re.compile(rb"[\w-]{40,}")
"""May be a code or a verifier of a login: those are drawn by chance, and known only to the sandbox."""
THEIR_PLACE = (
    "tokens.json*", ".tokens.json.*.tmp",  # the store, set aside, or left by who was killed
    "anthropic-credentials.json", ".credentials.json", "keyring.json",
    "proxy-config.*", "*.yaml", "*.env",  # settings that a test has written
    "*.py", "*.pyc", "*.whl",  # programs
)  # fmt: skip
OF_OTHERS = frozenset(
    {
        "site-packages",
        ".cli-proxy-api",
        ".claude-code-router",
        "better-ccflare",
        "ccflare",
        "theirs",
    }
)
"""Folders whose files are only read: other programs keep their accounts there."""
LARGEST = 64_000_000


@dataclass
class Leaks:
    """What was found so far, and what to look for beside `SECRET`."""

    opaque: set[bytes] = field(default_factory=set, repr=False)
    found: list[str] = field(default_factory=list)

    def look_at(self, where: str, data: bytes) -> None:
        """Note the first secret in `data`, if there is one."""
        if (offset := self._offset(data)) is not None:
            self.found.append(f"{where}, at byte {offset}")

    def look_below(self, root: Path) -> None:
        """Through all files there but those that secrets are kept in."""
        for path in files(root):
            self.look_at(str(path.relative_to(root)), content(path))

    def _offset(self, data: bytes) -> int | None:
        known = SECRET.search(data)
        drawn = (each for each in OPAQUE.finditer(data) if each[0] in self.opaque)
        match = known or next(drawn, None)
        return match.start() if match else None


def files(root: Path) -> Iterator[Path]:
    """Regular ones that are no one's place for secrets."""
    for directory, directories, names in os.walk(root):
        directories[:] = [name for name in directories if name not in OF_OTHERS]
        paths = (Path(directory, name) for name in names if not _is_their_place(name))
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def content(path: Path) -> bytes:
    """Unpacked, if it is packed; as far as it goes if it is cut."""
    with path.open("rb") as file:
        data = file.read(LARGEST)
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data


def _is_their_place(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in THEIR_PLACE)


def listen_to_logins(leaks: Leaks, patch: pytest.MonkeyPatch) -> None:
    """Note the codes and verifiers that sandboxes in this process are shown."""
    exchange = TokenDesk.exchange

    def noting(desk: TokenDesk, code: str, verifier: str, *rest: str) -> Grant:
        leaks.opaque.update((code.encode(), verifier.encode()))
        return exchange(desk, code, verifier, *rest)

    patch.setattr(TokenDesk, "exchange", noting)
