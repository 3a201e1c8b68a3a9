"""A configuration as single values, each with its place, and as the log or a terminal may show it: secrets starred."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass

from neurolink_mitm.core.config_faults import Loc, shown, spellings
from neurolink_mitm.core.secret import STARS, Secret

MOST = 5
"""Entries of a list that are shown in a line."""


def flat(value: object, loc: Loc = ()) -> Iterator[tuple[Loc, object]]:
    """Every single value below a section, keys in camelCase. A list is one value, also one of sections."""
    if is_dataclass(value):
        for field in fields(value):
            item = getattr(value, field.name)
            if field.metadata.get("private"):
                item = tuple(map(Secret, item))
            yield from flat(item, (*loc, spellings(field.name)[0]))
    elif isinstance(value, Mapping) and value and loc[-1] != "metadata":  # the user's own notes
        for key, item in value.items():
            yield from flat(item, (*loc, str(key)))
    else:
        yield loc, value


def told(value: object, text: Callable[[str], str] = shown) -> str:
    """A value in a line; `text` says how texts are shown, in quotes."""
    if isinstance(value, Secret):
        return STARS
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping) and not value:
        return "{}"
    if isinstance(value, tuple | list):
        entries = [told(item, text) for item in value[:MOST]]
        more = [f"… {len(value)} in all"] if len(value) > MOST else []
        return f"[{', '.join([*entries, *more])}]"
    if is_dataclass(value):
        pairs = ((spellings(f.name)[0], getattr(value, f.name)) for f in fields(value))
        return f"{{{', '.join(f'{name}: {told(item, text)}' for name, item in pairs)}}}"
    return f"{value:g}" if isinstance(value, float) else shown(value)
