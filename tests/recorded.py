"""Requests of other tools as they sent them (`recorded_tools/`), without long texts and what was of the machine.

A file is one request: tool, version, method, path, headers without those of the connection, body. Each tool was pointed
at a server on loopback that answered with calls of its own tools, so that the requests after these are here, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("recorded_tools")


@dataclass(frozen=True)
class Recorded:
    tool: str
    version: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode() if self.body else b""


def recorded(path: str = "") -> dict[str, Recorded]:
    """Return the requests to `path` by the name of their file; all of them without a path."""
    each = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
    return {name: Recorded(**one) for name, one in each.items() if path in ("", one["path"])}
