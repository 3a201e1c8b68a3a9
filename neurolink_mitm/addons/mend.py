from __future__ import annotations

from contextlib import suppress

from mitmproxy import http

from neurolink_mitm.core.exchange import Try
from neurolink_mitm.core.thinking import without_thinking
from neurolink_mitm.mitm.hooks import exchange_of
from neurolink_mitm.ports import Runtime


class Mend:
    """Takes out of the history what upstream has refused. The client's own copy of it is left alone."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if flow.response or exchange is None or not isinstance(exchange.step, Try):
            return
        body = flow.request.raw_content
        if exchange.step.mended and body:
            with suppress(ValueError):  # no conversation: there is nothing to take out
                if mended := without_thinking(body):
                    flow.request.content = mended  # sets content-length, too
