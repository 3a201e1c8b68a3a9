"""What is wrong with a configuration, in words: where it is, what it must be, what was found.

Nothing here prints a secret: values are shown as they stand in the file (a `${VAR}` unresolved),
and whatever looks like a key, or a URL's credentials, is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Loc = tuple[str | int, ...]
"""Where something stands in a document: keys as written, and indices."""

_PLAIN_KEY = re.compile(r"[\w-]+")
_KEY_SHAPE = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|nvapi|gh[opusr])[-_]\w|\b(?:AIza|AKIA|eyJ)\w|bearer\s", re.IGNORECASE
)
_REFERENCE = re.compile(r"\$\{\w+\}")
_LONGEST_WORD = 31
"""Characters; a longer run without a space or slash may be a key of any provider."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where."""

    loc: Loc
    text: str

    def __str__(self) -> str:
        return f"{path(self.loc) or 'the configuration'}: {self.text}"


def path(loc: Loc) -> str:
    """`("accounts", "anthropic", 1, "weight")` → `accounts.anthropic[1].weight`."""
    return "".join(_step(part) for part in loc).removeprefix(".")


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN_KEY.fullmatch(part) and not looks_secret(part):
        return f".{part}"
    return f"[{shown(part)}]"


def looks_secret(text: str) -> bool:
    """Whether some part of a text may be a key: too many faults hide a value, never too few."""
    words = re.split(r"[\s/]", text)
    return bool(_KEY_SHAPE.search(text)) or any(len(word) > _LONGEST_WORD for word in words)


def shown(value: object) -> str:
    """A value of the file, as a fault may print it."""
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
            return _shown_text(value)
    return f"a {type(value).__name__}"


def _shown_text(text: str) -> str:
    bare = without_credentials(text)
    if looks_secret(bare):
        return f"a text of {len(text)} characters"
    return json.dumps(bare, ensure_ascii=False)


def without_credentials(text: str) -> str:
    """A URL without user, password and query: both may hold keys."""
    head, at, tail = text.rpartition("@")
    if at:
        scheme, slashes, _ = head.partition("//")
        text = f"{scheme}//…@{tail}" if slashes else f"…@{tail}"
    return re.sub(r"\?.*", "?…", text, flags=re.DOTALL) if "://" in text else text


def value_at(document: object, loc: Loc) -> object:
    """What stands at `loc`; None where there is nothing."""
    for part in loc:
        try:
            document = document[part]  # type: ignore[index]  # misses are caught below
        except (TypeError, LookupError):
            return None
    return document


def position(document: object, loc: Loc) -> tuple[int, ...]:
    """Sorts places as they stand in the document; what is missing stands at the end."""
    order: list[int] = []
    for depth, part in enumerate(loc):
        here = value_at(document, loc[:depth])
        keys = [str(key) for key in here] if isinstance(here, dict) else []
        order.append(part if isinstance(part, int) else (*keys, part).index(part))
    return tuple(order)


def spellings(field: str) -> tuple[str, str]:
    """The keys of a field in a file: `first_event` → `firstEvent`, `first-event`."""
    head, *rest = field.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in rest), "-".join([head, *rest])


def explain(error: ErrorDetails, root: type, document: object) -> Fault:
    """Put one of pydantic's errors into words.

    `root` is the dataclass that was asked for, `document` the file before `${VAR}` was resolved.
    """
    return Fault(error["loc"], _words(error, root, document))


def _words(error: ErrorDetails, root: type, document: object) -> str:
    loc = error["loc"]
    raw = value_at(document, loc)
    got = shown(raw)
    match error["type"]:
        case "missing":
            return "is required"
        case "unexpected_keyword_argument":
            return _unexpected(str(loc[-1]), _section_at(root, loc[:-1]))
        case "dataclass_type" | "dict_type":
            return f"must be a mapping of keys and values, got {got}"
        case "tuple_type":
            return f"must be a list, got {got}"
        case "bare":
            named = isinstance(raw, str) and _REFERENCE.fullmatch(raw)
            return f"{error['msg']}, got {got}" if named else error["msg"]
    return f"{error['msg'].removeprefix('Value error, ')}, got {got}"


def _unexpected(key: str, section: type) -> str:
    known = [spelling for field in fields(section) for spelling in spellings(field.name)]
    if key in known:
        twin = next(twin for twin in map(spellings, _names(section)) if key in twin)
        return f'is given twice, as "{twin[0]}" and as "{twin[1]}": leave one'
    near = get_close_matches(key, known, n=1)
    if near:
        return f'unknown key, did you mean "{near[0]}"?'
    return f"unknown key, known here: {', '.join(spellings(name)[0] for name in _names(section))}"


def _names(section: type) -> list[str]:
    return [field.name for field in fields(section)]


def _section_at(root: type, loc: Loc) -> type:
    """The dataclass that describes what stands at `loc`."""
    kind = root
    for part in loc:
        if is_dataclass(kind):
            kind = get_type_hints(kind)[_field_of(kind, part)]
        else:
            # tuple[X, ...] or Mapping[str, X]
            kind = get_args(kind)[1 if get_origin(kind) is Mapping else 0]
    return kind


def _field_of(section: type, key: str | int) -> str:
    return next(name for name in _names(section) if key in spellings(name))
