from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime


class Notices:
    """Lets the notices know who has served a request."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def response(self, flow: http.HTTPFlow) -> None:
        notices, exchange = self.runtime.notices, exchange_of(flow)
        if notices is not None and exchange is not None:
            notices.served(exchange)

    error = response
