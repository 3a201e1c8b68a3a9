"""Sets variables in `claudeCode.environmentVariables` of VS Code's `settings.json`, and restores it.

All other text, comments and trailing commas included, stays as it is. The setting is a list of
`{"name": …, "value": …}`: https://code.claude.com/docs/en/llm-gateway-connect#vs-code-extension
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from neurolink_mitm.claude_code import jsonc
from neurolink_mitm.claude_code.jsonc import Child
from neurolink_mitm.claude_code.settings_text import Before, Variables

SETTING = "claudeCode.environmentVariables"
LARGEST = 1_000_000
"""Characters of a file that is changed."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An item of the list. `start` and `end` are the places of its value's text."""

    item: Child
    name: str
    value: str | None
    start: int
    end: int


def merge(text: str | None, ours: Variables) -> tuple[str, Before]:
    """Return `text` (None: no such file) with the variables `ours`, and the backup.

    Raises:
        ValueError: VS Code could not read `text`; nothing should be written then.
    """
    if len(text or "") > LARGEST:
        raise ValueError(f"larger than {LARGEST} characters")
    left = text
    top = jsonc.root(text) if text is not None else None
    if text is None or top is None:
        above = f"{text}\n" if text and jsonc.comments(text) else ""
        text, top = f"{above}{{}}\n", len(above)
    elif jsonc.children(text, top):
        left = "{}"
    setting = _setting(text)
    if setting is None:
        before = Before(dict.fromkeys(ours), None, left)
        return _with_setting(text, top, ours), before
    if text[setting.value_start] != "[":
        raise ValueError(f'"{SETTING}" is not a list')
    empty = not jsonc.children(text, setting.value_start)
    list_text = text[setting.value_start : setting.end] if empty else "[]"
    before = Before(values(text, ours), list_text, left)
    for name, value in ours.items():
        text = _set(text, name, value)
    return text, before


def restore(text: str, ours: Variables, before: Before) -> str | None:
    """Return `text` with the backup in the place of `ours`; None: the file should be removed.

    Values that are no longer ours are left alone.

    Raises:
        ValueError: the text can't be read.
    """
    removed = False
    for name, value in ours.items():
        variable = _variable(text, name)
        if variable is None or variable.value != value:
            continue
        was = before.values.get(name)
        removed = removed or was is None
        if was is None:
            setting = _setting(text)
            assert setting
            text = _cut(text, setting.value_start, variable.item)
        else:
            text = text[: variable.start] + was + text[variable.end :]
    return _without_hulls(text, before) if removed else text


def values(text: str | None, names: Iterable[str]) -> dict[str, str | None]:
    """Return the values of the variables `names`, as JSON text. Raises `ValueError`."""
    wanted = {name: _variable(text, name) if text is not None else None for name in names}
    return {
        name: text[each.start : each.end] if text and each else None
        for name, each in wanted.items()
    }


@lru_cache(maxsize=4)
def _setting(text: str) -> Child | None:
    """Return the setting; the last one if there are several, as VS Code does."""
    top = jsonc.root(text)
    named = [c for c in jsonc.children(text, top) if c.name == SETTING] if top is not None else []
    return named[-1] if named else None


@lru_cache(maxsize=4)
def _variables(text: str) -> dict[str, Variable]:
    """Return the variables by name; the last one of a name, which is the one that counts."""
    setting = _setting(text)
    if setting is None or text[setting.value_start] != "[":
        return {}
    items = jsonc.children(text, setting.value_start)
    variables = (_read(text, item) for item in items)
    return {each.name: each for each in variables if each}


def _variable(text: str, name: str) -> Variable | None:
    return _variables(text).get(name)


def _read(text: str, item: Child) -> Variable | None:
    if text[item.value_start] != "{":
        return None
    members = {each.name: each for each in jsonc.children(text, item.value_start)}
    name, value = members.get("name"), members.get("value")
    named = jsonc.string(text, name) if name else None
    if named is None or value is None:
        return None
    return Variable(item, named, jsonc.string(text, value), value.value_start, value.end)


def _set(text: str, name: str, value: str) -> str:
    if variable := _variable(text, name):
        return text[: variable.start] + json.dumps(value) + text[variable.end :]
    setting = _setting(text)
    assert setting
    items = jsonc.children(text, setting.value_start)
    if items:
        return _behind(text, items[-1], _item(name, value))
    place = setting.value_start + 1
    lead = _lead(text, setting)
    inner = _deeper(lead) + _item(name, value) if lead else _item(name, value)
    closing = lead if lead and text[place] == "]" else ""
    return text[:place] + inner + closing + text[place:]


def _with_setting(text: str, top: int, ours: Variables) -> str:
    members = jsonc.children(text, top)
    lead = _lead(text, members[-1]) if members else "\n  "
    deep = _deeper(lead) if lead.strip(" \t") else " "
    items = ",".join(f"{deep}{_item(name, value)}" for name, value in ours.items())
    whole = f"[{items}{lead}]" if lead.strip(" \t") else f"[{items[1:]}]"
    member = f'"{SETTING}": {whole}'
    if members:
        return _behind(text, members[-1], member)
    closing = "\n" if text[top + 1] == "}" else ""
    return text[: top + 1] + lead + member + closing + text[top + 1 :]


def _behind(text: str, last: Child, added: str) -> str:
    """Add a child behind the last one, laid out as that."""
    return f"{text[: last.end]},{_lead(text, last) or ' '}{added}{text[last.end :]}"


def _lead(text: str, child: Child) -> str:
    """Return the white space before a child."""
    before = text[: child.start]
    return before[len(before.rstrip(" \t\r\n")) :]


def _deeper(lead: str) -> str:
    line = lead.rpartition("\n")[2]
    return lead + (line or "  ")


def _item(name: str, value: str) -> str:
    return json.dumps({"name": name, "value": value})


def _cut(text: str, container: int, child: Child) -> str:
    """Remove a child and its comma; comments beside it stay."""
    siblings = jsonc.children(text, container)
    place = siblings.index(child)
    if place:
        before = siblings[place - 1].end
        comma = jsonc.gap(text, before)
        between = text[before:comma] + text[comma + 1 : child.start]
        left = between if between.strip() else ""
        return text[:before] + left + text[child.end :]
    if len(siblings) == 1:
        comma = jsonc.gap(text, child.end)
        after = text[child.end : comma] + text[comma + 1 :] if text[comma] == "," else ""
        return text[: child.start] + (after or text[child.end :])
    comma, following = jsonc.gap(text, child.end), siblings[1].start
    if not text[comma + 1 : following].strip():
        return text[: child.start] + text[following:]
    lead = (
        "" if not text[container + 1 : child.start].strip() else text[container + 1 : child.start]
    )
    return text[: container + 1] + lead + text[comma + 1 :]


def _without_hulls(text: str, before: Before) -> str | None:
    """Remove the list, and the file, if they are empty now and were made for our variables."""
    setting, top = _setting(text), jsonc.root(text)
    if setting is None or top is None or jsonc.children(text, setting.value_start):
        return text
    list_text = text[setting.value_start : setting.end]
    if before.env is not None:
        same = jsonc.comments(list_text) == jsonc.comments(before.env)
        return text[: setting.value_start] + before.env + text[setting.end :] if same else text
    if jsonc.comments(list_text):
        return text
    text = _cut(text, top, setting)
    if jsonc.children(text, top) or jsonc.comments(text) != jsonc.comments(before.document or ""):
        return text
    return before.document
