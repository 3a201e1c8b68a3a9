"""Sets variables in the text of Claude Code's `settings.json`, and restores it; all other text stays as it is.

`JsonObject` is the layout of an object: unlike `json_spans` it keeps the white space around each member, and accepts a
name that occurs twice. https://code.claude.com/docs/en/settings
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

_BLANK = re.compile(r"[ \t\n\r]*")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# numbers are read as text: Python refuses to convert very long ones
_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_int=str, parse_float=str)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object. `lead` is the white space before its name; `colon` is the text between name and value."""

    name: str
    value: object
    lead: str
    start: int
    colon: str
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object, from `{` to behind `}`. `tail` is the white space before `}`."""

    start: int
    end: int
    members: tuple[Member, ...]
    tail: str

    def find(self, name: str) -> Member | None:
        """Return the member called `name`; the last one if there are several, as readers of JSON do."""
        return next((each for each in reversed(self.members) if each.name == name), None)


def document(text: str) -> JsonObject | None:
    """Return the object that a document is, with or without a byte order mark; None if the document is blank.

    Raises:
        ValueError: the document is not JSON, or not an object.
    """
    start = _after_blank(text, 1 if text.startswith("\ufeff") else 0)
    if start == len(text):
        return None
    try:
        _, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("too many levels") from None
    if _after_blank(text, end) != len(text):
        raise ValueError(f"something follows the JSON (line {text.count(chr(10), 0, end) + 1})")
    if text[start] != "{":
        raise ValueError("not a JSON object")
    return span(text, start)


def span(text: str, start: int) -> JsonObject:
    """Return the object that begins at `start`, in text that is valid JSON."""
    members = tuple(_members(text, start + 1))
    inner = members[-1].end if members else start + 1
    end = _after_blank(text, inner)
    return JsonObject(start, end + 1, members, text[inner:end])


def _members(text: str, place: int) -> Iterator[Member]:
    while text[start := _after_blank(text, place)] != "}":
        name, name_end = _DECODER.raw_decode(text, start)
        value_start = _after_blank(text, _after_blank(text, name_end) + 1)
        value, end = _DECODER.raw_decode(text, value_start)
        colon = text[name_end:value_start]
        yield Member(name, value, text[place:start], start, colon, value_start, end)
        place = _after_blank(text, end)
        if text[place] == "}":
            return
        place += 1  # the comma


def _after_blank(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place


ENV = "env"
BASE_URL = "ANTHROPIC_BASE_URL"
_NOTHING = "{}\n"
Variables = Mapping[str, str]
ANY_TOKEN = "neurolink"  # noqa: S105 - it opens nothing
"""Token for a Claude Code without a login, which sends nothing without one; the proxy replaces it."""
Values = Mapping[str, str | None]
"""Values of variables as JSON text; None: not set."""


def variables(url: str) -> dict[str, str]:
    """Return the variables that point Claude Code at the proxy at `url`."""
    return {BASE_URL: url, "ENABLE_TOOL_SEARCH": "true"}


@dataclass(frozen=True, slots=True)
class Before:
    """The backup of what our variables replaced, as JSON text."""

    values: Mapping[str, str | None] = field(default_factory=dict)
    """The value of each of our variables; None: it was not set."""
    env: str | None = None
    """Text of an `env` that is empty once restored; None: there was none."""
    document: str | None = None
    """Text of a file that is empty once restored; None: there was none."""


def merge(text: str | None, ours: Variables) -> tuple[str, Before]:
    """Return `text` (None: no such file) with the variables `ours` in `env`, and the backup.

    Raises:
        ValueError: Claude Code could not read `text`; nothing should be written then.
    """
    left = text
    top = document(text) if text is not None else None
    if text is None or top is None:
        text, top = _NOTHING, span(_NOTHING, 0)
    elif top.members:
        left = "{}"
    env = top.find(ENV)
    if env is None:
        added = _env_text(ours, _lead(top, "\n  "))
        return _add(text, top, ENV, added), Before(dict.fromkeys(ours), None, left)
    if not isinstance(env.value, dict):
        raise ValueError('"env" is not an object')
    return _merge_env(text, env, ours, left)


def _merge_env(text: str, env: Member, ours: Variables, left: str | None) -> tuple[str, Before]:
    inner = span(text, env.value_start)
    values = {name: _value(text, inner.find(name)) for name in ours}
    empty = text[env.value_start : env.end]
    before = Before(values, "{}" if inner.members else empty, left)
    if not inner.members:
        return _replace(text, env, _env_text(ours, env.lead)), before
    for name, value in ours.items():
        text = _set(text, name, json.dumps(value))
    return text, before


def _value(text: str, member: Member | None) -> str | None:
    return text[member.value_start : member.end] if member else None


def values(text: str | None, names: Iterable[str]) -> dict[str, str | None]:
    """Return the values of the variables `names` in `env`. Raises `ValueError`."""
    found = {name: _variable(text, name) if text is not None else None for name in names}
    return {
        name: text[each.value_start : each.end] if text and each else None
        for name, each in found.items()
    }


def restore(text: str, ours: Variables, before: Before) -> str | None:
    """Return `text` with the backup in the place of `ours`; None: the file should be removed.

    Values that are no longer ours are left alone.

    Raises:
        ValueError: the text can't be read.
    """
    removed = False
    for name, value in ours.items():
        found = _variable(text, name)
        if found is None or found.value != value:
            continue
        was = before.values.get(name)
        removed = removed or was is None
        text = _replace(text, found, was) if was is not None else _remove(text, name)
    return _without_hulls(text, before) if removed else text


def _without_hulls(text: str, before: Before) -> str | None:
    """Remove the `env`, and the file, if they are empty now and were made for our variables."""
    top, env = _env(text)
    if top is None or env is None or env.value:
        return text
    if before.env is not None:
        return _replace(text, env, before.env)
    text = _cut(text, top, env)
    top = document(text)
    return text if top and top.members else before.document


def inherit(later: Before, ours: Variables, earlier: Before) -> Before:
    """Return the backup of `later` after an earlier proxy, which had set `ours`, was undone out of order."""
    theirs = {n for n, was in later.values.items() if was and json.loads(was) == ours.get(n)}
    if not theirs:
        return later
    values = {n: earlier.values.get(n) if n in theirs else was for n, was in later.values.items()}
    return Before(values, earlier.env, earlier.document)


def shifted(left: Values, old: Values, new: Values) -> dict[str, str | None]:
    """Return `left` after a proxy of this home has changed variables from `old` to `new`."""
    return {
        name: new[name] if name in new and was == old.get(name) else was
        for name, was in left.items()
    }


def free(left: Values, now: Values) -> tuple[str, ...]:
    """Return the names of variables that still have the value in `left`."""
    return tuple(name for name, was in left.items() if now.get(name) == was)


def _env(text: str) -> tuple[JsonObject | None, Member | None]:
    top = document(text)
    env = top.find(ENV) if top else None
    return top, env if env and isinstance(env.value, dict) else None


def _variable(text: str, name: str) -> Member | None:
    _, env = _env(text)
    return span(text, env.value_start).find(name) if env else None


def _set(text: str, name: str, value: str) -> str:
    """Set a variable in an `env` that is not empty."""
    found = _variable(text, name)
    if found:
        return _replace(text, found, value)
    _, env = _env(text)
    assert env
    return _add(text, span(text, env.value_start), name, value)


def _remove(text: str, name: str) -> str:
    _, env = _env(text)
    assert env
    inner = span(text, env.value_start)
    found = inner.find(name)
    assert found
    return _cut(text, inner, found)


def _replace(text: str, member: Member, value: str) -> str:
    return text[: member.value_start] + value + text[member.end :]


def _add(text: str, into: JsonObject, name: str, value: str) -> str:
    """Add a member, laid out as the last one; the only one gets lines of its own."""
    if not into.members:
        inner = f'\n  "{name}": {value}\n'
        return text[: into.start + 1] + inner + text[into.end - 1 :]
    last = into.members[-1]
    added = f',{last.lead or " "}"{name}"{last.colon}{value}'
    return text[: last.end] + added + text[last.end :]


def _cut(text: str, within: JsonObject, member: Member) -> str:
    """Remove a member and its comma; with the only one, the white space too."""
    place = within.members.index(member)
    if place:
        return text[: within.members[place - 1].end] + text[member.end :]
    if len(within.members) > 1:
        return text[: member.start] + text[within.members[1].start :]
    return text[: within.start + 1] + text[within.end - 1 :]


def _lead(of: JsonObject, otherwise: str) -> str:
    return of.members[-1].lead if of.members else otherwise


def _env_text(ours: Variables, lead: str) -> str:
    """Return an object one level deeper than a member behind `lead`; on one line if `lead` has no line end."""
    if "\n" not in lead:
        return "{" + _joined(ours, " ")[1:] + "}"
    unit = lead[lead.rindex("\n") + 1 :]
    return "{" + _joined(ours, lead + unit) + lead + "}"


def _joined(ours: Variables, lead: str) -> str:
    return ",".join(f'{lead}"{name}": {json.dumps(value)}' for name, value in ours.items())
