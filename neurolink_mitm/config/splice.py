"""Changes one value in a YAML or JSON text, and leaves every other character as it is.

Only the characters of the value are exchanged, or a line is added or taken away: comments, order, quotes, indentation,
line ends and anchors stay. Whether the result means what it should is for the caller to check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import yaml

from neurolink_mitm.config.spans import Node, tree
from neurolink_mitm.core.settings.errors import Loc

LONGEST_LIST = 1000
"""Items of a list whose lines are compared."""
_ANCHOR = re.compile(r"(?:[&!]\S*\s+)*")


class NotSplicedError(Exception):
    """The text is written in a way in which the value can't be changed alone."""


@dataclass(frozen=True, slots=True)
class Style:
    """How the file is written: its line end, its indentation, and whether it is JSON."""

    newline: str
    indent: int
    is_json: bool

    @classmethod
    def of(cls, text: str, root: Node | None, *, is_json: bool) -> Style:
        nested = [] if root is None or root.flow else [value for _, value in root.pairs]
        steps = [each.column for each in nested if each.kind == "mapping" and not each.flow]
        return cls("\r\n" if "\r\n" in text else "\n", next(filter(None, steps), 2), is_json)

    def text(self, value: object, old: str = "") -> str:
        """Return a value in one line; a text is quoted like `old`, its predecessor."""
        if self.is_json:
            return json.dumps(value, ensure_ascii=False)
        match value:
            case bool():
                return str(value).lower()
            case str():
                return _quoted(value, old)
            case float():
                return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # YAML's floats have a point
            case Mapping():
                return f"{{{', '.join(self.pair(*each) for each in value.items())}}}"
            case Sequence():
                return f"[{', '.join(map(self.text, value))}]"
        return str(value)

    def pair(self, key: str, value: object) -> str:
        return f"{self.text(key)}: {self.text(value)}"

    def lines(self, value: object, column: int) -> list[str]:
        """Return a mapping in block style, whose keys begin at `column`; innermost ones stay in a line."""
        if not isinstance(value, Mapping):
            return []
        made: list[str] = []
        for key, each in value.items():
            match each:
                case Mapping():
                    below = self.lines(each, column + self.indent)
                    made += [f"{' ' * column}{self.text(key)}:", *below]
                case [Mapping() as only] if "name" in only:
                    item = f"{' ' * (column + self.indent)}- {self.text(only)}"
                    made += [f"{' ' * column}{self.text(key)}:", item]
                case _:
                    made.append(f"{' ' * column}{self.pair(key, each)}")
        return made


def _quoted(text: str, old: str) -> str:
    """Return a text, plain where YAML reads that as the same text."""
    if old.startswith("'"):
        return "'{}'".format(text.replace("'", "''"))
    plain = (
        re.fullmatch(r"(?![\d.eE_+-]+$)[A-Za-z0-9][\w.@+*/-]*", text)
        and yaml.safe_load(text) == text
    )
    return text if plain and not old.startswith('"') else json.dumps(text, ensure_ascii=False)


def splice(text: str, loc: Loc, value: object, *, is_json: bool = False) -> str:
    """Return the text with `value` at `loc`, whose keys are as written; None takes the key away.

    Raises `NotSplicedError`, `yaml.YAMLError`.
    """
    root = tree(text)
    style = Style.of(text, root, is_json=is_json)
    if root is None or root.empty:
        return text if value is None else _appended(text, style, nested(loc, value))
    return _Splicer(text, style).at(root, loc, value)


def nested(loc: Loc, value: object) -> object:
    """Return `value` below the keys `loc`. An index adds the value to a list."""
    for key in reversed(loc):
        value = {key: value} if isinstance(key, str) else [value]
    return value


def _appended(text: str, style: Style, value: object) -> str:
    if style.is_json:
        return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n"
    before = text + style.newline if text and not text.endswith("\n") else text
    return before + "".join(line + style.newline for line in style.lines(value, 0))


