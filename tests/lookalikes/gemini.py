"""Google's Gemini API: `generateContent` and `streamGenerateContent?alt=sse`, and `countTokens`.

Source: https://ai.google.dev/api/generate-content, https://ai.google.dev/api/caching#Schema and
https://ai.google.dev/gemini-api/docs/thought-signatures; the words of the errors are those that
its users quote. Fields are taken in camelCase and in snake_case, as protobuf's JSON mapping does.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.lookalikes.script import Asked, Json, Reply, pieces
from tests.lookalikes.server import Lookalike, Refused, sse

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
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}
_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_IMAGES = ("image/", "application/pdf", "text/", "audio/", "video/")
SIGNATURE = base64.b64encode(b"thought signature+/of a look-alike??>").decode()
"""With `+` or `/` and `=` in it, as real ones have."""


class Gemini(Lookalike):
    """Models whose names start with `gemini-3` want their thought signatures back, as real ones do."""

    paths = ("/{version}/models/{call}",)

    def __init__(self, *, most_tokens: int | None = None) -> None:
        super().__init__()
        self._most_tokens = most_tokens
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        counting = Route("/{version}/models/{model}:countTokens", self._count, methods=["POST"])
        return [counting, *super().routes()]

    async def _count(self, request: Request) -> Response:
        await self._record(request)
        return JSONResponse({"totalTokens": 11})

    def check(self, request: Request, body: Json) -> None:
        _check_key(request)
        call = request.path_params["call"]
        if call.partition(":")[2] not in ("generateContent", "streamGenerateContent"):
            raise Refused(404, f"models/{call} is not found for API version v1beta.")
        _known(body, "", "")
        contents = body.get("contents")
        if not contents:
            raise Refused(400, "* GenerateContentRequest.contents: contents is not specified\n")
        self._check_config(_get(body, "generationConfig") or {})
        for index, content in enumerate(contents):
            _check_content(content, f"contents[{index}]")
        system = _get(body, "systemInstruction")
        if system is not None:
            _check_content({"role": "user", **system}, "system_instruction")
        _check_tools(body)
        _check_turns(contents)
        if call.startswith("gemini-3"):
            _check_signatures(contents)

    def _check_config(self, config: Json) -> None:
        _known(config, "generation_config", "generation_config")
        thinking = _get(config, "thinkingConfig") or {}
        _known(thinking, "thinking_config", "generation_config.thinking_config")
        both = _get(thinking, "thinkingBudget"), _get(thinking, "thinkingLevel")
        if None not in both:
            raise Refused(400, "You can only set only one of thinking budget and thinking level.")
        count = _get(config, "maxOutputTokens")
        if count is not None and self._most_tokens and count > self._most_tokens:
            said = (
                "Unable to submit request because it has a maxOutputTokens value of"
                f" {count} but the supported range is from 1 (inclusive) to"
                f" {self._most_tokens + 1} (exclusive)."
            )
            raise Refused(400, said)

    def asked(self, body: Json) -> Asked:
        tools = [
            (f["name"], _get(f, "parametersJsonSchema") or _plain(f.get("parameters") or {}))
            for tool in body.get("tools") or ()
            for f in _get(tool, "functionDeclarations") or ()
        ]
        calling = _get(_get(body, "toolConfig") or {}, "functionCallingConfig") or {}
        if calling.get("mode") == "NONE":
            tools = []
        parts = body["contents"][-1]["parts"]
        results = [r for part in parts if (r := _get(part, "functionResponse"))]
        said = " ".join(part["text"] for part in parts if "text" in part)
        result = " ".join(str(r["response"]) for r in results) if results else None
        return Asked(tools, said, result)

    def streams(self, request: Request, body: Json) -> bool:
        return bool(request.path_params["call"].endswith(":streamGenerateContent"))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        number = next(self._numbers)
        if reply.blocked:
            yield sse(_blocked(reply, number), end="\r\n\r\n")
            return
        parts = [[part] for part in self._parts(reply, body, pieces)] or [[]]
        if reply.calls_come == "together":
            first = len(parts) - len(reply.calls)
            parts[first:] = [[part for (part,) in parts[first:]]]
        for group in parts[:-1]:
            yield sse(self._answer_of(reply, number, group, None), end="\r\n\r\n")
        yield sse(self._answer_of(reply, number, parts[-1], _finish(reply)), end="\r\n\r\n")

    def whole(self, reply: Reply, body: Json) -> Json:
        number = next(self._numbers)
        if reply.blocked:
            return _blocked(reply, number)
        parts = self._parts(reply, body, lambda text: [text] if text else [])
        return self._answer_of(reply, number, parts, _finish(reply))

    def _parts(self, reply: Reply, body: Json, split: Any) -> list[Json]:
        """Calls come whole, and the first carries the signature of the thoughts that led to it."""
        config = _get(body, "generationConfig") or {}
        thinks = _get(config, "thinkingConfig") or {}
        tells = _get(thinks, "includeThoughts")
        thoughts = split(reply.thinking) if tells else []
        parts: list[Json] = [{"text": piece, "thought": True} for piece in thoughts]
        parts += [{"text": piece} for piece in split(reply.text)]
        for index, call in enumerate(reply.calls):
            part: Json = {"functionCall": {"name": call.name, "args": call.arguments}}
            if index == 0:
                part["thoughtSignature"] = SIGNATURE
            parts.append(part)
        return parts

    def _answer_of(self, reply: Reply, number: int, parts: list[Json], finish: str | None) -> Json:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        if not parts:
            del candidate["content"]
        given, made = reply.tokens
        usage = {"promptTokenCount": given, "candidatesTokenCount": made}
        return {
            "candidates": [candidate],
            "usageMetadata": {**usage, "totalTokenCount": given + made},
            "modelVersion": "gemini-look-alike",
            "responseId": f"response-{number}",
        }

    def error(self, status: int, message: str, **detail: Any) -> Json:
        error: Json = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
        return {"error": {**error, **({"details": [detail]} if detail else {})}}

    def late_error(self, message: str) -> bytes:
        return sse(self.error(500, message), end="\r\n\r\n")


def _finish(reply: Reply) -> str | None:
    return None if reply.no_finish else reply.finish_word or _FINISH[reply.finish]


def _blocked(reply: Reply, number: int) -> Json:
    """https://ai.google.dev/api/generate-content#PromptFeedback: there are no candidates."""
    return {
        "promptFeedback": {"blockReason": reply.blocked},
        "usageMetadata": {"promptTokenCount": reply.tokens[0], "totalTokenCount": reply.tokens[0]},
        "modelVersion": "gemini-look-alike",
        "responseId": f"response-{number}",
    }


