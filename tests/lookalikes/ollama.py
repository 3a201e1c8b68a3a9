"""Ollama: `/api/chat` with its lines of JSON, `/api/show`, `/api/tags`, `/api/version`.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md. It is written in Go: fields that it
doesn't know are passed over, but one of the wrong type is an error.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.lookalikes.script import Asked, Json, Reply, pieces
from tests.lookalikes.server import Lookalike, Refused

_FINISH = {"stop": "stop", "length": "length", "filter": "stop"}


class Ollama(Lookalike):
    """`capabilities` are those of its only model; without `tools` or `thinking` it refuses them."""

    paths = ("/api/chat",)
    stream_type = "application/x-ndjson"

    def __init__(
        self,
        model: str = "qwen3",
        capabilities: tuple[str, ...] = ("completion", "tools", "thinking", "vision"),
    ) -> None:
        super().__init__()
        self._model = model
        self._capabilities = capabilities
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            Route("/api/show", self._show, methods=["POST"]),
            Route("/api/tags", self._tags),
            Route("/api/version", self._version),
        ]

    async def _show(self, request: Request) -> Response:
        received = await self._record(request)
        name = received.body.get("model", received.body.get("name"))
        if name != self._model:
            return JSONResponse({"error": f"model '{name}' not found"}, 404)
        family = {"family": "qwen3", "families": ["qwen3"], "format": "gguf"}
        return JSONResponse(
            {
                "modelfile": "",
                "parameters": "",
                "template": "{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}",
                "details": {**family, "parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
                "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
                "capabilities": list(self._capabilities),
            }
        )

    async def _tags(self, request: Request) -> Response:
        await self._record(request)
        return JSONResponse({"models": [{"name": self._model, "model": self._model}]})

    async def _version(self, request: Request) -> Response:
        await self._record(request)
        return JSONResponse({"version": "0.12.6"})

    def check(self, request: Request, body: Json) -> None:
        if body.get("model") != self._model:
            raise Refused(404, f"model '{body.get('model')}' not found")
        if body.get("tools") and "tools" not in self._capabilities:
            raise Refused(400, f'"{self._model}" does not support tools')
        if body.get("think") and "thinking" not in self._capabilities:
            raise Refused(400, f'"{self._model}" does not support thinking')
        if body.get("think") not in (None, True, False, "low", "medium", "high"):
            said = f'invalid think value: "{body["think"]}" (must be "high", "medium", "low", true, or false)'
            raise Refused(400, said)
        for name, kind in (
            ("messages", list),
            ("tools", list),
            ("options", dict),
            ("stream", bool),
        ):
            _of_type(body, name, kind, "ChatRequest", name)
        if not isinstance(body.get("format", ""), str | dict | None):
            raise Refused(400, 'invalid format; expected "json" or a JSON schema')
        for message in body.get("messages") or ():
            _check_message(message)
        for tool in body.get("tools") or ():
            _check_tool(tool)

    def asked(self, body: Json) -> Asked:
        functions = [tool.get("function") or {} for tool in body.get("tools") or ()]
        tools = [(f.get("name", ""), f.get("parameters") or {}) for f in functions]
        last = (body.get("messages") or [{}])[-1]
        said = str(last.get("content") or "")
        return Asked(tools, said, said if last.get("role") == "tool" else None)

    def streams(self, request: Request, body: Json) -> bool:
        return body.get("stream") is not False

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        messages: list[Json] = []
        if body.get("think") is not False:
            messages += [{"content": "", "thinking": p} for p in pieces(reply.thinking)]
        messages += [{"content": piece} for piece in pieces(reply.text)]
        made = self._calls(reply)
        groups = [made] if made and reply.calls_come == "together" else [[call] for call in made]
        messages += [{"content": "", "tool_calls": group} for group in groups]
        for message in messages:
            yield _line(self._answer_of({"role": "assistant", **message}))
        if not (reply.no_done and reply.no_finish):
            yield _line(self._answer_of({"role": "assistant", "content": ""}) | _ending(reply))

    def whole(self, reply: Reply, body: Json) -> Json:
        message: Json = {"role": "assistant", "content": reply.text}
        if reply.thinking and body.get("think") is not False:
            message["thinking"] = reply.thinking
        if reply.calls:
            message["tool_calls"] = self._calls(reply)
        return self._answer_of(message) | _ending(reply)

    def _calls(self, reply: Reply) -> list[Json]:
        """They come whole, with arguments as an object."""
        made = enumerate(reply.calls)
        return [
            {
                "id": f"call_{next(self._numbers)}",
                "function": {"index": index, "name": call.name, "arguments": call.arguments},
            }
            for index, call in made
        ]

    def _answer_of(self, message: Json) -> Json:
        created = "2025-10-26T17:15:24.097767Z"
        return {"model": self._model, "created_at": created, "message": message, "done": False}

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return {"error": message}

    def late_error(self, message: str) -> bytes:
        return _line({"error": message})


def _line(value: Json) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _ending(reply: Reply) -> Json:
    given, made = reply.tokens
    return {
        "done": True,
        "done_reason": _FINISH[reply.finish],
        "total_duration": 4883583458,
        "load_duration": 1334875,
        "prompt_eval_count": given,
        "prompt_eval_duration": 342546000,
        "eval_count": made,
        "eval_duration": 4535599000,
    }


_GO: dict[type, str] = {
    str: "string",
    list: "array",
    dict: "object",
    bool: "bool",
    int: "number",
    float: "number",
    type(None): "null",
}
"""JSON's types, as Go's decoder names them."""


def _of_type(value: Json, name: str, kind: type, struct: str, where: str) -> None:
    """As Go's decoder says it."""
    found = value.get(name)
    if found is None or isinstance(found, kind):
        return
    was = _GO.get(type(found), "number")
    said = f"json: cannot unmarshal {was} into Go struct field {struct}.{where} of type {_GO[kind]}"
    raise Refused(400, said)


