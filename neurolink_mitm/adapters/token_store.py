"""Logins and keys on disk: `tokens.json` and the legacy `anthropic-credentials.json`, read only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from neurolink_mitm.adapters.home import OPEN_TO_OTHERS, Home
from neurolink_mitm.core.stored import StoredAccount, parse_legacy, parse_token_store

T = TypeVar("T")
LARGEST = 4_000_000
"""Bytes; thousands of accounts."""


class TokenStoreError(Exception):
    """Stored credentials are there but can't be used; one line that names the file.

    It is an exception, not an empty pool: falling through to the environment's key would spend
    money where a subscription was meant.
    """


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is stored, and what its owner should know."""

    stored: tuple[StoredAccount, ...] = ()
    legacy: StoredAccount | None = None
    warnings: tuple[str, ...] = ()


class TokenStore:
    """The credentials of one home directory."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def read(self) -> Credentials:
        """Missing files hold nothing; broken or unreadable ones raise `TokenStoreError`."""
        warnings: list[str] = []
        stored = _read(self._home.tokens, parse_token_store, warnings)
        legacy = _read(self._home.legacy_credentials, parse_legacy, warnings)
        return Credentials(stored or (), legacy, tuple(warnings))


def _read(path: Path, parse: Callable[[bytes], T], warnings: list[str]) -> T | None:
    try:
        data, mode = _content(path)
        parsed = parse(data)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise TokenStoreError(f"can't read {path}: {e.strerror}") from e
    except ValueError as e:
        raise TokenStoreError(f"{path} is broken and was left as it is: {e}") from e
    if mode & OPEN_TO_OTHERS:
        warnings.append(f"{path} is open to others (mode {mode:04o}): run chmod 600 {path}")
    return parsed


def _content(path: Path) -> tuple[bytes, int]:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")
    return data, mode
