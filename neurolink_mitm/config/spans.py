"""Where the values of a YAML or JSON text stand: a tree of nodes with their first and last character."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import yaml

_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Mark(Protocol):
    """A place in a text; libyaml's and PyYAML's own have no common type."""

    @property
    def index(self) -> int: ...


Kind = Literal["scalar", "alias", "mapping", "sequence"]


@dataclass(slots=True)
class Node:
    """A value at `text[start:end]`. A collection ends with the last value in it, not with comments behind that."""

    kind: Kind
    start: int
    end: int
    column: int
    flow: bool = False
    """Whether it is written in brackets."""
    value: str = ""
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing is written where a value could be."""
        return self.kind == "scalar" and self.start == self.end

    def pair(self, key: str) -> tuple[Node, Node] | None:
        """Return a key of a mapping with its value."""
        return next((pair for pair in self.pairs if pair[0].value == key), None)


def tree(text: str) -> Node | None:
    """Return the tree of a text of one document; None where there is none. Raises `yaml.YAMLError`."""
    # JSON may be indented by tabs, which YAML forbids; within its strings there are none
    plain = text.replace("\t", " ") if text.lstrip().startswith(("{", "[")) else text
    events = yaml.parse(plain, Loader=_Loader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            return _node(plain, next(events), events)
    return None


def _node(text: str, event: yaml.Event, events: Iterator[yaml.Event]) -> Node:
    start, end = _index(event.start_mark), _index(event.end_mark)
    column = start - (text.rfind("\n", 0, start) + 1)
    match event:
        case yaml.AliasEvent():
            return Node("alias", start, end, column)
        case yaml.ScalarEvent():
            end = max(start, len(text[:end].rstrip())) if event.style in ("|", ">") else end
            return Node("scalar", start, end, column, value=event.value)
        case yaml.MappingStartEvent():
            node = Node("mapping", start, end, column, flow=bool(event.flow_style))
            for key in _children(text, node, events):
                node.pairs.append((key, _node(text, next(events), events)))
        case yaml.SequenceStartEvent():
            node = Node("sequence", start, end, column, flow=bool(event.flow_style))
            node.items.extend(_children(text, node, events))
        case _:
            raise yaml.YAMLError("no value")
    below = [value for _, value in node.pairs] or node.items
    if not node.flow and below:
        node.end = below[-1].end
        node.column = (node.pairs[0][0] if node.pairs else node).column
    return node


def _children(text: str, node: Node, events: Iterator[yaml.Event]) -> Iterator[Node]:
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            node.end = _index(event.end_mark)
            return
        yield _node(text, event, events)


def _index(mark: Mark | None) -> int:
    assert mark is not None
    return mark.index


def scalars(
    node: Node, loc: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Yield every scalar that is a value, and its place."""
    for key, value in node.pairs:
        yield from scalars(value, (*loc, key.value))
    for index, item in enumerate(node.items):
        yield from scalars(item, (*loc, index))
    if node.kind == "scalar" and not node.empty:
        yield loc, node
