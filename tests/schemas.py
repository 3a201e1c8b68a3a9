"""Whether a row is as its published schema says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

DIRECTORY = Path(__file__).parents[1] / "docs" / "schemas"


@cache
def validator(family: str) -> Draft202012Validator:
    schema = json.loads((DIRECTORY / f"log-{family}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(family: str, row: Any) -> list[str]:
    """What is wrong with a line, or a stored body, of that family; a field that no schema has is wrong, too."""
    check = validator(family)
    unknown = row.keys() - check.schema["properties"].keys()
    wrong = [f"{error.json_path}: {error.message}" for error in check.iter_errors(row)]
    return [*wrong, *(f"{name}: not in the schema" for name in sorted(unknown))]


def family_of(path: Path) -> str:
    """Of a file of rows."""
    return path.name[: -len("-YYYY-MM-DD.jsonl")]


def faults_below(logs: Path) -> list[str]:
    """What is wrong with the rows and bodies that proxies have written there."""
    return [
        f"{path.name}: {fault}" for path, kind, row in _written(logs) for fault in faults(kind, row)
    ]


def _written(logs: Path) -> Iterator[tuple[Path, str, Any]]:
    for path in (*logs.glob("proxy-*.jsonl"), *logs.glob("audit-*.jsonl")):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):  # torn, when a proxy was killed
                yield path, family_of(path), json.loads(line)
    for path in logs.glob("bodies/*/*/*.json.gz"):
        packed = path.read_bytes()
        with suppress(EOFError):  # torn, too; of one of which nothing was written there is no JSON
            if packed:
                yield path, "body", json.loads(gzip.decompress(packed))
