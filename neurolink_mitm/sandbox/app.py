"""The routes of the Messages API: authenticate, check, and play the next reply of the account's script."""

import functools
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from neurolink_mitm.core.providers.models import CLAUDE, Model
from neurolink_mitm.sandbox import welcome
from neurolink_mitm.sandbox.accounts import Account, Reply
from neurolink_mitm.sandbox.answers import Usage, answer, count_tokens, usage_of
from neurolink_mitm.sandbox.auth import authenticate
from neurolink_mitm.sandbox.content import Content, instead, streamed, whole
from neurolink_mitm.sandbox.control import control_routes
from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.events import message_events, message_json
from neurolink_mitm.sandbox.history import check_history
from neurolink_mitm.sandbox.messages import MessagesRequest, parse_count, parse_messages
from neurolink_mitm.sandbox.oauth import oauth_routes
from neurolink_mitm.sandbox.playback import Playback
from neurolink_mitm.sandbox.recorder import Received, Recording, new_id
from neurolink_mitm.sandbox.respond import played, received, refusal
from neurolink_mitm.sandbox.state import Sandbox

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
MODELS = {model.id: model for model in CLAUDE}


def make_app(sandbox: Sandbox) -> ASGIApp:
    api = Api(sandbox)
    routes = [
        Route("/v1/messages", api.messages, methods=["POST"]),
        Route("/v1/messages/count_tokens", api.count_tokens, methods=["POST"]),
        Route("/v1/models", api.models),
        Route("/v1/models/{id}", api.model),
        *oauth_routes(sandbox),
        Route("/v1/{rest:path}", api.echo, methods=METHODS),
        Route("/", api.welcome),
        *control_routes(sandbox),
    ]
    handlers: dict[Any, Any] = {ApiError: api.refuse, HTTPException: api.refuse, 500: api.fault}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Recording(app, sandbox.recorder)


class Api:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def messages(self, request: Request) -> Playback:
        asked, account = self._admit(request)
        parsed = parse_messages(asked.body)
        reply = self._sandbox.next_reply(account.name)
        content = instead(reply, parsed.stream, asked.request_id)
        if content is None and reply.prerendered:
            content = prerendered(reply, parsed.model, parsed.stream)
        elif content is None:
            check_history(asked.body)
            content = self._good(parsed, reply, account, asked)
        return played(self._sandbox, asked, reply, content)

    async def count_tokens(self, request: Request) -> Playback:
        asked, account = self._admit(request)
        parse_count(asked.body)
        return self._json({"input_tokens": count_tokens(asked.body)}, asked, account)

    async def models(self, request: Request) -> Playback:
        asked, account = self._admit(request)
        return self._json(model_list(), asked, account)

    async def model(self, request: Request) -> Playback:
        asked, account = self._admit(request)
        return self._json(model(request.path_params["id"]), asked, account)

    async def echo(self, request: Request) -> Playback:
        """Answer any other path with what was received, so that a test can compare it."""
        asked, account = self._admit(request)
        echo = {
            "type": "echo",
            "method": asked.method,
            "path": asked.path,
            "account": account.name,
            "bytes": len(asked.body),
        }
        return self._json(echo, asked, account)

    async def welcome(self, request: Request) -> Response:
        """Say what the sandbox is and how to use it."""
        url = str(request.base_url).rstrip("/")
        return PlainTextResponse(welcome.page(self._sandbox.accounts, url))

    async def refuse(self, request: Request, error: ApiError | HTTPException) -> Response:
        if isinstance(error, ApiError):
            status, message = error.status, error.message
        else:
            status, message = error.status_code, error.detail
        return refusal(self._sandbox, received(request), status, message)

    async def fault(self, request: Request, error: Exception) -> Response:
        """Return the error response of a fault in the sandbox itself."""
        return refusal(self._sandbox, received(request), 500, f"The sandbox has a fault: {error}")

    def _admit(self, request: Request) -> tuple[Received, Account]:
        """Check credentials, version and size, in Anthropic's order. Raises ApiError."""
        asked = received(request)
        account = authenticate(request.headers, self._sandbox)
        self._sandbox.recorder.admitted(asked, account.name)
        if "anthropic-version" not in request.headers:
            raise ApiError(400, "anthropic-version: header is required")
        if asked.too_large:
            raise ApiError(413, "Request exceeds the maximum size")
        return asked, account

    def _good(
        self, parsed: MessagesRequest, reply: Reply, account: Account, asked: Received
    ) -> Content:
        requests = self._sandbox.recorder.requests
        text = welcome.words(account, parsed.model, asked, requests)
        return _rendered(parsed, reply, usage_of(asked.body), text)

    def _json(self, body: object, asked: Received, account: Account) -> Playback:
        reply = self._sandbox.next_reply(account.name)
        content = instead(reply, False, asked.request_id)
        content = content or whole(reply, msgspec.json.encode(body))
        return played(self._sandbox, asked, reply, content)


def _rendered(parsed: MessagesRequest, reply: Reply, usage: Usage, text: str) -> Content:
    message = answer(parsed, reply, usage, text, new_id)
    if parsed.stream:
        return streamed(reply, message_events(message))
    return whole(reply, message_json(message))


@functools.lru_cache(maxsize=64)
def prerendered(reply: Reply, model: str, stream: bool) -> Content:
    """Return the same response to every request, for benchmarks."""
    parsed = MessagesRequest(model=model, messages=[], max_tokens=1, stream=stream)
    return _rendered(parsed, reply, Usage(30_000), "The sandbox says the same to everyone.")


def model_list() -> dict[str, Any]:
    """Return the list of models, as one page: https://platform.claude.com/docs/en/api/models-list"""
    data = [_entry(model) for model in CLAUDE]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}


def model(model_id: str) -> dict[str, Any]:
    """Return a model by its id. Raises ApiError."""
    if model_id not in MODELS:
        raise ApiError(404, f"model: {model_id}")
    return _entry(MODELS[model_id])


def _entry(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": model.created_at,
    }
