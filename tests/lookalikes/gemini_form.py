"""What a body of `generateContent` may hold. Each check raises Refused.

Sources: https://ai.google.dev/api/caching#Schema and #Part, and the reports beside each rule.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_FIELDS: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            "contents",
            "tools",
            "toolConfig",
            "safetySettings",
            "systemInstruction",
            "generationConfig",
            "cachedContent",
            "serviceTier",
            "store",
            "model",
        }
    ),
    "generation_config": frozenset(
        {
            "stopSequences",
            "responseMimeType",
            "responseSchema",
            "responseJsonSchema",
            "responseModalities",
            "candidateCount",
            "maxOutputTokens",
            "temperature",
            "topP",
            "topK",
            "seed",
            "presencePenalty",
            "frequencyPenalty",
            "responseLogprobs",
            "logprobs",
            "thinkingConfig",
            "imageConfig",
            "mediaResolution",
            "speechConfig",
        }
    ),
    "thinking_config": frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}),
    "content": frozenset({"role", "parts"}),
    "part": frozenset(
        {
            "text",
            "thought",
            "thoughtSignature",
            "inlineData",
            "fileData",
            "functionCall",
            "functionResponse",
            "executableCode",
            "codeExecutionResult",
            "mediaResolution",
        }
    ),
    "inline_data": frozenset({"mimeType", "data"}),
    "file_data": frozenset({"mimeType", "fileUri"}),
    "function_call": frozenset({"id", "name", "args"}),
    "function_response": frozenset({"id", "name", "response", "parts", "willContinue"}),
    "tool": frozenset(
        {
            "functionDeclarations",
            "googleSearch",
            "googleSearchRetrieval",
            "codeExecution",
            "urlContext",
        }
    ),
    "function_declaration": frozenset(
        {
            "name",
            "description",
            "parameters",
            "parametersJsonSchema",
            "response",
            "responseJsonSchema",
            "behavior",
        }
    ),
    "tool_config": frozenset({"functionCallingConfig", "retrievalConfig"}),
    "function_calling_config": frozenset({"mode", "allowedFunctionNames"}),
    "schema": frozenset(
        {
            "type",
            "format",
            "title",
            "description",
            "nullable",
            "enum",
            "maxItems",
            "minItems",
            "properties",
            "required",
            "minProperties",
            "maxProperties",
            "minLength",
            "maxLength",
            "pattern",
            "example",
            "anyOf",
            "propertyOrdering",
            "default",
            "items",
            "minimum",
            "maximum",
        }
    ),
}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_KINDS = (
    *(f"image/{kind}" for kind in ("png", "jpeg", "webp", "heic", "heif")),
    "application/pdf",
    *("text/", "audio/", "video/"),
)
"""https://ai.google.dev/gemini-api/docs/image-understanding: no GIF."""


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", name)


def get(value: Json, name: str) -> Any:
    return value.get(name, value.get(_snake(name)))


def known(value: object, kind: str, where: str) -> None:
    if not isinstance(value, dict):
        raise Refused(400, f"Invalid value at '{where}' ({kind}), expected an object.")
    known = _FIELDS[kind] | {_snake(name) for name in _FIELDS[kind]}
    for name in value:
        if name not in known:
            at = f" at '{where}'" if where else ""
            said = f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            violation = {"field": where, "description": said}
            kind = "type.googleapis.com/google.rpc.BadRequest"
            raise Refused(400, said, **{"@type": kind, "fieldViolations": [violation]})


def check_content(content: Json, where: str) -> None:
    known(content, "content", where)
    if content.get("role", "user") not in ("user", "model", "function"):
        raise Refused(400, "Please use a valid role: user, model.")
    if not content.get("parts"):
        said = f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.\n"
        raise Refused(400, said)
    for index, part in enumerate(content["parts"]):
        _check_part(part, f"{where}.parts[{index}]")


def _check_part(part: Json, where: str) -> None:
    known(part, "part", where)
    # an empty text counts as none: https://github.com/router-for-me/CLIProxyAPI/issues/1292
    data = ["text"] if part.get("text") else []
    data += [n for n in ("inlineData", "fileData", "functionCall") if _has(part, n)]
    data += [n for n in ("functionResponse",) if _has(part, n)]
    if len(data) != 1:
        said = f"* GenerateContentRequest.{where}.data: required oneof field 'data' must have one initialized field\n"
        raise Refused(400, said)
    if data != ["text"]:
        kind = _snake(data[0])
        known(get(part, data[0]), kind, f"{where}.{kind}")
    for name in ("functionCall", "functionResponse"):
        if _has(part, name) and not NAME.fullmatch(str(get(part, name).get("name"))):
            raise Refused(400, f"* GenerateContentRequest.{where}.name: Name cannot be empty.")
    if _has(part, "inlineData"):
        _check_blob(get(part, "inlineData"), f"{where}.inline_data")
    response = (get(part, "functionResponse") or {}).get("response", {})
    if not isinstance(response, dict):
        raise Refused(400, f"Invalid value at '{where}.function_response.response' (Struct)")


def _has(part: Json, name: str) -> bool:
    return get(part, name) is not None


def _check_blob(blob: Json, where: str) -> None:
    kind = str(get(blob, "mimeType"))
    if not kind.startswith(_KINDS):
        raise Refused(400, f"Unsupported MIME type: {kind}")
    try:
        base64.b64decode(str(blob.get("data")), validate=True)
    except binascii.Error as e:
        said = f"Invalid value at '{where}.data' (TYPE_BYTES), Base64 decoding failed."
        raise Refused(400, said) from e


def check_turns(contents: list[Json]) -> None:
    """Calls follow a turn of the user, and as many responses come right behind them."""
    waiting = 0
    before = ""
    for content in contents:
        made = sum(_has(part, "functionCall") for part in content["parts"])
        given = sum(_has(part, "functionResponse") for part in content["parts"])
        if given != waiting:
            said = (
                "Please ensure that the number of function response parts is equal to the number"
                " of function call parts of the function call turn."
            )
            raise Refused(400, said)
        if made and before not in ("user", "function"):
            said = (
                "Please ensure that function call turn comes immediately after a user turn or"
                " after a function response turn."
            )
            raise Refused(400, said)
        waiting, before = made, content.get("role", "user")
    if waiting:
        raise Refused(400, "Please ensure that single turn requests end with a user role.")


def check_signatures(contents: list[Json]) -> None:
    """In the running turn, the first call of each step carries the signature that came with it."""
    start = 0
    for index, content in enumerate(contents):
        answers = any(_has(part, "functionResponse") for part in content["parts"])
        if content.get("role", "user") == "user" and not answers:
            start = index
    for content in contents[start:]:
        first = next((p for p in content["parts"] if _has(p, "functionCall")), None)
        if first is not None and not get(first, "thoughtSignature"):
            name = get(first, "functionCall")["name"]
            said = (
                "Function call is missing a thought_signature in functionCall parts. This is"
                " required for tools to work correctly, and missing thought_signature may lead to"
                f" degraded model performance. Additional data, function call `default_api:{name}`."
            )
            raise Refused(400, said)
