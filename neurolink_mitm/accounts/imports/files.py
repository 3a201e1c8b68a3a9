"""Reads files of other programs within bounds; nothing is written, and no message holds their content."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from neurolink_mitm.accounts.imports.entries import Row, SourceError
from neurolink_mitm.adapters.files import read

LARGEST = 4_000_000
LARGEST_YAML = 500_000
"""Bytes: YAML is read a thousand times slower than JSON."""
DEEPEST = 50
_TOKENS = re.compile(
    r'"(?:[^"\\\n]|\\.)*+"?|//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?|,(?=\s*[}\]])', re.DOTALL
)
"""Strings, and what JSON5 has beyond JSON: comments and commas at the end.

The end of a string or comment may be missing: to look for it from each start would take squared time.
"""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""A safe loader, in C where there is one."""


def content(path: Path, largest: int = LARGEST) -> str:
    """Return the text of a file. Raises `SourceError`."""
    try:
        data = read(path, largest)
    except OSError as e:
        raise SourceError(f"{path} can't be read: {e.strerror or e}") from e
    except ValueError as e:
        raise SourceError(f"{path} is {e}") from e
    if data is None:
        raise SourceError(f"{path} is not there")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise SourceError(f"{path} is not a text file (UTF-8)") from e


def json_object(path: Path) -> Row:
    """Return the JSON object in a file, which may have comments. Raises `SourceError`."""
    return parsed(content(path), path)


def parsed(text: str, where: object) -> Row:
    """Return the object in a text of JSON, or of JSON with comments. Raises `SourceError`."""
    for each in (text, None):
        try:
            document = json.loads(_TOKENS.sub(_plain, text) if each is None else each)
        except RecursionError as e:
            raise SourceError(f"{where} is nested too deeply") from e
        except ValueError:
            continue
        if not isinstance(document, dict):
            raise SourceError(f"{where} is not a JSON object")
        return document
    raise SourceError(f"{where} is not JSON")


def yaml_object(path: Path) -> Row:
    """Return the mapping in a YAML file. Raises `SourceError`."""
    text = content(path, LARGEST_YAML)
    try:
        _check_yaml(text, path)
        document = yaml.load(text, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, ValueError) as e:
        raise SourceError(f"{path} is not YAML") from e
    except RecursionError as e:
        raise SourceError(f"{path} is nested too deeply") from e
    if document is not None and not isinstance(document, Mapping):
        raise SourceError(f"{path} is not a mapping")
    return {str(key): value for key, value in (document or {}).items()}


def rows(value: object) -> list[Row]:
    """Return the objects of a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _plain(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else " "


def _check_yaml(text: str, path: Path) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise SourceError(f"{path} has YAML aliases, which are not read")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise SourceError(f"{path} is nested too deeply")
