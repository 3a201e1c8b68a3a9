"""What may be edited outside the file, by pages and commands; all else is refused.

Who has stolen a session of the dashboard must not be able to run commands, or to send tokens elsewhere. So this lists
what is allowed, key by key, and a new key is refused until it is listed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from neurolink_mitm.core.auth.credentials import check_label
from neurolink_mitm.core.settings.errors import Loc, path, spellings

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "routing": (
        "strategy", "primary_account", "account_order", "session_affinity", "model_mappings",
        "fallback_chain", "passthrough_models", "hold", "pay_per_use", "daily_cap_usd",
    ),
    "timeouts": ("connect", "first_event", "idle", "total", "drain"),
    "logging": ("max_age_days", "max_size_mb", "rollup_days", "capture_bodies"),
}  # fmt: skip
"""The keys of a section that may be edited, as fields."""
ACCOUNT = (
    "enabled",
    "weight",
    "priority",
    "rate_limit",
    "max_concurrent",
    "excluded_models",
)
"""Those of an account."""
ACCOUNTS = ("accounts", "anthropic")
MOST_ENTRIES = 500
"""Entries of a list that is written."""

Scalar = str | int | float | bool
Value = Scalar | Sequence[Scalar] | Sequence[Mapping[str, Scalar]]
"""A text, a number, true or false, or a list."""


class NotEditableError(Exception):
    """One line: why the value can't be written, and what to do."""


class NotAllowedError(NotEditableError):
    """The value must not be written here: it stands for the file alone."""


@dataclass(frozen=True, slots=True)
class Change:
    """A new value of the key at `loc` (camelCase), of an account by its name; None takes the key away."""

    loc: tuple[str, ...]
    value: Value | None = field(repr=False)

    def __str__(self) -> str:
        return path(self.loc)


def check_change(change: Change) -> None:
    """Raise `NotAllowedError` for a key that is not listed, and for a text that would not stay one."""
    if not is_editable(change.loc):
        raise NotAllowedError(f"{change}: is changed in the file only")
    if isinstance(change.value, list) and len(change.value) > MOST_ENTRIES:
        raise NotAllowedError(f"{change}: must be {MOST_ENTRIES} entries at most")
    for text in _texts(change.value):
        if "${" in text:
            raise NotAllowedError(f"{change}: ${{…}} reads a variable: write that in the file only")
        if "//" in text:  # LiteLLM asks the host that a model like huggingface/https://… names
            raise NotAllowedError(f"{change}: an address names a host: write that in the file only")
        if not text.isprintable():
            raise NotAllowedError(f"{change}: must be printable characters")


def is_editable(loc: Sequence[str]) -> bool:
    """Whether the key at `loc` (camelCase) may be edited."""
    match tuple(loc):
        case (section, key):
            return key in _keys(SECTIONS.get(section, ()))
        case ("accounts", "anthropic", name, key):
            return key in _keys(ACCOUNT) and _is_label(name)
    return False


def _keys(fields: Sequence[str]) -> list[str]:
    return [spellings(each)[0] for each in fields]


def _is_label(name: str) -> bool:
    try:
        return "${" not in check_label(name)
    except ValueError:
        return False


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, each in value.items():
                yield key
                yield from _texts(each)
        case Sequence():
            for each in value:
                yield from _texts(each)


def place(document: object, change: Change, names: Sequence[str]) -> Loc:
    """Return where the value is in a document, or would be: keys in the file's spelling, accounts by index.

    `names` are those of the accounts in the document.
    """
    if change.loc[0] != ACCOUNTS[0]:
        section, key = change.loc
        return section, _written(_at(document, section), key, kebab=True)
    *_, name, key = change.loc
    index = names.index(name) if name in names else len(names)
    entry = _at(_at(_at(document, "accounts"), "anthropic"), index)
    return (*ACCOUNTS, index, _written(entry, key, kebab=False))


def _written(section: object, key: str, *, kebab: bool) -> str:
    both = [key, re.sub("([A-Z])", lambda match: f"-{match[1].lower()}", key)]
    inside = [each for each in both if isinstance(section, dict) and each in section]
    filled = [each for each in inside if _at(section, each) is not None]
    return next(iter(filled or inside), both[kebab])


def _at(value: object, key: str | int) -> object:
    try:
        return value[key]  # type: ignore[index]  # misses are caught
    except (TypeError, LookupError):
        return None


def with_value(document: object, loc: Loc, value: object, name: str | None = None) -> object:
    """Return a copy of the document with `value` at `loc`; None takes it away. `name` is that of a new account."""
    if not loc:
        return value
    key, *rest = loc
    if isinstance(key, int):
        items = list(document) if isinstance(document, list) else []
        if key == len(items):
            items.append({"name": name})
        items[key] = with_value(items[key], tuple(rest), value, name)
        return items
    mapping = dict(document) if isinstance(document, dict) else {}
    if not rest and value is None:
        mapping.pop(key, None)
    elif rest and value is None and key not in mapping:
        pass
    else:
        mapping[key] = with_value(mapping.get(key), tuple(rest), value, name)
    return mapping


def plain(value: object) -> object:
    """Return a comparable copy of a document: what means the same is the same, and 1 is not true.

    Keys without a value, and sections that hold nothing, are left out, as where the configuration is read.
    """
    match value:
        case dict():
            made = {repr(key): plain(each) for key, each in value.items()}
            return {key: each for key, each in made.items() if each not in (None, {})}
        case list():
            return [{} if each == {} else plain(each) for each in value]
        case None:
            return None
    return f"{type(value).__name__} {value!r}"


def same(document: object, other: object) -> bool:
    """Whether two documents mean the same."""
    return (plain(document) or {}) == (plain(other) or {})


def check_rest(before: object, after: object) -> None:
    """Raise `NotAllowedError` where two documents differ in more than what may be edited."""
    if not same(_rest(before), _rest(after)):
        raise NotAllowedError("more than what may be edited here would change: do it in the file")


def _rest(document: object) -> object:
    """Return a document without what may be edited."""
    if not isinstance(document, dict):
        return document
    made = {
        key: _without(each, SECTIONS[key]) if key in SECTIONS else each
        for key, each in document.items()
    }
    groups = made.get("accounts")
    if isinstance(groups, dict) and isinstance(entries := groups.get("anthropic"), list):
        left = [_without(entry, ACCOUNT) for entry in entries]
        made["accounts"] = {
            **groups,
            "anthropic": [each for each in left if not _named_only(each)] or None,
        }
    return made


def _without(section: object, fields: Sequence[str]) -> object:
    if not isinstance(section, dict):
        return section
    keys = {key for each in fields for key in spellings(each)}
    return {key: each for key, each in section.items() if key not in keys}


def _named_only(entry: object) -> bool:
    """Whether an entry gives nothing but settings to a stored account."""
    return isinstance(entry, dict) and list(entry) == ["name"] and isinstance(entry["name"], str)


def by_hand(change: Change) -> str:
    """Return what to write by hand, where the file can't be changed safely."""
    value = json.dumps(change.value, ensure_ascii=False) if change.value else "nothing"
    return f"set {change} to {value} by hand"
