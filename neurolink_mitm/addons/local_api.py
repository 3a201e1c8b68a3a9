from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Mapping

import msgspec
from mitmproxy import http

from neurolink_mitm.core.auth.access import is_owner
from neurolink_mitm.core.cost.client_limits import may_ask_for, model_not_allowed
from neurolink_mitm.core.exchange import Exchange, Kind, Reply
from neurolink_mitm.core.openai.unserved import forbidden, not_mapped
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.providers import models
from neurolink_mitm.core.request.routing import (
    DASHBOARD_LINK_PATH,
    METRICS_PATH,
    READY_PATH,
    RESET_PATH,
    methods_of,
    model_asked_for,
)
from neurolink_mitm.core.status import explain, status
from neurolink_mitm.core.status.in_flight import Shown, all_shown
from neurolink_mitm.core.status.metrics import current_points
from neurolink_mitm.dataplane.hooks import (
    error_response,
    exchange_of,
    json_response,
    openai_refusal,
    unmasked_fields,
)
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

Page = dict[str, object]
DIGEST = re.compile("[0-9a-f]{64}")
NO_DASHBOARD = "this proxy has no dashboard"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of `/metrics`."""
BY_CLIENT = "# HELP proxy_client_"
"""How the metrics of each client begin in the text."""
CLAUDE_CODE = "claude-code"
STATUS_PATH = "/status"
MANY = 20
"""Accounts whose report takes some milliseconds."""
BROKEN = Reply(500, "api_error", "NeuroLink could not make this page")
NOT_ALLOWED = Reply(405, "invalid_request_error", "this path is asked with another method")


class LocalApi:
    """Answers the proxy's own paths, such as `/health`, `/ready`, `/status`, `/v1/models`; describes models."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        exchange = exchange_of(flow)
        if flow.response or exchange is None:
            return None
        if exchange.kind is Kind.API:
            self._model(flow, exchange)
            return None
        if exchange.kind is not Kind.LOCAL:
            return None
        # If what follows breaks, the request must not go on: it would be sent on an account.
        flow.response = error_response(BROKEN, exchange.request_id)
        path = exchange.path.partition("?")[0]
        if flow.request.method not in (allowed := methods_of(path)):
            flow.response = error_response(NOT_ALLOWED, exchange.request_id)
            flow.response.headers["allow"] = ", ".join(allowed)
        elif path == READY_PATH:
            self._ready(flow)
        elif path == METRICS_PATH:
            return self._metrics(flow, exchange)
        elif path == STATUS_PATH and len(self.runtime.pool.accounts) > MANY:
            return self._status(flow, exchange)
        else:
            page = self._owners(path, flow) or self._page(path, flow, exchange)
            if isinstance(page, Reply):
                _answer(flow, error_response(page, exchange.request_id))
            else:
                _answer(flow, json_response(200, msgspec.json.encode(page)))
        return None

    def _ready(self, flow: http.HTTPFlow) -> None:
        """Answer a balancer: 503 while callers should not be sent here."""
        readiness = self.runtime.readiness
        ready = readiness.asked(flow.client_conn.peername[0], time.monotonic())
        response = json_response(
            200 if ready else 503, msgspec.json.encode({"status": readiness.phase})
        )
        response.headers["cache-control"] = "no-store"
        _answer(flow, response)

    def _model(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer which model a name is, if that is known here, or if the client is OpenAI's: others ask Anthropic."""
        name = model_asked_for(exchange.method, exchange.path)
        if name is None or self.runtime.passthrough:
            return
        routing = self.runtime.config.routing
        model = models.find(name, routing, self.runtime.pool.fallbacks)
        refusal = model_not_allowed(exchange.client_key, name, routing)
        if refusal and "anthropic-version" in flow.request.headers:
            _answer(flow, error_response(refusal, exchange.request_id))
        elif refusal:
            _answer(flow, openai_refusal(forbidden(refusal), exchange.request_id))
        elif model:
            _answer(flow, json_response(200, msgspec.json.encode(models.entry(model))))
        elif name.startswith("claude-") or "anthropic-version" in flow.request.headers:
            return
        else:
            unknown = not_mapped(name, models.served(routing))
            _answer(flow, openai_refusal(unknown, exchange.request_id))
        exchange.kind = Kind.LOCAL

    async def _metrics(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer with the Prometheus text, which takes a second where there are hundreds of accounts.

        A named client key is not shown what other clients used.
        """
        runtime, now = self.runtime, self.runtime.clock.now()

        def text() -> str:
            replica = runtime.cluster.name if runtime.cluster else None
            parts = runtime.metrics.page(current_points(runtime, now), replica)
            return "".join(p for p in parts if not (exchange.client and p.startswith(BY_CLIENT)))

        page = await run_in_thread(text)
        _answer(flow, http.Response.make(200, page, {"content-type": PROMETHEUS}))

    async def _status(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Answer with `/status` of many accounts."""
        now = self.runtime.clock.now()
        finish = status.begin_report(self.runtime, now, self._shown(flow, exchange))
        explained = self._explained(flow.request.query, now)
        body = await run_in_thread(lambda: msgspec.json.encode(finish() | explained))
        _answer(flow, json_response(200, body))

    def _page(self, path: str, flow: http.HTTPFlow, exchange: Exchange) -> Page:
        now = self.runtime.clock.now()
        match path:
            case "/health":
                return status.health(self.runtime, now)
            case "/status":
                shown = self._shown(flow, exchange)
                page = status.report(self.runtime, now, shown)
                return page | self._explained(flow.request.query, now)
            case "/v1/models":
                offered = models.offered(self.runtime.config.routing)
                key = exchange.client_key
                return models.listing([each for each in offered if may_ask_for(key, each.id)])
        dashboard = self.runtime.dashboard
        return status.banner(dashboard.url if dashboard else None)

    def _shown(self, flow: http.HTTPFlow, asking: Exchange) -> Shown:
        """Return who sees which requests: where client keys are demanded, all but the owner see their own only."""
        runtime = self.runtime
        if not runtime.client_keys or is_owner(unmasked_fields(flow), runtime.admin_token):
            return all_shown
        return lambda each: asking.client is not None and each.client == asking.client

    def _explained(self, query: Mapping[str, str], now: float) -> Page:
        """Return which account the next request would use, for `?explain` with `model` and `client`."""
        if "explain" not in query:
            return {}
        requirements = Requirements(
            query.get("client", CLAUDE_CODE) == CLAUDE_CODE, query.get("model") or None
        )
        if self.runtime.passthrough:
            return explain.preview_passthrough(self.runtime.pool, requirements.model)
        return explain.preview_route(
            self.runtime.pool, self.runtime.config.routing, requirements, now
        )

    def _owners(self, path: str, flow: http.HTTPFlow) -> Page | Reply | None:
        """Return the page of a path that is the owner's alone; None for other paths."""
        if path not in (RESET_PATH, DASHBOARD_LINK_PATH):
            return None
        if not is_owner(unmasked_fields(flow), self.runtime.admin_token):
            return Reply(403, "permission_error", "only the neurolink command may ask for this")
        return self._reset(flow) if path == RESET_PATH else self._dashboard_link(flow)

    def _dashboard_link(self, flow: http.HTTPFlow) -> Page | Reply:
        """Take the digest of a link's token. Who asks keeps the token: flows are shown, and written to files."""
        dashboard = self.runtime.dashboard
        if dashboard is None or dashboard.url is None:
            return Reply(404, "not_found_error", dashboard.fault if dashboard else NO_DASHBOARD)
        link = flow.request.query.get("link", "")
        if not DIGEST.fullmatch(link):
            return Reply(400, "invalid_request_error", "link: the SHA-256 of a token")
        dashboard.expect(link)
        return {"url": dashboard.url}

    def _reset(self, flow: http.HTTPFlow) -> Page | Reply:
        pool = self.runtime.pool
        try:
            accounts = pool.reset_named(flow.request.query.get("account"))
        except LookupError as e:
            return Reply(404, "not_found_error", str(e))
        self.runtime.state_store.cooldowns(pool.cooldowns())
        return {"reset": [account.label for account in accounts]}


def _answer(flow: http.HTTPFlow, response: http.Response) -> None:
    if flow.request.method == "HEAD":
        response.data.content = b""  # the headers stay those of a GET
    flow.response = response
