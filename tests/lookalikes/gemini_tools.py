"""What Gemini takes as tools, and as its configuration. Each check raises Refused."""

from __future__ import annotations

import re
from typing import Any

from tests.lookalikes.gemini_form import NAME, get, known
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_FORMATS = {
    "STRING": ("enum", "date-time"),
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
}
"""https://github.com/google-gemini/gemini-cli/issues/3178"""
_BUDGETS = (("pro", 128, 32_768), ("flash-lite", 512, 24_576), ("flash", 1, 24_576))
"""https://ai.google.dev/gemini-api/docs/thinking#set-budget; 0 turns it off, but for pro, and -1 is dynamic."""
_MOST_STOPS = 5
_MOST_TOKENS = 65_536


def check_config(body: Json, model: str, most: int | None) -> None:
    """`most`: tokens of the largest answer."""
    config = get(body, "generationConfig") or {}
    known(config, "generation_config", "generation_config")
    count, most = get(config, "maxOutputTokens"), most or _MOST_TOKENS
    if count is not None and not 1 <= count <= most:
        said = (
            f"Unable to submit request because it has a maxOutputTokens value of {count} but the"
            f" supported range is from 1 (inclusive) to {most + 1} (exclusive)."
        )
        raise Refused(400, said)
    if len(get(config, "stopSequences") or ()) > _MOST_STOPS:
        raise Refused(400, "The number of stop sequences must be at most 5.")
    if not 0 <= (get(config, "temperature") or 0) <= 2:
        raise Refused(400, "Invalid value for temperature: must be between 0.0 and 2.0.")
    _check_thinking(get(config, "thinkingConfig") or {}, model)
    schema = get(config, "responseSchema")
    if schema is not None:
        check_schema(schema, "generation_config.response_schema")
    _check_mime(body, config, model)


def _check_thinking(thinking: Json, model: str) -> None:
    known(thinking, "thinking_config", "generation_config.thinking_config")
    budget, level = get(thinking, "thinkingBudget"), get(thinking, "thinkingLevel")
    if budget is not None and level is not None:
        raise Refused(400, "You can only set only one of thinking budget and thinking level.")
    if level is not None and not model.startswith("gemini-3"):
        raise Refused(400, "Thinking level is not supported for this model.")
    if budget in (None, -1) or model.startswith("gemini-3"):
        return
    low, high = next(((low, high) for name, low, high in _BUDGETS if name in model), (0, 1_000_000))
    if budget == 0 and "pro" in model:
        # https://github.com/ChatLunaLab/chatluna/issues/519
        raise Refused(400, "Budget 0 is invalid. This model only works in thinking mode.")
    if budget and not low <= budget <= high:
        said = f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}."
        raise Refused(400, said)


def _check_mime(body: Json, config: Json, model: str) -> None:
    """https://github.com/googleapis/python-genai/issues/867; Gemini 3 can do both."""
    mime = get(config, "responseMimeType")
    if mime == "application/json" and _declared(body) and not model.startswith("gemini-3"):
        said = "Function calling with a response mime type: 'application/json' is unsupported"
        raise Refused(400, said)
    if (get(config, "responseSchema") or get(config, "responseJsonSchema")) and not mime:
        raise Refused(400, "only allowed when response_mime_type is application/json")


def _declared(body: Json) -> list[Json]:
    tools = body.get("tools") or ()
    return [each for tool in tools for each in get(tool, "functionDeclarations") or ()]


def check_tools(body: Json, model: str) -> None:
    """Declarations, their schemas, and what is said of calling them."""
    for index, tool in enumerate(body.get("tools") or ()):
        known(tool, "tool", f"tools[{index}]")
        for number, function in enumerate(get(tool, "functionDeclarations") or ()):
            _check_function(function, f"tools[{index}].function_declarations[{number}]")
    names = [function["name"] for function in _declared(body)]
    again = next((name for name in names if names.count(name) > 1), None)
    if again:
        # https://github.com/googleapis/dotnet-genai/issues/189
        raise Refused(400, f"Duplicate function declaration found: {again}")
    _check_calling(body, names)


