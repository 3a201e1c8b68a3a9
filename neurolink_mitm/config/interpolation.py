"""Resolves `${VAR}` and `${VAR:-default}` in the strings of a document, as in shells and Compose files.

- `${VAR}` must be set, but may be empty; `${VAR:-default}` takes the default if VAR is unset or empty, and the default
  may itself hold references.
- `$${` is a literal `${`. A `$` before anything else is a `$`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from neurolink_mitm.core.settings.errors import ConfigFault, Loc, format_value

DEEPEST = 50
"""Levels of a document at most."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_TOKEN = re.compile(
    rf"(?P<escaped>\$\$\{{)|\$\{{(?P<name>{_NAME})(?P<end>\}}|:-)|(?P<bad>\$\{{)|(?P<close>\}})"
    r"|(?P<text>[^$}]+|\$)"
)
_WITHOUT_TEXT = re.compile(rf"\$\{{{_NAME}(?::-)?\}}")


@dataclass(slots=True)
class _Frame:
    """A text that is being resolved: the string itself, or the default of `name`."""

    name: str = ""
    parts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, text: str, faults: list[str] | None = None) -> None:
        self.parts.append(text)
        self.faults += faults or []


def resolve(text: str, env: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the text with its references replaced, and what is wrong with them."""
    frames = [_Frame()]
    for token in _TOKEN.finditer(text):
        _take(token, frames, env)
    if len(frames) > 1:
        return text, (f"${{{frames[-1].name}:-… has no closing brace",)
    return "".join(frames[0].parts), tuple(dict.fromkeys(frames[0].faults))


def _take(token: re.Match[str], frames: list[_Frame], env: Mapping[str, str]) -> None:
    top = frames[-1]
    if token["escaped"]:
        top.add("${")
    elif token["bad"]:
        top.add("", ["has a malformed ${…}: write ${VAR}, ${VAR:-default}, or $${ for a plain ${"])
    elif token["end"] == ":-":
        frames.append(_Frame(token["name"]))
    elif token["name"]:
        _refer(top, token["name"], env)
    elif token["close"] and len(frames) > 1:
        frames.pop()
        _default(frames[-1], top, env)
    else:
        top.add(token[0])


def _refer(frame: _Frame, name: str, env: Mapping[str, str]) -> None:
    if name in env:
        frame.add(env[name])
    else:
        frame.add("", [f"the variable {name} is not set, neither in the environment nor in .env"])


def _default(frame: _Frame, default: _Frame, env: Mapping[str, str]) -> None:
    """Close a default; its faults count only if it is needed."""
    if value := env.get(default.name):
        frame.add(value)
    else:
        frame.add("".join(default.parts), default.faults)


def only_references(text: str) -> bool:
    """Whether a text is references alone: `${A}${B}`, `${A:-${B}}`, but not `${A:-text}`."""
    rest, count = _WITHOUT_TEXT.subn("", text)
    return not rest or (count > 0 and only_references(rest))


def resolve_all(document: object, env: Mapping[str, str]) -> tuple[object, tuple[ConfigFault, ...]]:
    """Return a copy of the document with every string resolved, and all faults.

    Keys stay as they are. Keys without a value are dropped: `baseUrl:` is left when its value is commented out. Keys
    that aren't text are faults.
    """
    faults: list[ConfigFault] = []
    return _resolve(document, env, (), faults), tuple(faults)


def _no_text(key: object, loc: Loc) -> ConfigFault:
    # YAML 1.1 takes `on:`, `no:` and `2026-01-01:` for other things than text
    return ConfigFault(
        (*loc, str(key)), f"is a key that reads as {format_value(key)}: write it in quotes"
    )


def _resolve(value: object, env: Mapping[str, str], loc: Loc, faults: list[ConfigFault]) -> object:
    if len(loc) > DEEPEST:
        faults.append(ConfigFault(loc, f"is nested more than {DEEPEST} levels deep"))
        return None
    match value:
        case str():
            resolved, wrong = resolve(value, env)
            faults += [ConfigFault(loc, text) for text in wrong]
            return resolved
        case dict():
            keys = [key for key in value if isinstance(key, str)]
            faults += [_no_text(key, loc) for key in value if not isinstance(key, str)]
            given = {key: value[key] for key in keys if value[key] is not None}
            return {k: _resolve(v, env, (*loc, k), faults) for k, v in given.items()}
        case list():
            return [_resolve(v, env, (*loc, i), faults) for i, v in enumerate(value)]
    return value
