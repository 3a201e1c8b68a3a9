"""The hooks that the data plane adds to mitmproxy's, and what addons read and write of a flow there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from mitmproxy import http
from mitmproxy.proxy.commands import StartHook

from neurolink_mitm.core.exchange import Deliver, Exchange, Reply
from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.logs.summary import Summary, summary
from neurolink_mitm.core.openai.errors import INVALID, RequestError
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.dataplane.original_request import save_shown_request

OVERLOADED = 529
"""Anthropic's own status, for which HTTP has no phrase."""
SUMMARY = "neurolink"
"""Key of `flow.metadata`, which mitmproxy saves with the flow: plain values only."""
_EXCHANGE = "neurolink_exchange"
_SAVED = "neurolink_saved"
_STATE = "neurolink_state"
_MASKED = "neurolink_masked"
_POOL = "neurolink_pool"
_RESUME = "neurolink_resume"
"""Attributes of a flow, which mitmproxy neither copies nor saves."""


@dataclass
class AttemptHook(StartHook):
    """`attempt(flow)`: the request is about to be sent upstream.

    `flow.request` is what the client sent, anew for each attempt. Addons choose where it goes and change it for that;
    they set `Attempt.ready` of `Exchange.attempt`, or `flow.response` to answer without upstream.
    """

    name = "attempt"
    flow: http.HTTPFlow


@dataclass
class AttemptFailedHook(StartHook):
    """`attempt_failed(flow)`: the attempt has failed, and nothing of it has reached the client.

    `Attempt.failure` is the cause; `flow.response` is upstream's response if it was complete. Addons set the next
    action as `Exchange.step`.
    """

    name = "attempt_failed"
    flow: http.HTTPFlow


@dataclass
class HoldHook(StartHook):
    """`hold(flow)`: the request waits for an account, as `Exchange.step` says, until `resume` is called for it.

    It goes on in any case at that step's end; while it waits, nothing is sent to the client, who may leave.
    """

    name = "hold"
    flow: http.HTTPFlow


@dataclass
class ResponseCompleteHook(StartHook):
    """`response_complete(flow)`: the last byte of a long response in another API's form has come.

    Addons prepare what their `stream` gives at the end, which comes next; one that takes long is awaited.
    """

    name = "response_complete"
    flow: http.HTTPFlow


def mark_pool_flow(flow: http.HTTPFlow) -> None:
    """Mark a flow of our data plane, to tell it from flows of mitmproxy's other modes and from loaded ones."""
    setattr(flow, _POOL, True)


def is_pool_flow(flow: http.HTTPFlow) -> bool:
    """Tell whether `mark_pool_flow` has marked this flow."""
    return getattr(flow, _POOL, False)


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """Return the exchange of this flow; None before `trace` has made it and after `journal` has written its rows."""
    return getattr(flow, _EXCHANGE, None)


def attach_exchange(flow: http.HTTPFlow, exchange: Exchange) -> None:
    setattr(flow, _EXCHANGE, exchange)


def detach_exchange(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Let go of the exchange; a flow with masked credentials gets its summary, which can be saved and shown."""
    setattr(flow, _EXCHANGE, None)
    if getattr(flow, _MASKED, False):
        flow.metadata[SUMMARY] = summary(exchange)
        save_shown_request(flow)


def make_resumable(flow: http.HTTPFlow, go_on: Callable[[], object]) -> None:
    """Let `resume` call `go_on`."""
    setattr(flow, _RESUME, go_on)


def resume(flow: http.HTTPFlow) -> None:
    """Let a request that is held go on: its next attempt begins. Nothing happens to one that is not."""
    go_on: Callable[[], object] | None = getattr(flow, _RESUME, None)
    if go_on:
        go_on()


def save_response(flow: http.HTTPFlow, response: http.Response | None) -> None:
    """Save upstream's latest response, which is delivered if no further attempt is made."""
    setattr(flow, _SAVED, response)


def saved_response(flow: http.HTTPFlow) -> http.Response | None:
    return getattr(flow, _SAVED, None)


def flow_state(flow: http.HTTPFlow) -> dict[str, Any]:
    """Return the addons' own values for this flow, by keys of theirs, until the flow ends."""
    state: dict[str, Any] | None = getattr(flow, _STATE, None)
    if state is None:
        setattr(flow, _STATE, state := {})
    return state


def summary_of(flow: http.HTTPFlow) -> Summary | None:
    """Return the summary so far, or of the finished flow; None for a flow that never was the pool's."""
    exchange = exchange_of(flow)
    if exchange is not None:
        return summary(exchange)
    saved = flow.metadata.get(SUMMARY)
    return saved if isinstance(saved, dict) else None


def mask_credentials(flow: http.HTTPFlow) -> None:
    """Mask the request's credentials in the flow that mitmweb shows; `unmasked_fields` still returns them."""
    setattr(flow, _MASKED, True)
    exchange = exchange_of(flow)
    if exchange is not None:
        fields = unmasked_fields(flow)
        (exchange.attempt or exchange).masked = headers.sensitive_fields(fields)
        flow.request.headers.fields = headers.mask_fields(fields)


def unmasked_fields(flow: http.HTTPFlow) -> headers.Fields:
    """Return the request's header fields with the credentials that `mask_credentials` has masked."""
    fields = flow.request.headers.fields
    exchange = exchange_of(flow)
    masked = (exchange.attempt or exchange).masked if exchange else ()
    return headers.unmask_fields(fields, masked) if masked else fields


def final_response(flow: http.HTTPFlow, exchange: Exchange) -> http.Response | None:
    """Return the response for the client; None if there is another attempt."""
    if isinstance(exchange.step, Deliver):
        return saved_response(flow)
    if isinstance(exchange.step, Reply):
        return error_response(exchange.step, exchange.request_id)
    return None


def send_edited_body(flow: http.HTTPFlow, index: BodyIndex) -> None:
    """Put the body of `index` into the request, and let later addons use that index instead of a new one."""
    exchange = exchange_of(flow)
    if exchange and exchange.index and index.body is not flow.request.raw_content:
        flow.request.content = index.body  # sets content-length, too
        exchange.index.follow(index)


def json_response(status: int, body: bytes) -> http.Response:
    """Return a response of our own."""
    response = http.Response.make(status, body, {"content-type": "application/json"})
    response.reason = reason_phrase(status)
    return response


def reason_phrase(status: int) -> str:
    """Return the phrase of a status line: some clients need one, and mitmproxy's table has gaps."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == OVERLOADED else "Error"


def refuse(flow: http.HTTPFlow, reply: Reply) -> None:
    """Answer with `reply` instead of sending the attempt."""
    exchange = exchange_of(flow)
    flow.response = error_response(reply, exchange.request_id if exchange else "")
    if exchange:
        exchange.why = reply.message


def openai_refusal(error: RequestError, request_id: str = "") -> http.Response:
    """Return the response to a request in OpenAI's form that can't be served."""
    response = error_response(Reply(error.status, INVALID, str(error)), request_id)
    response.content = error.body
    return response


def error_response(reply: Reply, request_id: str = "") -> http.Response:
    """Return `reply` as a response in Anthropic's error format."""
    body = error_body(reply.error_type, reply.message, request_id)
    response = json_response(reply.status, body)
    if reply.retry_after is not None:
        response.headers["retry-after"] = str(reply.retry_after)
    # else Claude Code and the SDKs repeat a 401 or 503 ten times before they show it
    if reply.hopeless:
        response.headers["x-should-retry"] = "false"
    return response
