from __future__ import annotations

import msgspec
from mitmproxy import http

from neurolink_mitm.core import models, status
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.mitm.hooks import exchange_of, json_response
from neurolink_mitm.ports import Runtime


class LocalApi:
    """Answers what is asked of the proxy itself."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def request(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if flow.response or exchange is None or exchange.kind is not Kind.LOCAL:
            return
        page = self._page(exchange.path.partition("?")[0])
        flow.response = json_response(200, msgspec.json.encode(page))
        if flow.request.method == "HEAD":
            flow.response.data.content = b""  # the headers stay those of a GET

    def _page(self, path: str) -> dict[str, object]:
        match path:
            case "/health":
                return status.health(self.runtime, self.runtime.clock.now())
            case "/status":
                return status.report(self.runtime, self.runtime.clock.now())
            case "/v1/models":
                return models.listing()
        return status.banner()
