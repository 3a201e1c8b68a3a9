from __future__ import annotations

from collections.abc import Awaitable

import msgspec
from mitmproxy import http

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.json_spans import Edit
from neurolink_mitm.dataplane.hooks import exchange_of, refuse, send_edited_body
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

AMBIGUOUS = Reply(
    400,
    "invalid_request_error",
    "the model can't be mapped: a member of the request occurs twice, or its name is no text",
)


class ModelMapping:
    """Replaces the client's model by the Anthropic model that a mapping names."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the work takes long."""
        exchange, body = exchange_of(flow), flow.request.raw_content
        if flow.response or exchange is None or exchange.index is None or not body:
            return None
        account = exchange.current_account
        if account is None or not account.is_anthropic or exchange.route is None:
            return None
        wanted = exchange.route.model
        if wanted == exchange.model:
            return None
        index = exchange.index.of(body)
        if index.takes_long:
            return _in_thread(flow, index, wanted)
        _take(flow, _mapped(index, wanted))
        return None


def _mapped(index: BodyIndex, wanted: str) -> BodyIndex | Reply:
    """Return the request for the model `wanted`, or why it can't be made: it must not go out with the client's."""
    try:
        span = index.member("model")
    except ValueError:
        return AMBIGUOUS
    return index.edited([Edit(span, msgspec.json.encode(wanted))]) if span else index


async def _in_thread(flow: http.HTTPFlow, index: BodyIndex, wanted: str) -> None:
    _take(flow, await run_in_thread(lambda: _mapped(index, wanted)))


def _take(flow: http.HTTPFlow, mapped: BodyIndex | Reply) -> None:
    if isinstance(mapped, Reply):
        refuse(flow, mapped)
    else:
        send_edited_body(flow, mapped)
