from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace

from mitmproxy import http

from neurolink_mitm.core.auth import access
from neurolink_mitm.core.cost.budget import Metering
from neurolink_mitm.core.cost.client_limits import model_not_allowed
from neurolink_mitm.core.exchange import (
    CONVERSATION_KINDS,
    INFERENCE_KINDS,
    Exchange,
    Kind,
    Reply,
)
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.providers import destinations, models
from neurolink_mitm.core.providers.destinations import Route as Destination
from neurolink_mitm.core.request import routing
from neurolink_mitm.core.request.body import MessagesRequest, read_body, takes_long
from neurolink_mitm.dataplane.hooks import error_response, exchange_of, unmasked_fields
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

UNTRANSLATED = Reply(500, "api_error", "NeuroLink refused: the request was not translated")
"""The refusal of a request to OpenAI's API that is no Messages request yet: Anthropic has such paths of its own."""
NOT_FOUND = Reply(404, "not_found_error", "no such path, and no credentials to forward it with")


class Route:
    """Reads model and stream from the body, routes the request, and refuses what no account can serve."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the body takes long to read."""
        exchange = exchange_of(flow)
        if flow.response or exchange is None:
            return None
        if self.runtime.passthrough:
            exchange.kind = Kind.FORWARD
        body = flow.request.raw_content or b""
        exchange.body_size = len(body)
        if refusal := self._refusal(flow, exchange):
            flow.response = error_response(refusal, exchange.request_id)
        elif (read := exchange.messages_request) and read.index and read.index.body is body:
            self._take(flow, exchange, read)
        elif exchange.kind in CONVERSATION_KINDS:
            if takes_long(body):
                return self._in_thread(flow, exchange, body)
            self._take(flow, exchange, _read(body))
        return None

    def _refusal(self, flow: http.HTTPFlow, exchange: Exchange) -> Reply | None:
        request, kind = flow.request, exchange.kind
        if self.runtime.passthrough:
            return None if self._forwardable(flow) else NOT_FOUND
        if exchange.api is not Api.ANTHROPIC and kind not in INFERENCE_KINDS:
            return UNTRANSLATED
        if not routing.is_as_taken(kind, request.method, request.path):
            return routing.NOT_PLAIN
        if kind is Kind.FORWARD and not self._forwardable(flow):
            return NOT_FOUND
        return None

    async def _in_thread(self, flow: http.HTTPFlow, exchange: Exchange, body: bytes) -> None:
        self._take(flow, exchange, await run_in_thread(lambda: _read(body)))

    def _take(
        self, flow: http.HTTPFlow, exchange: Exchange, messages_request: MessagesRequest | Reply
    ) -> None:
        refusal = (
            messages_request
            if isinstance(messages_request, Reply)
            else self._route(exchange, messages_request)
        )
        if refusal:
            flow.response = error_response(refusal, exchange.request_id)

    def _route(self, exchange: Exchange, messages_request: MessagesRequest) -> Reply | None:
        exchange.model = messages_request.model
        exchange.stream = messages_request.stream
        exchange.tool_count = messages_request.tool_count
        exchange.user_id = messages_request.user_id
        exchange.session_id = (
            exchange.session_id or messages_request.session_id or exchange.labels.get("session")
        )
        exchange.index = messages_request.index
        return self._destination(exchange, messages_request.model)

    def _destination(self, exchange: Exchange, model: str) -> Reply | None:
        config, pool = self.runtime.config.routing, self.runtime.pool
        if refusal := model_not_allowed(exchange.client_key, model, config):
            return refusal
        exchange.route = route = destinations.route(model, config, pool.fallbacks)
        if route is None:
            return models.not_served(model, config)
        if not route.pool and (unbounded := self._unbounded(exchange, route)):
            left = tuple(each for each in route.entries if each not in unbounded)
            if not left:
                return Reply(400, "invalid_request_error", "; ".join(unbounded.values()))
            exchange.route = replace(route, entries=left)
        return None

    def _unbounded(self, exchange: Exchange, route: Destination) -> dict[str, str]:
        """Return why a cap can't bound an entry that is for any model: the price of this one is not known."""
        pool, capped = self.runtime.pool, exchange.requirements.client_capped
        reasons: dict[str, str] = {}
        for entry in pool.fallbacks if exchange.metering is not Metering.FREE else ():
            if entry.model or entry.key not in route.entries:
                continue
            prices = self.runtime.prices
            if why := pool.budget.unbounded(entry, route.model, prices, client_capped=capped):
                reasons[entry.key] = f"{entry.provider}/{route.model}: {why}"
        return reasons

    def _forwardable(self, flow: http.HTTPFlow) -> bool:
        """Whether the caller has a credential of its own: a client key of this proxy must not leave it."""
        shown = access.credential(unmasked_fields(flow))
        keys = self.runtime.client_keys
        return shown is not None and not any(key.matches(shown) for key in keys)


def _read(body: bytes) -> MessagesRequest | Reply:
    try:
        return read_body(body)
    except ValueError as e:
        return Reply(400, "invalid_request_error", str(e))
