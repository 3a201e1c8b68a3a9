"""Google's Gemini API: `generateContent` and `streamGenerateContent?alt=sse`, and `countTokens`.

Source: https://ai.google.dev/api/generate-content, https://ai.google.dev/api/caching#Schema and
https://ai.google.dev/gemini-api/docs/thought-signatures; the words of the errors are those that
its users quote. Fields are taken in camelCase and in snake_case, as protobuf's JSON mapping does.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.lookalikes.gemini_form import check_content, check_signatures, check_turns, get, known
from tests.lookalikes.gemini_tools import check_config, check_tools
from tests.lookalikes.script import Asked, Json, Reply, pieces
from tests.lookalikes.server import Lookalike, Refused, sse

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

    def check_key(self, request: Request) -> None:
        """Raises Refused."""
        _check_key(request)

    def check(self, request: Request, body: Json) -> None:
        self.check_key(request)
        call = request.path_params["call"]
        if call.partition(":")[2] not in ("generateContent", "streamGenerateContent"):
            raise Refused(404, f"models/{call} is not found for API version v1beta.")
        known(body, "", "")
        contents = body.get("contents")
        if not contents:
            raise Refused(400, "* GenerateContentRequest.contents: contents is not specified\n")
        check_config(body, call.partition(":")[0], self._most_tokens)
        for index, content in enumerate(contents):
            check_content(content, f"contents[{index}]")
        system = get(body, "systemInstruction")
        if system is not None:
            check_content({"role": "user", **system}, "system_instruction")
        check_tools(body, call.partition(":")[0])
        check_turns(contents)
        if call.startswith("gemini-3"):
            check_signatures(contents)

    def asked(self, body: Json) -> Asked:
        tools = [
            (f["name"], get(f, "parametersJsonSchema") or _plain(f.get("parameters") or {}))
            for tool in body.get("tools") or ()
            for f in get(tool, "functionDeclarations") or ()
        ]
        calling = get(get(body, "toolConfig") or {}, "functionCallingConfig") or {}
        if calling.get("mode") == "NONE":
            tools = []
        parts = body["contents"][-1]["parts"]
        results = [r for part in parts if (r := get(part, "functionResponse"))]
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
        config = get(body, "generationConfig") or {}
        thinks = get(config, "thinkingConfig") or {}
        tells = get(thinks, "includeThoughts")
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


def _plain(schema: Json) -> Json:
    """With the names of types as JSON Schema has them."""
    kind = {"type": str(schema["type"]).lower()} if "type" in schema else {}
    properties = {n: _plain(v) for n, v in (schema.get("properties") or {}).items()}
    items = {"items": _plain(schema["items"])} if schema.get("items") else {}
    return {**schema, **kind, **items, "properties": properties}