def _check_key(request: Request) -> None:
    if not (request.headers.get("x-goog-api-key") or request.query_params.get("key")):
        said = "Method doesn't allow unregistered callers (callers without established identity)."
        raise Refused(403, said)


def _snake(name: str) -> str:
    return re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", name)


def _get(value: Json, name: str) -> Any:
    return value.get(name, value.get(_snake(name)))


def _known(value: object, kind: str, where: str) -> None:
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


def _check_content(content: Json, where: str) -> None:
    _known(content, "content", where)
    if content.get("role", "user") not in ("user", "model", "function"):
        raise Refused(400, "Please use a valid role: user, model.")
    if not content.get("parts"):
        said = f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.\n"
        raise Refused(400, said)
    for index, part in enumerate(content["parts"]):
        _check_part(part, f"{where}.parts[{index}]")


def _check_part(part: Json, where: str) -> None:
    _known(part, "part", where)
    data = [n for n in ("text", "inlineData", "fileData", "functionCall") if _has(part, n)]
    data += [n for n in ("functionResponse",) if _has(part, n)]
    if len(data) != 1:
        said = f"* GenerateContentRequest.{where}.data: required oneof field 'data' must have one initialized field\n"
        raise Refused(400, said)
    if data != ["text"]:
        kind = _snake(data[0])
        _known(_get(part, data[0]), kind, f"{where}.{kind}")
    for name in ("functionCall", "functionResponse"):
        if _has(part, name) and not _NAME.fullmatch(str(_get(part, name).get("name"))):
            raise Refused(400, f"* GenerateContentRequest.{where}.name: Name cannot be empty.")
    if _has(part, "inlineData"):
        _check_blob(_get(part, "inlineData"), f"{where}.inline_data")
    response = (_get(part, "functionResponse") or {}).get("response", {})
    if not isinstance(response, dict):
        raise Refused(400, f"Invalid value at '{where}.function_response.response' (Struct)")


