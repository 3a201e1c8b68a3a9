from __future__ import annotations

from collections.abc import Awaitable

from mitmproxy import http

from neurolink_mitm.core.cost.client_limits import model_not_allowed
from neurolink_mitm.core.exchange import Exchange, Kind, Reply
from neurolink_mitm.core.openai import unserved
from neurolink_mitm.core.openai.embeddings import embeddings_request
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.providers.catalog import missing_access
from neurolink_mitm.core.providers.embeddings import embeddings_route
from neurolink_mitm.core.request.body import takes_long
from neurolink_mitm.dataplane.codings import CodingError, unpacked
from neurolink_mitm.dataplane.hooks import error_response, exchange_of, openai_refusal
from neurolink_mitm.dataplane.original_request import save_client_request
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

BROKEN = Reply(500, "api_error", "NeuroLink refused: the request was not routed")


class Embeddings:
    """Routes a request for embeddings to the one provider that it is for. It never goes to the pool."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the body takes long to read."""
        exchange = exchange_of(flow)
        if flow.response or exchange is None or exchange.kind is not Kind.EMBEDDINGS:
            return None
        if self.runtime.passthrough:
            return None
        # If what follows breaks, the request must not go on: it would be sent on an account.
        flow.response = error_response(BROKEN, exchange.request_id)
        body = flow.request.raw_content or b""
        coding = flow.request.headers.get("content-encoding", "")
        if coding or takes_long(body):
            return self._in_thread(flow, exchange, body, coding)
        self._take(flow, exchange, _read(body, coding))
        return None

    async def _in_thread(
        self, flow: http.HTTPFlow, exchange: Exchange, body: bytes, coding: str
    ) -> None:
        self._take(flow, exchange, await run_in_thread(lambda: _read(body, coding)))

    def _take(
        self, flow: http.HTTPFlow, exchange: Exchange, read: tuple[str, bytes] | RequestError
    ) -> None:
        refusal = read if isinstance(read, RequestError) else self._route(exchange, read[0])
        if refusal:
            flow.response = openai_refusal(refusal, exchange.request_id)
            exchange.why = str(refusal)
        elif not isinstance(read, RequestError):
            if read[1] is not flow.request.raw_content:
                save_client_request(flow)
                del flow.request.headers["content-encoding"]
                flow.request.content = read[1]  # sets content-length, too
            flow.response = None

    def _route(self, exchange: Exchange, model: str) -> RequestError | None:
        runtime = self.runtime
        pool, config = runtime.pool, runtime.config
        exchange.model = model
        if refusal := model_not_allowed(exchange.client_key, model, config.routing):
            return unserved.forbidden(refusal)
        try:
            exchange.route = route = embeddings_route(
                model,
                config.routing,
                pool.fallbacks,
                lambda provider: missing_access(provider, config.providers, runtime.environ),
            )
        except RequestError as e:
            return e
        entry = next((each for each in pool.fallbacks if each.key in route.entries), None)
        capped = exchange.requirements.client_capped
        if entry and (
            why := pool.budget.unbounded(entry, route.model, runtime.prices, client_capped=capped)
        ):
            return RequestError(f"{entry.provider}/{route.model}: {why}", "model")
        return None


def _read(body: bytes, coding: str) -> tuple[str, bytes] | RequestError:
    """Return the model that is asked for, and the body without its coding."""
    try:
        plain = unpacked(body, coding) if coding else body
        return embeddings_request(plain).model, plain
    except RequestError as e:
        return e
    except CodingError as e:
        return RequestError(f"the request body can't be read: {e}", status=e.status)
