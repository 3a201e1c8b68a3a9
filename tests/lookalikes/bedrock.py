"""Amazon Bedrock: `/model/ID/invoke[-with-response-stream]` for Claude, `/model/ID/converse[-stream]` for all.

The shapes are those of AWS's own description of the service, which botocore brings along; what it
does not say is from reports, named beside the rule.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, StructureShape
from starlette.requests import Request

from tests.lookalikes.anthropic_answers import asked_of, message_events, whole_message
from tests.lookalikes.anthropic_form import check_messages
from tests.lookalikes.aws_frames import STREAM, event, exception
from tests.lookalikes.converse import check_converse, converse_events, whole_converse
from tests.lookalikes.script import Asked, Json, Reply
from tests.lookalikes.server import Lookalike, Refused

EXCEPTIONS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


@functools.cache
def converse_shape() -> StructureShape:
    """Return AWS's description of a request to Converse."""
    described = Loader().load_service_model("bedrock-runtime", "service-2")
    shape = ServiceModel(described).operation_model("Converse").input_shape
    assert isinstance(shape, StructureShape)
    return shape


class Bedrock(Lookalike):
    """Takes a bearer, or a request that is signed."""

    paths = tuple(
        f"/model/{{model:path}}/{call}"
        for call in ("invoke", "invoke-with-response-stream", "converse", "converse-stream")
    )
    stream_type = STREAM

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def check(self, request: Request, body: Json) -> None:
        if not request.headers.get("authorization", "").startswith(("Bearer ", "AWS4-HMAC")):
            raise Refused(403, "Missing Authentication Token")
        self._converses = "/converse" in request.url.path
        if self._converses:
            check_converse(body, converse_shape())
            return
        version = body.get("anthropic_version")
        if version != "bedrock-2023-05-31":
            raise Refused(400, "anthropic_version: Field required")
        if "stream" in body or "model" in body:
            name = "stream" if "stream" in body else "model"
            raise Refused(400, f"{name}: Extra inputs are not permitted")
        check_messages(body, frozenset({"anthropic_version", "anthropic_beta"}))

    def asked(self, body: Json) -> Asked:
        if not self._converses:
            return asked_of(body)
        content = body["messages"][-1]["content"]
        specs = [
            t["toolSpec"]
            for t in (body.get("toolConfig") or {}).get("tools", ())
            if "toolSpec" in t
        ]
        tools = [(spec["name"], spec["inputSchema"]["json"]) for spec in specs]
        results = [block["toolResult"] for block in content if "toolResult" in block]
        said = " ".join(block["text"] for block in content if "text" in block)
        return Asked(tools, said, str(results[-1]["content"]) if results else None)

    def streams(self, request: Request, body: Json) -> bool:
        return str(request.url.path).endswith("stream")

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        number = next(self._numbers)
        if self._converses:
            yield from (event(kind, data) for kind, data in converse_events(reply, number))
            return
        for each in message_events(reply, number, "claude"):
            told = base64.b64encode(json.dumps(each).encode()).decode()
            yield event("chunk", {"bytes": told, "p": "abcdefgh"})

    def whole(self, reply: Reply, body: Json) -> Json:
        number = next(self._numbers)
        if self._converses:
            return whole_converse(reply, number)
        return whole_message(reply, number, "claude")

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return {"message": message, "__type": EXCEPTIONS.get(status, "InternalServerException")}

    def late_error(self, message: str) -> bytes:
        return exception("modelStreamErrorException", message)
