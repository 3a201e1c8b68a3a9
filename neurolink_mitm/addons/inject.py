from __future__ import annotations

from contextlib import suppress

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange, Kind
from neurolink_mitm.core.failover.unreachable import permanent_failure
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.routing import NOT_PLAIN, is_as_taken
from neurolink_mitm.core.request.target import Target, UpstreamKey, with_beta_query
from neurolink_mitm.dataplane.hooks import exchange_of, refuse, unmasked_fields
from neurolink_mitm.ports import Runtime


class Inject:
    """Points the attempt at its upstream and puts the account's credential in place of the caller's.

    Last of the attempt's addons: only when it has run to its end may the request be sent.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        attempt = exchange.attempt if exchange else None
        if flow.response or exchange is None or attempt is None:
            return
        account = attempt.account
        if account is None and exchange.kind is not Kind.FORWARD:
            return  # nobody has chosen one: what is for an account does not go with the caller's credential
        if account and not account.is_anthropic:
            return
        if not self._may_go(exchange, flow.request):
            refuse(flow, NOT_PLAIN)
            return
        base = account.base_url if account else self.runtime.config.default_base_url
        fields = self._fields(flow, account)
        self._aim(flow, exchange, Target.parse(base), fields)
        try:
            own = account.proxy_url if account else None
            attempt.via = self.runtime.proxies.via(base, own)
        except ValueError as e:
            attempt.failure = permanent_failure(str(e))
            return
        attempt.ready = True
        attempt.next_key = self._next_key(exchange, account) if account else None

    def _next_key(self, exchange: Exchange, account: Account) -> UpstreamKey | None:
        """Return the way of the account that would be next, where accounts go different ways."""
        pool, clock = self.runtime.pool, self.runtime.clock
        if not pool.has_several_ways:
            return None
        other = pool.next_after(account, exchange.requirements, clock.now())
        if other is None:
            return None
        target = Target.parse(other.base_url)
        pins = self.runtime.shaping.pins_of(target.host, other.type)
        with suppress(ValueError):  # a fault of its HTTP proxy's, which its own attempt tells
            via = self.runtime.proxies.via(other.base_url, other.proxy_url)
            return UpstreamKey.of(target, via, pins)
        return None

    def _may_go(self, exchange: Exchange, request: http.Request) -> bool:
        """Check the path again: an addon of the user's may have changed it."""
        return self.runtime.passthrough or is_as_taken(exchange.kind, request.method, request.path)

    @staticmethod
    def _fields(flow: http.HTTPFlow, account: Account | None) -> headers.Fields:
        fields = headers.without_ours(unmasked_fields(flow))
        if account is None:
            return headers.end_to_end(fields)
        return headers.for_account(fields, account.secret.reveal(), oauth=account.type == "oauth")

    @staticmethod
    def _aim(
        flow: http.HTTPFlow, exchange: Exchange, target: Target, fields: headers.Fields
    ) -> None:
        path = flow.request.path
        if exchange.kind is Kind.MESSAGES:
            path = with_beta_query(path)
        request = flow.request
        request.data.scheme = target.scheme.encode()
        request.data.host, request.data.port = target.host, target.port
        request.data.path = (target.prefix + path).encode("utf-8", "surrogateescape")
        request.headers = http.Headers(
            headers.replace(fields, {b"host": target.authority.encode("idna")})
        )
