from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core import access, destinations, models, routing
from neurolink_mitm.core.exchange import Exchange, Kind, Reply
from neurolink_mitm.mitm.hooks import error_response, exchange_of, real_fields
from neurolink_mitm.ports import Runtime

NOT_FOUND = Reply(404, "not_found_error", "no such path, and no credentials to forward it with")


class Route:
    """Reads what a request asks for, and refuses what nobody here could answer."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def request(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if flow.response or exchange is None:
            return
        if self.runtime.passthrough:
            exchange.kind = Kind.FORWARD
        exchange.body_size = len(flow.request.raw_content or b"")
        refusal = self._refusal(flow, exchange)
        if refusal:
            flow.response = error_response(refusal, exchange.request_id)

    def _refusal(self, flow: http.HTTPFlow, exchange: Exchange) -> Reply | None:
        request, kind = flow.request, exchange.kind
        if not self.runtime.passthrough:
            if not routing.is_as_taken(kind, request.method, request.path):
                return routing.NOT_PLAIN
            if kind in (Kind.MESSAGES, Kind.COUNT_TOKENS):
                return self._read(request.raw_content or b"", exchange)
        if kind is Kind.FORWARD and not self._forwardable(flow):
            return NOT_FOUND
        return None

    def _read(self, body: bytes, exchange: Exchange) -> Reply | None:
        try:
            asked = routing.read_body(body)
        except ValueError as e:
            return Reply(400, "invalid_request_error", str(e))
        exchange.model = asked.model
        exchange.stream = asked.stream
        exchange.tool_count = asked.tool_count
        exchange.user_id = asked.user_id
        exchange.session_id = exchange.session_id or asked.session_id
        config = self.runtime.config.routing
        exchange.route = destinations.route(asked.model, config)
        if exchange.route is None:
            return models.not_served(asked.model, config)
        return None

    def _forwardable(self, flow: http.HTTPFlow) -> bool:
        """The caller's own credential goes along; a key of this proxy's is none, and must not leave it."""
        shown = access.credential(real_fields(flow))
        keys = self.runtime.client_keys
        return shown is not None and not any(key.matches(shown) for key in keys)
