from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.failover.hold import HEADER, asked_seconds
from neurolink_mitm.core.openai.api import api_of
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.routing import kind_of
from neurolink_mitm.core.request.trace_context import caller
from neurolink_mitm.dataplane.hooks import attach_exchange, exchange_of, is_pool_flow
from neurolink_mitm.ports import Runtime

LABELS = ("session", "user", "conversation")


def _text(value: str | None) -> str | None:
    """Return the value of a header as UTF-8, where it is: programs put names into it."""
    try:
        return value.encode("latin-1").decode() if value else None
    except UnicodeError:
        return value


class Trace:
    """Makes the exchange of a request, and adds the `x-neurolink-*` headers to its response."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if not is_pool_flow(flow):
            return
        fields = flow.request.headers.fields
        chance = self.runtime.random_source
        called_by = caller(headers.name_in(fields, b"traceparent"))
        labels = {
            name: _text(headers.name_in(fields, f"x-neurolink-{name}-id".encode()))
            for name in LABELS
        }
        exchange = Exchange(
            request_id=chance.request_id(),
            began_at=self.runtime.clock.now(),
            method=flow.request.method,
            path=flow.request.path,
            kind=kind_of(flow.request.method, flow.request.path),
            api=api_of(flow.request.method, flow.request.path),
            session_id=headers.name_in(fields, b"x-claude-code-session-id"),
            user_agent=headers.name_in(fields, b"user-agent") or "",
            agent_id=headers.name_in(fields, b"x-claude-code-agent-id"),
            parent_agent_id=headers.name_in(fields, b"x-claude-code-parent-agent-id"),
            caller=called_by,
            trace_id=called_by.trace_id if called_by else chance.hex(32),
            span_id=chance.hex(16),
            labels={name: value for name, value in labels.items() if value},
            hold_asked=asked_seconds(headers.name_in(fields, HEADER)),
            timeouts=self.runtime.config.timeouts,
        )
        attach_exchange(flow, exchange)
        self.runtime.in_flight.add(exchange)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None or flow.response is None:
            return
        exchange.first_byte_at = self.runtime.clock.now()
        exchange.status = flow.response.status_code
        ours = {b"x-neurolink-request-id": exchange.request_id.encode()}
        if exchange.attempts:
            ours[b"x-neurolink-attempts"] = b"%d" % len(exchange.attempts)
        if exchange.account:
            ours[b"x-neurolink-account"] = exchange.account.label.encode()
        flow.response.headers.fields = headers.replace(flow.response.headers.fields, ours)