@dataclass(frozen=True, slots=True)
class _Splicer:
    text: str
    style: Style

    def at(self, node: Node, loc: Loc, value: object) -> str:
        """Change what is below `node`."""
        key, *rest = loc
        if node.kind == "mapping" and isinstance(key, str):
            pair = node.pair(key)
            if pair is None:
                new = nested(tuple(rest), value)
                return self.text if value is None else self._with_pair(node, key, new)
            if value is None and not rest:
                return self._without(node, pair)
            child = pair[1]
        elif node.kind == "sequence" and isinstance(key, int):
            if key == len(node.items) and value is not None:
                return self._with_item(node, nested(tuple(rest), value))
            child = node.items[key]
        else:
            raise NotSplicedError
        if not rest:
            return self._replaced(child, value)
        if child.kind == "scalar" and yaml.safe_load(child.value or "null") is None:
            new = nested(tuple(rest), value)
            return self.text if value is None else self._filled(node, child, new)
        return self.at(child, tuple(rest), value)

    def _cut(self, start: int, end: int, new: str) -> str:
        return self.text[:start] + new + self.text[end:]

    # places in lines

    def _line_start(self, position: int) -> int:
        return self.text.rfind("\n", 0, position) + 1

    def _line_end(self, position: int) -> int:
        """Return where the line after that of `position` begins."""
        end = self.text.find("\n", position)
        return len(self.text) if end < 0 else end + 1

    def _before(self, position: int) -> str:
        """Return what stands before `position` in its line."""
        return self.text[self._line_start(position) : position]

    def _add_lines(self, position: int, lines: Sequence[str]) -> str:
        """Put lines behind that of `position`."""
        end = self._line_end(position)
        newline = self.style.newline
        made = "".join(line + newline for line in lines)
        if not self.text[:end].endswith("\n"):
            made = newline + made.removesuffix(newline)
        return self._cut(end, end, made)

    def _without_lines(self, start: int, end: int) -> str:
        """Take away the lines from `start` to before `end`, but for comments that have a line of their own."""
        first, after = self._line_start(start), self._line_end(max(start, end - 1))
        lines = self.text[first:after].splitlines(keepends=True)
        rest = [line for line in lines if not line.strip() or line.lstrip().startswith("#")]
        return self._cut(first, after, "".join(rest))

    # mappings

    def _with_pair(self, node: Node, key: str, value: object) -> str:
        if node.flow:
            pair = self.style.pair(key, value)
            opening = self.text.index("{", node.start) + 1
            if not node.pairs:
                return self._cut(opening, opening, pair)
            last = node.pairs[-1][1].end
            if "\n" not in self.text[opening : node.end]:
                return self._cut(last, last, f", {pair}")
            first = node.pairs[0][0].start
            before = self._before(first)
            own_line = "\n" in self.text[opening:first] and not before.strip()
            gap = f",{self.style.newline}{before}" if own_line else ", "
            return self._cut(first, first, pair + gap)
        column = node.pairs[0][0].column
        return self._add_lines(self._last(node.end), self.style.lines({key: value}, column))

    def _last(self, end: int) -> int:
        return max(end - 1, 0) if self.text[end - 1 : end] == "\n" else end

    def _without(self, node: Node, pair: tuple[Node, Node]) -> str:
        key, value = pair
        index = node.pairs.index(pair)
        following = node.pairs[index + 1][0].start if index + 1 < len(node.pairs) else None
        if not node.flow and not self._before(key.start).strip():
            return self._without_lines(key.start, value.end)
        if following is not None:
            start, end = key.start, following
        elif node.flow:
            start, end = node.pairs[index - 1][1].end if index else key.start, value.end
        else:
            raise NotSplicedError
        self._check_comments(start, end)
        return self._cut(start, end, "")

    def _filled(self, parent: Node, empty: Node, value: object) -> str:
        """Put a mapping where nothing, or null, is written."""
        if empty.empty and not parent.flow and isinstance(value, Mapping):
            lines = self.style.lines(value, parent.column + self.style.indent)
            return self._add_lines(empty.start, lines)
        space = " " * (empty.empty and self.text[empty.start - 1 : empty.start] == ":")
        return self._cut(empty.start, empty.end, space + self.style.text(value))

    # values

    def _replaced(self, node: Node, value: object) -> str:
        written = self.text[node.start : node.end]
        anchor = _ANCHOR.match(written)
        assert anchor
        kept = "".join(f"{each} " for each in anchor[0].split() if each[0] == "&")
        if node.kind == "sequence" and not node.flow:
            return self._with_items(node, value)
        if node.kind == "mapping" and not node.flow:
            raise NotSplicedError
        self._check_comments(node.start, node.end)
        new = self.style.text(value, written[anchor.end() :])
        space = " " * (node.empty and self.text[node.start - 1 : node.start] == ":")
        return self._cut(node.start, node.end, space + kept + new)

    def _check_comments(self, start: int, end: int) -> None:
        """Refuse to lose a comment within a value of several lines."""
        cut = self.text[start:end]
        if "\n" in cut and re.search(r"(?:^|\s)#", cut):
            raise NotSplicedError

    # lists

    def _with_item(self, node: Node, value: object) -> str:
        if node.flow:
            end = node.items[-1].end if node.items else self.text.index("[", node.start) + 1
            return self._cut(end, end, ", " * bool(node.items) + self.style.text(value))
        dash = self._dash(node.items[-1])
        return self._add_lines(self._last(node.end), [f"{dash}{self.style.text(value)}"])

    def _dash(self, item: Node) -> str:
        before = self._before(item.start)
        if not re.fullmatch(r"\s*-\s+", before):
            raise NotSplicedError
        return before

    def _with_items(self, node: Node, value: object) -> str:
        """Exchange those items of a block list that differ; the lines of others stay."""
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or len(node.items) > LONGEST_LIST
        ):
            raise NotSplicedError
        old = [repr(yaml.safe_load(self._item_text(each))) for each in node.items]
        new = [repr(each) for each in value]
        dash = self._dash(node.items[0])
        made = self
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        # from the end on, so that places before stay
        for kind, start, end, new_start, new_end in reversed(matcher.get_opcodes()):
            if kind == "equal":
                continue
            lines = [f"{dash}{self.style.text(each)}" for each in value[new_start:new_end]]
            made = made._exchanged(node.items, start, end, lines)
        return made.text

    def _item_text(self, item: Node) -> str:
        return " " * item.column + self.text[item.start : item.end]

    def _exchanged(
        self, items: Sequence[Node], start: int, end: int, lines: Sequence[str]
    ) -> _Splicer:
        """Return the text with other lines for the items from `start` to before `end`."""
        if start:
            made = self._add_lines(self._last(items[start - 1].end), lines) if lines else self.text
            shift = len(made) - len(self.text)
        else:
            first = self._line_start(items[0].start)
            added = "".join(line + self.style.newline for line in lines)
            made, shift = self._cut(first, first, added), len(added)
        step = _Splicer(made, self.style)
        for item in reversed(items[start:end]):
            step._dash_at(item, shift)
            step = _Splicer(step._without_lines(item.start + shift, item.end + shift), self.style)
        return step

    def _dash_at(self, item: Node, shift: int) -> None:
        if not re.fullmatch(r"\s*-\s+", self._before(item.start + shift)):
            raise NotSplicedError