def _has(part: Json, name: str) -> bool:
    return _get(part, name) is not None


def _check_blob(blob: Json, where: str) -> None:
    kind = str(_get(blob, "mimeType"))
    if not kind.startswith(_IMAGES):
        raise Refused(400, f"Unsupported MIME type: {kind}")
    try:
        base64.b64decode(str(blob.get("data")), validate=True)
    except binascii.Error as e:
        said = f"Invalid value at '{where}.data' (TYPE_BYTES), Base64 decoding failed."
        raise Refused(400, said) from e


def _check_tools(body: Json) -> None:
    for index, tool in enumerate(body.get("tools") or ()):
        _known(tool, "tool", f"tools[{index}]")
        for number, function in enumerate(_get(tool, "functionDeclarations") or ()):
            where = f"tools[{index}].function_declarations[{number}]"
            _known(function, "function_declaration", where)
            if not _NAME.fullmatch(str(function.get("name"))):
                said = (
                    f"* GenerateContentRequest.{where}.name: Invalid function name. Must start with"
                    " a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores"
                    " (_), dots (.), colons (:) or dashes (-), with a maximum length of 64.\n"
                )
                raise Refused(400, said)
            if function.get("parameters") is not None:
                _check_schema(function["parameters"], f"{where}.parameters")
    config = _get(body, "toolConfig") or {}
    _known(config, "tool_config", "tool_config")
    calling = _get(config, "functionCallingConfig") or {}
    _known(calling, "function_calling_config", "tool_config.function_calling_config")
    if calling.get("mode", "AUTO") not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        raise Refused(400, "Invalid value at 'tool_config.function_calling_config.mode'")


def _check_schema(schema: Json, where: str) -> None:
    """The OpenAPI subset that `parameters` takes: no `$schema`, no `additionalProperties`, …"""
    _known(schema, "schema", where)
    kind = schema.get("type")
    if isinstance(kind, list):
        said = (
            f"Invalid JSON payload received. Unknown name \"type\" at '{where}': Proto field is not"
            " repeating, cannot start list."
        )
        raise Refused(400, said)
    if kind is not None and str(kind).upper() not in _TYPES:
        raise Refused(400, f"Invalid value at '{where}.type' (Type), \"{kind}\"")
    if str(kind).upper() == "ARRAY" and not schema.get("items"):
        raise Refused(400, f"* GenerateContentRequest.{where}.items: missing field.\n")
    if schema.get("enum") and not all(isinstance(e, str) for e in schema["enum"]):
        raise Refused(400, f"Invalid value at '{where}.enum[0]' (TYPE_STRING)")
    properties = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in properties:
            said = f"* GenerateContentRequest.{where}.required: property is not defined: {name}\n"
            raise Refused(400, said)
    for index, value in enumerate(properties.values()):
        _check_schema(value, f"{where}.properties[{index}].value")
    if schema.get("items"):
        _check_schema(schema["items"], f"{where}.items")
    for index, value in enumerate(_get(schema, "anyOf") or ()):
        _check_schema(value, f"{where}.any_of[{index}]")


def _check_turns(contents: list[Json]) -> None:
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


def _check_signatures(contents: list[Json]) -> None:
    """In the running turn, the first call of each step carries the signature that came with it."""
    start = 0
    for index, content in enumerate(contents):
        answers = any(_has(part, "functionResponse") for part in content["parts"])
        if content.get("role", "user") == "user" and not answers:
            start = index
    for content in contents[start:]:
        first = next((p for p in content["parts"] if _has(p, "functionCall")), None)
        if first is not None and not _get(first, "thoughtSignature"):
            name = _get(first, "functionCall")["name"]
            said = (
                "Function call is missing a thought_signature in functionCall parts. This is"
                " required for tools to work correctly, and missing thought_signature may lead to"
                f" degraded model performance. Additional data, function call `default_api:{name}`."
            )
            raise Refused(400, said)


def _plain(schema: Json) -> Json:
    """With the names of types as JSON Schema has them."""
    kind = {"type": str(schema["type"]).lower()} if "type" in schema else {}
    properties = {n: _plain(v) for n, v in (schema.get("properties") or {}).items()}
    items = {"items": _plain(schema["items"])} if schema.get("items") else {}
    return {**schema, **kind, **items, "properties": properties}
