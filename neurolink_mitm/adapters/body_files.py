"""Reads captured bodies."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from neurolink_mitm.core.logs.capture import LIMIT, Document, read_document

_LARGEST = 8 * LIMIT
"""Bytes of a document: what is no text takes up to four times its size, and is a text in JSON besides."""


def read_body(logs: Path, path: object) -> Document | None:
    """None where it is not there any more, or not whole, or somewhere else than bodies are."""
    place = logs / "bodies"
    if not isinstance(path, str) or not (logs / path).resolve().is_relative_to(place.resolve()):
        return None
    try:
        with gzip.open(logs / path, "rb") as file:
            return read_document(file.read(_LARGEST))
    except (OSError, EOFError, zlib.error, ValueError):
        return None
