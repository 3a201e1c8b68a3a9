"""A keyring for tests that several processes share: PYTHON_KEYRING_BACKEND=tests.filed_keyring.FiledKeyring"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend

from neurolink_mitm.adapters.files import write_atomic

FILE = "TEST_KEYRING"
"""Names the file that it is kept in."""


class FiledKeyring(KeyringBackend):
    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write(self._read() | {f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        kept = self._read()
        del kept[f"{service} {username}"]
        self._write(kept)

    def _read(self) -> dict[str, str]:
        path = Path(os.environ[FILE])
        return json.loads(path.read_text()) if path.exists() else {}

    def _write(self, kept: dict[str, str]) -> None:
        write_atomic(Path(os.environ[FILE]), json.dumps(kept).encode())
