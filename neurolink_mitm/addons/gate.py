from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.auth import access
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import Exchange, Kind, Reply
from neurolink_mitm.core.request.routing import HEALTH_PATH, READY_PATH, RESET_PATH
from neurolink_mitm.dataplane.hooks import error_response, exchange_of, unmasked_fields
from neurolink_mitm.ports import Runtime

PROBED = {(method, path) for method in ("GET", "HEAD") for path in (HEALTH_PATH, READY_PATH)}
"""What balancers ask, by whatever `Host` they have: an address, or none."""
OPEN_TO_ALL = PROBED | {("HEAD", "/"), ("POST", RESET_PATH)}
"""Paths that need no client key: Claude Code's probe of `/` carries none; a reset asks for the admin token itself."""


class Gate:
    """Admits requests by their head. The data plane refuses a request that is not admitted.

    So it denies first: should this break, which mitmproxy only logs, nobody gets on.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None:
            return
        refusal = self._refusal(flow, exchange)
        if refusal is None:
            exchange.admitted = True
        elif not flow.response:  # else an earlier addon has answered, and that stays
            flow.response = error_response(refusal, exchange.request_id)

    def _refusal(self, flow: http.HTTPFlow, exchange: Exchange) -> Reply | None:
        fields = unmasked_fields(flow)
        runtime = self.runtime
        asked = exchange.method, exchange.path.partition("?")[0]
        refusal = access.head_refusal(
            fields,
            bound=runtime.host,
            names=runtime.names,
            hosts=runtime.config.listen.hosts,
            any_host=asked in PROBED,
        )
        if refusal or asked in OPEN_TO_ALL:
            return refusal
        if exchange.kind is Kind.LOCAL and access.is_owner(fields, runtime.admin_token):
            return None
        key = access.presented_key(fields, self._keys(), bound=runtime.host)
        if isinstance(key, Reply):
            return key
        if isinstance(key, ClientKey):
            exchange.client_key = key
            if not runtime.passthrough:
                now = runtime.clock.now()
                return runtime.client_limits.refusal(exchange, runtime.pool.budget, now)
        return None

    def _keys(self) -> tuple[access.Key, ...]:
        """Return the client keys, and the admin token: `setup` tries the proxy with it.

        In passthrough the token is no key, as it would go on to upstream.
        """
        keys, token = self.runtime.client_keys, self.runtime.admin_token
        return (*keys, token) if keys and token and not self.runtime.passthrough else keys
