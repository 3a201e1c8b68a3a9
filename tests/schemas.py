"""Whether a row is as its published schema says."""

from __future__ import annotations

import json
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