def _check_message(message: Json) -> None:
    _of_type(message, "content", str, "ChatRequest", "messages.content")
    _of_type(message, "images", list, "ChatRequest", "messages.images")
    for image in message.get("images") or ():
        try:
            base64.b64decode(image, validate=True)
        except binascii.Error as e:
            raise Refused(400, "illegal base64 data at input byte 4") from e
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        where = "messages.tool_calls.function.arguments"
        _of_type(function, "arguments", dict, "ChatRequest", where)


def _check_tool(tool: Json) -> None:
    """As `api/types.go` declares them; what it names no type for may be anything.

    https://github.com/ollama/ollama/issues/10328 (an array for properties),
    https://github.com/ollama/ollama/issues/18051 (an object for required),
    https://github.com/ollama/ollama/issues/14256 (a string for a property)
    """
    function = tool.get("function") or {}
    for name, kind in (("name", str), ("description", str), ("parameters", dict)):
        _of_type(function, name, kind, "ChatRequest", f"tools.function.{name}")
    parameters = function.get("parameters") or {}
    where = "tools.function.parameters"
    _of_type(parameters, "type", str, "ToolFunctionParameters", f"{where}.type")
    _check_object(parameters, "ToolFunctionParameters", where)


def _check_object(schema: Json, struct: str, where: str) -> None:
    for name, kind in (("required", list), ("properties", dict)):
        _of_type(schema, name, kind, struct, f"{where}.{name}")
    for each in schema.get("required") or ():
        _of_type({"required": each}, "required", str, struct, f"{where}.required")
    for value in (schema.get("properties") or {}).values():
        _check_property(value, f"{where}.properties")


def _check_property(value: object, where: str) -> None:
    if not isinstance(value, dict):
        was = _GO[type(value)]
        raise Refused(
            400,
            f"json: cannot unmarshal {was} into Go struct field ToolFunctionParameters.{where}"
            " of type api.ToolProperty",
        )
    for name, kind in (("description", str), ("enum", list), ("anyOf", list)):
        _of_type(value, name, kind, "ToolProperty", name)
    kinds = value.get("type")
    for each in kinds if isinstance(kinds, list) else [kinds]:
        _of_type({"type": each}, "type", str, "ToolProperty", "type")
    for each in value.get("anyOf") or ():
        _check_property(each, f"{where}.anyOf")
    _check_object(value, "ToolProperty", where)
