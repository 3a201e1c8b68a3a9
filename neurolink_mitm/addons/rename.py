from __future__ import annotations

import msgspec
from mitmproxy import http

from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_groups import LARGE
from neurolink_mitm.core.json_spans import Edit
from neurolink_mitm.mitm.hooks import exchange_of
from neurolink_mitm.ports import Runtime


class Rename:
    """Asks Anthropic for the model that a mapping names, in place of the one that the client asked for."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if flow.response or exchange is None or exchange.account is None or exchange.route is None:
            return
        wanted = exchange.route.model
        body = flow.request.raw_content
        if exchange.account.is_anthropic and wanted != exchange.model and body:
            root = spans.root(body)
            lone = spans.lone_string(body, root, "model") if len(body) > LARGE else None
            at = lone or spans.member(body, root, "model")
            if at:
                flow.request.content = spans.apply(body, [Edit(at, msgspec.json.encode(wanted))])
