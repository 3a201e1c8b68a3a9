"""The routes of the Messages API: who asks, is it valid, and what the script makes of it."""

import functools
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from neurolink_mitm.sandbox import welcome
from neurolink_mitm.sandbox.accounts import Account, Reply
from neurolink_mitm.sandbox.answers import Usage, answer, count_tokens, usage_of
from neurolink_mitm.sandbox.auth import authenticate
from neurolink_mitm.sandbox.content import Content, instead, streamed, whole
from neurolink_mitm.sandbox.control import control_routes
from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.events import message_events, message_json
from neurolink_mitm.sandbox.history import check_history
from neurolink_mitm.sandbox.intake import Intake, new_id
from neurolink_mitm.sandbox.keys import key_routes
from neurolink_mitm.sandbox.messages import MessagesRequest, parse_count, parse_messages
from neurolink_mitm.sandbox.models import model, model_list
from neurolink_mitm.sandbox.oauth import oauth_routes
from neurolink_mitm.sandbox.playback import Playback
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.respond import played, received, refusal
from neurolink_mitm.sandbox.state import Sandbox

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def make_app(sandbox: Sandbox) -> ASGIApp:
    api = Api(sandbox)
    routes = [
        Route("/v1/messages", api.messages, methods=["POST"]),
        Route("/v1/messages/count_tokens", api.count_tokens, methods=["POST"]),
        Route("/v1/models", api.models),
        Route("/v1/models/{id}", api.model),
        *oauth_routes(sandbox),
        *key_routes(sandbox),
        Route("/v1/{rest:path}", api.echo, methods=METHODS),
        Route("/", api.welcome),
        *control_routes(sandbox),
    ]
    handlers: dict[Any, Any] = {ApiError: api.refuse, HTTPException: api.refuse, 500: api.fault}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Intake(app, sandbox.recorder)


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
        """Any other path of the API: what passes through a proxy can be compared here."""
        asked, account = self._admit(request)
        seen = {"method": asked.method, "path": asked.path, "account": account.name}
        return self._json({"type": "echo", **seen, "bytes": len(asked.body)}, asked, account)

    async def welcome(self, request: Request) -> Response:
        url = str(request.base_url).rstrip("/")
        return PlainTextResponse(welcome.page(self._sandbox.accounts, url))

    async def refuse(self, request: Request, error: ApiError | HTTPException) -> Response:
        if isinstance(error, ApiError):
            status, message = error.status, error.message
        else:
            status, message = error.status_code, error.detail
        return refusal(self._sandbox, received(request), status, message)

    async def fault(self, request: Request, error: Exception) -> Response:
        return refusal(self._sandbox, received(request), 500, f"The sandbox has a fault: {error}")

    def _admit(self, request: Request) -> tuple[Received, Account]:
        """In Anthropic's order: credentials, version, size. Raises ApiError."""
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
    said = answer(parsed, reply, usage, text, new_id)
    if parsed.stream:
        return streamed(reply, message_events(said))
    return whole(reply, message_json(said))


@functools.lru_cache(maxsize=64)
def prerendered(reply: Reply, model: str, stream: bool) -> Content:
    parsed = MessagesRequest(model=model, messages=[], max_tokens=1, stream=stream)
    return _rendered(parsed, reply, Usage(30_000), "The sandbox says the same to everyone.")
