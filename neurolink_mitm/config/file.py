"""Reads the configuration file, YAML or JSON, within bounds, and has it checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import yaml

from neurolink_mitm.config.document import LoadedConfig, parse
from neurolink_mitm.core.settings.errors import ConfigError

LARGEST = 1_000_000
"""Bytes of a file at most."""
MOST_NODES = 100_000
"""Values of a document at most, YAML aliases expanded."""
DEEPEST = 100
"""Levels of a document at most: libyaml's composer recurses on the C stack, where a deep one would crash."""

_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(
    path: Path, env: Mapping[str, str], *, required: bool = True, content: bytes | None = None
) -> LoadedConfig:
    """Read and check a configuration; `${VAR}` comes from `env`. `.json` is read as JSON, all else as YAML.

    A missing file is an empty configuration, unless it is `required`. `content` is checked in place of that of `path`.
    Raises `ConfigError`.
    """
    try:
        data = _content(path) if content is None else content
    except FileNotFoundError as e:
        if required:
            raise ConfigError(f"{path}: no such file") from e
        return parse(None, env)
    except OSError as e:
        raise ConfigError(f"{path}: can't be read: {e.strerror}") from e
    return parse(_checked(path, data), env)


def read_document(path: Path) -> object:
    """Return the document before `${VAR}` is resolved. Raises `ConfigError`, `OSError`."""
    return _checked(path, _content(path))


def is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def document_of(path: Path, content: bytes) -> object:
    """Return the document in `content`, that of `path`, before `${VAR}` is resolved. Raises `ConfigError`."""
    if len(content) > LARGEST:
        raise ConfigError(f"{path}: is larger than {LARGEST} bytes")
    return _checked(path, content)


def _checked(path: Path, data: bytes) -> object:
    try:
        return _document(data, is_json(path))
    except _Unreadable as e:
        raise ConfigError(*(f"{path}: {line}" for line in e.lines)) from e.__cause__


class _Mark(Protocol):
    """A place in a file; libyaml's and PyYAML's own have no common type."""

    line: int
    column: int


class _Unreadable(Exception):
    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ConfigError(f"{path}: is larger than {LARGEST} bytes")
    return data


def _document(data: bytes, json_file: bool) -> object:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise _Unreadable("is not a text file (UTF-8)") from e
    return _json(text) if json_file else _yaml(text)


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object) if text.strip() else None
    except json.JSONDecodeError as e:
        raise _Unreadable(f"line {e.lineno}, column {e.colno}: {e.msg}") from e
    except ValueError as e:
        raise _Unreadable("holds a number that is too long") from e
    except RecursionError as e:
        raise _Unreadable("is nested too deeply") from e


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; `json` itself lets the last of two equal keys win in silence."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Unreadable(f"the key {json.dumps(twice)} is given twice in one place")
    return values


def _yaml(text: str) -> object:
    try:
        _check_depth(text)
        return _compose(text)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        raise _Unreadable(f"{_at(mark)}{e.problem or e.context}") from e
    except yaml.YAMLError as e:
        raise _Unreadable("holds characters that YAML does not allow") from e
    except ValueError as e:
        raise _Unreadable("holds a date or a number that can't be read") from e


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise _Unreadable(f"{_at(event.start_mark)}nested more than {DEEPEST} levels deep")


def _compose(text: str) -> object:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _weigh(node, {})
        if twice := list(dict.fromkeys(_twice(node))):
            raise _Unreadable(*twice)
        _keep_keys(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _weigh(node: yaml.Node, weights: dict[int, int]) -> int:
    """Return how many nodes this one is with aliases expanded, or refuse it if there are too many.

    An aliased node is the same object wherever it appears, and comes before its aliases: the recursion is no deeper
    than the text.
    """
    if (weight := weights.get(id(node))) is not None:
        return weight
    weights[id(node)] = MOST_NODES + 1  # for an alias inside of the node itself
    weight = weights[id(node)] = 1 + sum(_weigh(child, weights) for child in _children(node))
    if weight > MOST_NODES:
        raise _Unreadable(f"{_at(node.start_mark)}aliases expand to too many values")
    return weight


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _twice(node: yaml.Node) -> Iterator[str]:
    """Yield faults for keys that a mapping has twice, of which PyYAML lets the last one win in silence."""
    keys = [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    seen: set[str] = set()
    for key in keys:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            yield f"{_at(key.start_mark)}the key {json.dumps(key.value)} is given twice"
        elif isinstance(key, yaml.ScalarNode):
            seen.add(key.value)
    for child in _children(node):
        yield from _twice(child)


def _keep_keys(node: yaml.Node) -> None:
    """Let keys like `on`, which are truth values to YAML 1.1, be read as the texts that they are to YAML 1.2."""
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.tag == _TRUTH:
            key.tag = _TEXT
    for child in _children(node):
        _keep_keys(child)


_TRUTH, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"


def _at(mark: _Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
