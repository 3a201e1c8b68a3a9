"""Azure OpenAI's `/openai/deployments/NAME/chat/completions?api-version=…`.

https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request

from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.script import Json, Reply
from tests.lookalikes.server import Refused, sse


class Azure(OpenAIChat):
    """The path names the deployment, and a first chunk without choices tells of its filter."""

    def __init__(self) -> None:
        super().__init__()
        self.paths = (
            "/openai/deployments/{deployment}/chat/completions",
            "/openai/v1/chat/completions",
        )

    def key(self, request: Request) -> str:
        key = request.headers.get("api-key") or super().key(request)
        deployed = "deployment" in request.path_params
        if deployed and not request.query_params.get("api-version"):
            raise Refused(404, "Resource not found")
        return key

    def check(self, request: Request, body: Json) -> None:
        body.setdefault("model", request.path_params.get("deployment"))
        super().check(request, body)

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        filtered = {"prompt_index": 0, "content_filter_results": {}}
        yield sse({"id": "", "object": "", "created": 0, "model": "", "choices": [],
                   "prompt_filter_results": [filtered]})  # fmt: skip
        yield from super().events(reply, body)
