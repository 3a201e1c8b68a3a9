"""Vertex AI: Gemini and Claude at `/v1/projects/…/publishers/…/models/…`, and Google's token endpoint.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
https://docs.claude.com/en/api/claude-on-vertex-ai and
https://developers.google.com/identity/protocols/oauth2/service-account
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.lookalikes.anthropic_answers import message_events, whole_message
from tests.lookalikes.anthropic_form import check_messages
from tests.lookalikes.claude_clouds import AzureClaude
from tests.lookalikes.gemini import Gemini
from tests.lookalikes.script import Json, Reply
from tests.lookalikes.server import Lookalike, Refused, sse

TOKEN = "ya29.look-alike"
_MODELS = "/{version}/projects/{project}/locations/{location}/publishers"


def write_credentials(file: Path, url: str) -> None:
    """Write a service account's file, whose tokens come from the look-alike at `url`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "look-alike",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "look@alike.test",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }
    file.write_text(json.dumps(account))


def check_token(request: Request) -> None:
    """Raises Refused."""
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        said = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise Refused(401, said)


async def _token(request: Request) -> Response:
    return JSONResponse({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})


def _with_tokens(routes: list[Route]) -> list[Route]:
    return [Route("/token", _token, methods=["POST"]), *routes]


class VertexGemini(Gemini):
    """As the Gemini API, but for its paths and its login."""

    paths = (f"{_MODELS}/google/models/{{call}}",)

    def routes(self) -> list[Route]:
        return _with_tokens(Lookalike.routes(self))

    def check_key(self, request: Request) -> None:
        check_token(request)


class VertexClaude(AzureClaude):
    """Claude: the model stands in the path, and the version of the API in the body."""

    paths = (f"{_MODELS}/anthropic/models/{{call}}",)

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def routes(self) -> list[Route]:
        return _with_tokens(Lookalike.routes(self))

    def check(self, request: Request, body: Json) -> None:
        check_token(request)
        if request.path_params["call"].partition(":")[2] not in ("rawPredict", "streamRawPredict"):
            raise Refused(404, "not found")
        if body.get("anthropic_version") != "vertex-2023-10-16":
            raise Refused(400, "anthropic_version: Field required")
        check_messages(body, frozenset({"anthropic_version", "anthropic_beta"}))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        for event in message_events(reply, next(self._numbers), "claude"):
            yield sse(event, event["type"])

    def whole(self, reply: Reply, body: Json) -> Json:
        return whole_message(reply, next(self._numbers), "claude")
