"""The form of an adapted request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Adapted:
    """An adapted request, and the client's names of tools by the changed ones in it."""

    request: Json
    tool_names: Mapping[str, str]
    notes: tuple[str, ...] = ()
    """What was left out, for the user; the same text for the same case."""


class UnsupportedError(ValueError):
    """The provider can't serve the request; the text is for the client."""


def members(value: Any) -> Json:
    """Return `value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text_block(text: str) -> Json:
    """Return a block of text."""
    return {"type": "text", "text": text}
