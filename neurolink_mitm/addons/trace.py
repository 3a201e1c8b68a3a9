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

LABELS = {name: f"x-neurolink-{name}-id".encode() for name in ("session", "user", "conversation")}
_SESSION, _USER_AGENT = b"x-claude-code-session-id", b"user-agent"
_AGENT, _PARENT = b"x-claude-code-agent-id", b"x-claude-code-parent-agent-id"
_CALLER = b"traceparent"
_READ = frozenset({*LABELS.values(), _SESSION, _USER_AGENT, _AGENT, _PARENT, _CALLER, HEADER})


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
        seen = headers.names_in(flow.request.headers.fields, _READ)
        chance = self.runtime.random_source
        called_by = caller(seen.get(_CALLER))
        labels = {name: _text(seen.get(header)) for name, header in LABELS.items()}
        exchange = Exchange(
            request_id=chance.request_id(),
            began_at=self.runtime.clock.now(),
            method=flow.request.method,
            path=flow.request.path,
            kind=kind_of(flow.request.method, flow.request.path),
            api=api_of(flow.request.method, flow.request.path),
            session_id=seen.get(_SESSION),
            user_agent=seen.get(_USER_AGENT, ""),
            agent_id=seen.get(_AGENT),
            parent_agent_id=seen.get(_PARENT),
            caller=called_by,
            trace_id=called_by.trace_id if called_by else chance.hex(32),
            span_id=chance.hex(16),
            labels={name: value for name, value in labels.items() if value},
            hold_asked=asked_seconds(seen.get(HEADER)),
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
