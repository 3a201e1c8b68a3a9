"""The faults of a configuration in words: where a value is, what it must be, what it is.

Values are formatted as they stand in the file (a `${VAR}` unresolved), without secrets: whatever looks like a key, or a
URL's credentials, is left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

Loc = tuple[str | int, ...]
"""The place of a value in a document: keys as written, and indices."""

_PLAIN_KEY = re.compile(r"[\w-]+")
_KEY_SHAPE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|gh[opusr])[-_]\w|\b(?:AIza|AKIA|eyJ)\w|bearer\s", re.IGNORECASE
)
_LONGEST_WORD = 31
"""Characters; a longer word may be a key of any provider."""


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One fault, and where it is."""

    loc: Loc
    text: str

    def __str__(self) -> str:
        return f"{path(self.loc) or 'the configuration'}: {self.text}"


def path(loc: Loc) -> str:
    """Return `accounts.anthropic[1].weight` for `("accounts", "anthropic", 1, "weight")`."""
    return "".join(_step(part) for part in loc).removeprefix(".")


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN_KEY.fullmatch(part) and not looks_secret(part):
        return f".{part}"
    return f"[{format_value(part)}]"


def looks_secret(text: str) -> bool:
    """Whether some part of a text may be a key: rather one value too many is hidden."""
    words = re.split(r"[\s/]", text)
    return bool(_KEY_SHAPE.search(text)) or any(len(word) > _LONGEST_WORD for word in words)


def format_value(value: object) -> str:
    """Return a value of the file as a fault may print it."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case bool() | int() | float():
            return str(value).lower()
        case str():
            return _format_text(value)
    return f"a {type(value).__name__}"


def _format_text(text: str) -> str:
    bare = without_credentials(text)
    if looks_secret(bare):
        return f"a text of {len(text)} characters"
    return json.dumps(bare, ensure_ascii=False)


def without_credentials(text: str) -> str:
    """Return a URL without user, password and query, which may hold keys."""
    head, at, tail = text.rpartition("@")
    if at:
        scheme, slashes, _ = head.partition("//")
        text = f"{scheme}//…@{tail}" if slashes else f"…@{tail}"
    return re.sub(r"\?.*", "?…", text, flags=re.DOTALL) if "://" in text else text


def value_at(document: object, loc: Loc) -> object:
    """Return the value at `loc`; None where there is none."""
    for part in loc:
        try:
            document = document[part]  # type: ignore[index]  # misses are caught below
        except (TypeError, LookupError):
            return None
    return document


def position(document: object, loc: Loc) -> tuple[int, ...]:
    """Return a sort key: places come as they stand in the document, missing ones at the end."""
    order: list[int] = []
    for depth, part in enumerate(loc):
        here = value_at(document, loc[:depth])
        keys = [str(key) for key in here] if isinstance(here, dict) else []
        order.append(part if isinstance(part, int) else (*keys, part).index(part))
    return tuple(order)


def spellings(field: str) -> tuple[str, str]:
    """Return the keys of a field in a file: `first_event` → `firstEvent`, `first-event`."""
    head, *rest = field.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in rest), "-".join([head, *rest])


def spelled(document: object, *names: str) -> Loc:
    """Return the place of a field, in the spelling of the file; it ends where the file does."""
    loc: Loc = ()
    for name in names:
        written = [key for key in spellings(name) if value_at(document, (*loc, key)) is not None]
        loc = (*loc, *written[:1])
    return loc


class ConfigError(ValueError):
    """A configuration that can't be used; `faults` has a line for each fault, without secrets."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
