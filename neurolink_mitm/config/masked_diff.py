"""The lines of the configuration file that an edit changes, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import yaml

from neurolink_mitm.config.editable import is_editable
from neurolink_mitm.config.show import mask_text
from neurolink_mitm.config.spans import Node, scalars, tree
from neurolink_mitm.core.redact.secret import MASK
from neurolink_mitm.core.settings.errors import Loc


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A line that goes or comes. `number` counts from 1, in the text that has the line."""

    sign: Literal["-", "+"]
    number: int
    text: str


def changed_lines(before: bytes, after: bytes) -> list[ChangedLine]:
    """Return the lines that differ. Values that can't be edited are masked, and so are keys in comments."""
    old_text, new_text = (each.decode("utf-8-sig", "replace") for each in (before, after))
    old, new = _masked_lines(old_text), _masked_lines(new_text)
    raw, new_raw = old_text.split("\n"), new_text.split("\n")
    same = _equal(raw, new_raw)  # at the beginning: edits are few, and files may be long
    matcher = SequenceMatcher(None, raw[same:], new_raw[same:])
    return [
        line
        for kind, start, end, new_start, new_end in matcher.get_opcodes()
        if kind != "equal"
        for line in (
            *(ChangedLine("-", n + 1, old[n]) for n in range(same + start, same + end)),
            *(ChangedLine("+", n + 1, new[n]) for n in range(same + new_start, same + new_end)),
        )
    ]


def _equal(lines: Sequence[str], others: Sequence[str]) -> int:
    """Return how many lines are the same at the beginning."""
    pairs = enumerate(zip(lines, others, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(lines), len(others)))


def _masked_lines(text: str) -> list[str]:
    return [mask_text(line.rstrip("\r")) for line in _masked(text).split("\n")]


def _masked(text: str) -> str:
    """Return the text with stars for all values that can't be edited; it has as many lines."""
    try:
        root = tree(text)
    except yaml.YAMLError:
        return re.sub(r"[^\n]+", MASK, text)
    parts: list[str] = []
    done = 0
    for start, end in _hidden(root):
        parts += [text[done:start], MASK, "\n" * text.count("\n", start, end)]
        done = end
    return "".join((*parts, text[done:]))


def _hidden(root: Node | None) -> Iterator[tuple[int, int]]:
    for loc, node in scalars(root) if root else ():
        if not _is_shown(loc):
            yield node.start, node.end


def _is_shown(loc: Loc) -> bool:
    """Whether the value at `loc`, keys as written, may be shown: what may be edited, and the names of accounts."""
    match [_camel(part) if isinstance(part, str) else part for part in loc]:
        case ["version"]:
            return True
        case ["accounts", "anthropic", int(), "name"]:
            return True
        case ["accounts", "anthropic", int(), str() as key, *_]:
            return is_editable(("accounts", "anthropic", "any", key))
        case [str() as section, str() as key, *_]:
            return is_editable((section, key))
    return False


def _camel(key: str) -> str:
    return re.sub("-(.)", lambda match: match[1].upper(), key)
