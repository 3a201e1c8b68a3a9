"""Is this an answer that OpenAI could have given, by the schema that OpenAI publishes?

    validate("CreateChatCompletionResponse", json.loads(answer))
    for event in events:
        validate_event(event)

`openai_schema.json` has what these answers need of the OpenAPI document, without its prose. It is made by
`python -m tests.openai_schema openapi.yml`; the document's address and digest are in it. The document is under the
licence of https://github.com/openai/openai-openapi (MIT).
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

Json = dict[str, Any]

DOCUMENT = "https://app.stainless.com/api/spec/documented/openai/openapi.documented.yml"
ROOTS = (
    "Response",
    "ResponseStreamEvent",
    "CreateChatCompletionResponse",
    "CreateChatCompletionStreamResponse",
    "CreateEmbeddingResponse",
    "ErrorResponse",
    "ListModelsResponse",
    "Model",
)
_FILE = Path(__file__).with_suffix(".json")
_REF = "#/components/schemas/"
_PROSE = frozenset({"description", "title", "example", "examples", "deprecated"})


def validate(schema: str, value: object) -> None:
    """Raise an `AssertionError` that names the field where `value` is not of `schema`."""
    error = best_match(_validator(schema).iter_errors(value))
    assert error is None, f"{schema}: {error.json_path}: {error.message}"


def validate_event(event: Json) -> None:
    """Raise an `AssertionError` where `event`, the data of one event, is none of a streamed response."""
    assert event.get("type") in _events(), f"unknown type of event: {event}"
    validate(_events()[event["type"]], event)


@cache
def _schemas() -> Json:
    schemas: Json = _with_null(json.loads(_FILE.read_bytes())["schemas"])
    return schemas


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": _REF + schema, "components": {"schemas": _schemas()}})


@cache
def _events() -> dict[str, str]:
    """Return the schema of each event of a streamed response by the event's type."""
    names = [
        branch["$ref"].removeprefix(_REF) for branch in _schemas()["ResponseStreamEvent"]["anyOf"]
    ]
    return {_schemas()[name]["properties"]["type"]["enum"][0]: name for name in names}


def _with_null(value: Any) -> Any:
    """Return a schema in which `nullable`, OpenAPI 3.0's word, is JSON Schema's union with null."""
    if isinstance(value, list):
        return [_with_null(member) for member in value]
    if not isinstance(value, dict):
        return value
    bare = {key: _with_null(member) for key, member in value.items() if key != "nullable"}
    return {"anyOf": [bare, {"type": "null"}]} if value.get("nullable") is True else bare


def _without_prose(value: Any, *, named: bool = False) -> Any:
    """Return a schema without what checks nothing. `named`: its keys are names of properties.

    A union is of any one: its members are told apart by `type`, and one may look like another beside that.
    """
    if isinstance(value, list):
        return [_without_prose(member) for member in value]
    if not isinstance(value, dict):
        return value
    left = value.items() if named else _checking(value)
    return {
        "anyOf" if key == "oneOf" and not named else key: _without_prose(
            member, named=key == "properties" and not named
        )
        for key, member in left
    }


def _checking(schema: Json) -> list[tuple[str, Any]]:
    return [
        (key, member)
        for key, member in schema.items()
        if key not in _PROSE and key != "discriminator" and not key.startswith("x-")
    ]


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].removeprefix(_REF)} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(_references, value.values()))


def _extract(document: bytes) -> str:
    """Return the JSON with the schemas that `ROOTS` need, a line each."""
    every = yaml.load(document, yaml.CSafeLoader)["components"]["schemas"]
    schemas: Json = {}
    todo = set(ROOTS)
    while todo:
        name = todo.pop()
        schemas[name] = _without_prose(every[name])
        todo |= _references(schemas[name]) - schemas.keys()
    source = {"url": DOCUMENT, "sha256": hashlib.sha256(document).hexdigest()}
    lines = (f"{json.dumps(name)}: {json.dumps(schemas[name])}" for name in sorted(schemas))
    return f'{{"source": {json.dumps(source)},\n"schemas": {{\n' + ",\n".join(lines) + "\n}}\n"


if __name__ == "__main__":
    _FILE.write_text(_extract(Path(sys.argv[1]).read_bytes()))
