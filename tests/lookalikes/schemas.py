"""What providers take as the schema of a tool's input. Each raises ValueError with the provider's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE = ("items", "not", "additionalProperties", "if", "then", "else", "contains", "propertyNames")
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")


def walk(schema: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every schema in `schema` with the path to it, itself first."""
    todo = [(path, schema)]
    while todo:
        at, each = todo.pop()
        yield at, each
        if not isinstance(each, dict):
            continue
        for word in _ONE:
            if word in each:
                todo.append(((*at, word), each[word]))
        for word in _MANY:
            inner = each.get(word)
            if isinstance(inner, list):
                todo += [((*at, word, str(i)), value) for i, value in enumerate(inner)]
        for word in _NAMED:
            inner = each.get(word)
            if isinstance(inner, dict):
                todo += [((*at, word, name), value) for name, value in inner.items()]


def kinds(schema: Json) -> list[object]:
    """Return the types that a schema names."""
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]


def openai(name: object, schema: object) -> None:
    """Check by OpenAI's rules for a function that is not strict.

    "object schema missing properties": https://github.com/spring-projects/spring-ai/issues/4776
    "array schema missing items": https://github.com/sigoden/aichat/pull/1049
    "[] is not of type 'object', 'boolean'": https://github.com/FoundationAgents/OpenManus/issues/1162
    "not have 'oneOf' … at the top level": https://github.com/nspady/google-calendar-mcp/issues/39
    """
    said = f"Invalid schema for function '{name}': "
    if not isinstance(schema, dict):
        raise ValueError(f"{said}{schema!r} is not of type 'object'.")
    if schema.get("type") != "object":
        kind = schema.get("type")
        raise ValueError(
            f"{said}schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
        )
    if any(word in schema for word in ("oneOf", "anyOf", "allOf", "enum", "not")):
        raise ValueError(
            f"{said}schema must have type 'object' and not have"
            " 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
        )
    if not isinstance(schema.get("properties"), dict):
        raise ValueError(f"{said}In context=(), object schema missing properties.")
    for path, each in walk(schema):
        if not isinstance(each, dict | bool):
            raise ValueError(f"{said}{each!r} is not of type 'object', 'boolean'.")
        if isinstance(each, dict):
            _openai_part(said, path, each)


def _openai_part(said: str, path: tuple[str, ...], schema: Json) -> None:
    if "array" in kinds(schema) and "items" not in schema:
        raise ValueError(f"{said}In context={path}, array schema missing items.")
    for word, wanted in (("required", list), ("enum", list), ("properties", dict)):
        if word in schema and not isinstance(schema[word], wanted):
            raise ValueError(f"{said}In context={path}, {schema[word]!r} is not a valid '{word}'.")


def strict(name: object, schema: object) -> None:
    """Check by OpenAI's rules for strict schemas and formats.

    https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
    """
    said = f"Invalid schema for response_format '{name}': "
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError(f"{said}schema must be a JSON Schema of 'type: \"object\"'.")
    for path, each in walk(schema):
        if path and path[-1] == "additionalProperties":
            continue
        if not isinstance(each, dict):
            raise ValueError(f"{said}{each!r} is not of type 'object'.")
        if "object" in kinds(each):
            _strict_object(said, path, each)
        elif not any(word in each for word in ("type", "$ref", "anyOf", "enum", "const")):
            raise ValueError(f"{said}In context={path}, schema must have a 'type' key.")
        for word in ("allOf", "oneOf", "not", "if", "patternProperties"):
            if word in each:
                raise ValueError(f"{said}In context={path}, '{word}' is not permitted.")


def _strict_object(said: str, path: tuple[str, ...], schema: Json) -> None:
    if schema.get("additionalProperties") is not False:
        raise ValueError(
            f"{said}In context={path}, 'additionalProperties' is required to be supplied and to be"
            " false."
        )
    missing = set(schema.get("properties") or {}) ^ set(schema.get("required") or ())
    if missing:
        raise ValueError(
            f"{said}In context={path}, 'required' is required to be supplied and to be an array"
            f" including every key in properties. Missing '{min(missing)}'."
        )


def moonshot(name: object, schema: object) -> None:
    """Check by "moonshot flavored json schema".

    `type` of the whole: https://github.com/Hmbown/Codewhale/issues/3265
    "type is not defined", `anyOf`: https://github.com/MoonshotAI/kimi-cli/issues/1595
    "required must be an array": https://github.com/NousResearch/hermes-agent/issues/66835
    "references must start with": https://github.com/CommandCodeAI/command-code/issues/594
    """
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError(
            'Invalid request: tools.function.parameters.type is required and must be "object"'
        )
    for path, each in walk(schema):
        if path and path[-1] in ("additionalProperties", "$defs", "definitions"):
            continue
        where = ".".join(path) or "root"
        if fault := _moonshot_fault(each):
            raise ValueError(
                "Invalid request: tools.function.parameters is not a valid moonshot flavored json"
                f" schema, details: <At path '{where}': {fault}>"
            )


def _moonshot_fault(schema: object) -> str | None:
    if not isinstance(schema, dict):
        return "schema must be an object"
    reference = schema.get("$ref")
    if reference is not None:
        if not str(reference).startswith("#/$defs/"):
            return "references must start with #/$defs/"
        extra = [word for word in schema if word not in ("$ref", "title")]
        return f"conflicting keywords found after $ref expansion: {extra[0]}" if extra else None
    if "anyOf" in schema:
        if "type" in schema:
            return (
                "when using anyOf, type should be defined in anyOf items instead of the parent"
                " schema"
            )
        return None
    if "type" not in schema:
        return "type is not defined"
    if "required" in schema and not isinstance(schema["required"], list):
        return "required must be an array"
    return None


def draft7(name: object, schema: object) -> None:
    """Check that it is a JSON Schema at all, as mistral-common does (`Draft7Validator.check_schema`)."""
    if not isinstance(schema, dict):
        raise ValueError(f"Invalid tool schema: {schema!r} is not of type 'object'")
    for path, each in walk(schema):
        if not isinstance(each, dict | bool | list):
            raise ValueError(f"Invalid tool schema: {each!r} at {path} is not of type 'object'")
        if isinstance(each, list) and path[-1] != "items":
            raise ValueError(f"Invalid tool schema: {each!r} is not of type 'object', 'boolean'")
        if isinstance(each, dict) and not isinstance(each.get("required", []), list):
            raise ValueError(f"Invalid tool schema: {each['required']!r} is not of type 'array'")
