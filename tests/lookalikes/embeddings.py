"""Embeddings of OpenAI, Gemini and Ollama.

Sources: https://platform.openai.com/docs/api-reference/embeddings, https://ai.google.dev/api/embeddings,
https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings; the words of the errors are those that
their users quote.
"""

from __future__ import annotations

import abc
import base64
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request

from tests.lookalikes.gemini import Gemini
from tests.lookalikes.openai_form import bearer, error_body
from tests.lookalikes.script import Asked, Json, Reply
from tests.lookalikes.server import Lookalike, Refused

LENGTH = 8
"""Numbers of a vector, if nobody asks for another length."""


def vector_of(text: object, length: int = LENGTH) -> list[float]:
    """The vector of an input: the same for the same, of numbers that 32 bits can hold."""
    return [(len(str(text)) + n) / 64 for n in range(length)]


class Embedder(Lookalike):
    """Answers with `vector_of` each input, and is never asked for a stream."""

    def streams(self, request: Request, body: Json) -> bool:
        return False

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        raise NotImplementedError

    def late_error(self, message: str) -> bytes:
        raise NotImplementedError

    def asked(self, body: Json) -> Asked:
        return Asked(text=str(self.inputs(body)[0]))

    @abc.abstractmethod
    def inputs(self, body: Json) -> Sequence[object]: ...


class OpenAIEmbeddings(Embedder):
    """`known` are its models; `dimensions` is of those of the third generation only."""

    paths = ("/v1/embeddings",)
    _fields = frozenset({"model", "input", "encoding_format", "dimensions", "user"})

    def check(self, request: Request, body: Json) -> None:
        bearer(request)
        if unknown := sorted(set(body) - self._fields):
            raise Refused(400, f"Unrecognized request argument supplied: {unknown[0]}")
        model = body.get("model")
        if not str(model).startswith("text-embedding-"):
            said = f"The model `{model}` does not exist or you do not have access to it."
            raise Refused(404, said, code="model_not_found")
        given = body.get("input")
        if not given or not isinstance(given, str | list) or not all(self.inputs(body)):
            raise Refused(400, "'$.input' is invalid. Please check the API reference.")
        if len(self.inputs(body)) > 2048:
            raise Refused(400, "'$.input' is invalid: at most 2048", param="input")
        if body.get("encoding_format", "float") not in ("float", "base64"):
            raise Refused(400, "encoding_format", param="encoding_format")
        if "dimensions" in body and not str(model).startswith("text-embedding-3"):
            raise Refused(400, "This model does not support specifying dimensions.")

    def inputs(self, body: Json) -> Sequence[object]:
        given = body["input"]
        return given if isinstance(given, list) and not isinstance(given[0], int) else [given]

    def whole(self, reply: Reply, body: Json) -> Json:
        vectors = [vector_of(each, body.get("dimensions", LENGTH)) for each in self.inputs(body)]
        packed = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": n, "embedding": _packed(v) if packed else v}
            for n, v in enumerate(vectors)
        ]
        usage = {"prompt_tokens": reply.tokens[0], "total_tokens": reply.tokens[0]}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return error_body(status, message, **detail)


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class GeminiEmbeddings(Embedder):
    """`batchEmbedContents`, at most 100 at once. It counts no tokens."""

    paths = ("/{version}/models/{call}",)

    def check(self, request: Request, body: Json) -> None:
        if not (request.headers.get("x-goog-api-key") or request.query_params.get("key")):
            raise Refused(403, "Method doesn't allow unregistered callers.")
        model, _, method = request.path_params["call"].partition(":")
        if method != "batchEmbedContents" or "embedding" not in model:
            said = f"models/{model} is not found for API version v1beta, or is not supported for {method}."
            raise Refused(404, said)
        asked = body.get("requests")
        if not asked or len(asked) > 100:
            said = (
                "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
            )
            raise Refused(400, said)
        if any(each.get("model") != f"models/{model}" for each in asked):
            raise Refused(400, "* BatchEmbedContentsRequest.requests: model is not the batch's\n")

    def inputs(self, body: Json) -> Sequence[object]:
        return [each["content"]["parts"][0]["text"] for each in body["requests"]]

    def whole(self, reply: Reply, body: Json) -> Json:
        lengths = [each.get("outputDimensionality", LENGTH) for each in body["requests"]]
        both = zip(self.inputs(body), lengths, strict=True)
        return {"embeddings": [{"values": vector_of(text, length)} for text, length in both]}

    error = Gemini.error


class OllamaEmbeddings(Embedder):
    """`/api/embed`."""

    paths = ("/api/embed",)

    def check(self, request: Request, body: Json) -> None:
        if "embed" not in body.get("model", ""):
            raise Refused(404, f'model "{body.get("model")}" not found, try pulling it first')
        if any(not isinstance(each, str) for each in self.inputs(body)):
            raise Refused(400, "json: cannot unmarshal number into Go struct field")

    def inputs(self, body: Json) -> Sequence[object]:
        given = body["input"]
        return given if isinstance(given, list) else [given]

    def whole(self, reply: Reply, body: Json) -> Json:
        vectors = [vector_of(each) for each in self.inputs(body)]
        return {"model": body["model"], "embeddings": vectors, "prompt_eval_count": reply.tokens[0]}

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return {"error": message}
