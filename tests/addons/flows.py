"""Flows as the addons meet them."""

from __future__ import annotations

import json
from typing import Any

from mitmproxy import http
from mitmproxy.test import tflow, tutils

from neurolink_mitm.core.exchange import Attempt, Exchange
from neurolink_mitm.core.request.routing import kind_of
from neurolink_mitm.dataplane.hooks import attach_exchange, exchange_of, mark_pool_flow
from tests.fakes import make_exchange

MESSAGE = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}
HOST = {"host": "127.0.0.1:55669"}


def make_flow(
    method: str = "POST",
    path: str = "/v1/messages",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    *,
    opened: bool = True,
    ours: bool = True,
    **exchange: Any,
) -> http.HTTPFlow:
    """A request by a client. Unless `opened` is false it has its record, changed by `exchange`.

    Unless `ours` is false it comes through our data plane.
    """
    content = json.dumps(MESSAGE).encode() if body is None else body
    request = tutils.treq(
        method=method.encode(),
        path=path.encode(),
        headers=http.Headers(
            [(k.encode(), v.encode()) for k, v in (HOST | (headers or {})).items()]
        ),
        content=content,
    )
    flow = tflow.tflow(req=request)
    if ours:
        mark_pool_flow(flow)
    if opened:
        known: dict[str, Any] = {"method": method, "path": path, "kind": kind_of(method, path)}
        attach_exchange(flow, make_exchange(**known | exchange))
    return flow


def answer(flow: http.HTTPFlow, status: int = 200, body: bytes = b"{}") -> http.Response:
    """Let the flow have an answer."""
    flow.response = http.Response.make(status, body, {"content-type": "application/json"})
    return flow.response


def record(flow: http.HTTPFlow) -> Exchange:
    found = exchange_of(flow)
    assert found is not None
    return found


def current(flow: http.HTTPFlow) -> Attempt:
    """The attempt that is under way."""
    found = record(flow).attempt
    assert found is not None
    return found


def document(flow: http.HTTPFlow) -> Any:
    """What the client is answered."""
    assert flow.response is not None
    assert flow.response.headers["content-type"] == "application/json"
    return json.loads(flow.response.content or b"null")


def refusal(flow: http.HTTPFlow) -> tuple[int, str]:
    """Status and type of an error in Anthropic's form."""
    assert flow.response is not None, "expected a refusal, but it was let through"
    found = document(flow)
    assert found["type"] == "error"
    assert found["error"]["message"]
    return flow.response.status_code, found["error"]["type"]
