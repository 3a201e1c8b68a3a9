"""Returns the words of a request, to count its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json


def words_of(request: Json) -> str:
    """Return all text of a request, to count its tokens."""
    return "\n".join(_texts({name: request.get(name) for name in ("system", "tools", "messages")}))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if value.get("type") == "base64":
            return  # an image is not counted by its characters
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