def _check_function(function: Json, where: str) -> None:
    known(function, "function_declaration", where)
    if not NAME.fullmatch(str(function.get("name"))):
        # https://github.com/kaitranntt/ccs/issues/25
        said = (
            f"* GenerateContentRequest.{where}.name: Invalid function name. Must start with"
            " a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores"
            " (_), dots (.), colons (:) or dashes (-), with a maximum length of 64.\n"
        )
        raise Refused(400, said)
    if function.get("parameters") is not None:
        if get(function, "parametersJsonSchema") is not None:
            raise Refused(400, f"{where}: only one of parameters and parameters_json_schema")
        check_schema(function["parameters"], f"{where}.parameters")
    plain = get(function, "parametersJsonSchema")
    if plain is not None and (not isinstance(plain, dict) or plain.get("type") != "object"):
        raise Refused(400, f"{where}.parameters_json_schema: schema must be of type object")


def _check_calling(body: Json, names: list[str]) -> None:
    config = get(body, "toolConfig") or {}
    known(config, "tool_config", "tool_config")
    calling = get(config, "functionCallingConfig") or {}
    known(calling, "function_calling_config", "tool_config.function_calling_config")
    mode = calling.get("mode", "AUTO")
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        raise Refused(400, "Invalid value at 'tool_config.function_calling_config.mode'")
    if calling and not names:
        # https://github.com/musistudio/claude-code-router/pull/1207
        raise Refused(400, "Function calling config is set without function_declarations.")
    allowed = get(calling, "allowedFunctionNames") or ()
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise Refused(400, "Allowed function names should be set only when the mode is ANY.")
    missing = [name for name in allowed if name not in names]
    if missing:
        raise Refused(400, f"Allowed function name {missing[0]} is not declared.")


def check_schema(schema: Any, where: str) -> None:
    """The OpenAPI subset that `parameters` takes: no `$schema`, no `additionalProperties`, no booleans, …

    `items`: https://ai.google.dev/api/caching#Schema; empty objects: https://github.com/agno-agi/agno/issues/2112
    """
    known(schema, "schema", where)
    kind = schema.get("type")
    if isinstance(kind, list):
        said = (
            f"Invalid JSON payload received. Unknown name \"type\" at '{where}': Proto field is not"
            " repeating, cannot start list."
        )
        raise Refused(400, said)
    if kind is not None and str(kind).upper() not in _TYPES:
        raise Refused(400, f"Invalid value at '{where}.type' (Type), \"{kind}\"")
    at = f"* GenerateContentRequest.{_named(where)}"
    kind = str(kind).upper()
    properties = schema.get("properties")
    if kind == "OBJECT" and not properties:
        raise Refused(400, f"{at}.properties: should be non-empty for OBJECT type\n")
    if kind == "ARRAY" and schema.get("items") is None:
        raise Refused(400, f"{at}.items: missing field.\n")
    _check_enum(schema, kind, where, at)
    wanted = schema.get("format")
    if wanted is not None and kind in _FORMATS and wanted not in _FORMATS[kind]:
        formats = " and ".join(f"'{each}'" for each in _FORMATS[kind])
        raise Refused(400, f"{at}.format: only {formats} are supported for {kind} type\n")
    _check_inner(schema, properties or {}, where, at)


def _check_inner(schema: Json, properties: Json, where: str, at: str) -> None:
    for name in schema.get("required") or ():
        if name not in properties:
            raise Refused(400, f"{at}.required[0]: property is not defined\n")
    for index, value in enumerate(properties.values()):
        check_schema(value, f"{where}.properties[{index}].value")
    if schema.get("items") is not None:
        check_schema(schema["items"], f"{where}.items")
    for index, value in enumerate(get(schema, "anyOf") or ()):
        check_schema(value, f"{where}.any_of[{index}]")


def _check_enum(schema: Json, kind: str, where: str, at: str) -> None:
    """https://github.com/Bobsilvio/ha-claude/pull/32 and https://github.com/decolua/9router/issues/359"""
    for index, value in enumerate(schema.get("enum") or ()):
        if not isinstance(value, str):
            raise Refused(400, f"Invalid value at '{where}.enum[{index}]' (TYPE_STRING), {value}")
        if not value:
            raise Refused(400, f"{at}.enum[{index}]: cannot be empty\n")
        if kind != "STRING":
            raise Refused(400, f"{at}.enum: only allowed for STRING type\n")


def _named(where: str) -> str:
    return re.sub(r"\.properties\[(\d+)\]\.value", r".properties[\1]", where)
