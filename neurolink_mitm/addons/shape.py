from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from mitmproxy import http

from neurolink_mitm.core.exchange import Attempt, Exchange, Kind, Reply
from neurolink_mitm.core.failover.errors import Failure, FailureStage, error_body
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.target import Target
from neurolink_mitm.core.shaping.outgoing import (
    About,
    OutgoingRequest,
    RefusedError,
    ResponseTransform,
)
from neurolink_mitm.core.shaping.pipeline import Chain, PluginError, UnfinishedError
from neurolink_mitm.dataplane.hooks import error_response, exchange_of, flow_state, refuse
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.shaping")

SHAPED = "neurolink.shaped"
"""Key of the response transforms and the number of their attempt."""
REPLACED = "neurolink.replaced"
"""Key of the numbers of words that the latest attempt hides, by kind."""
UNFINISHED = Reply(500, "api_error", "NeuroLink refused: request shaping was not finished")
UNRESTORED = Reply(500, "api_error", "NeuroLink broke off: a plugin failed to put the answer right")


class Shape:
    """Runs the shaping pipeline on each attempt and its transforms on the response. A failure refuses the request."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the work takes long."""
        exchange, shaping = exchange_of(flow), self.runtime.shaping
        attempt = exchange.attempt if exchange else None
        if flow.response or exchange is None or attempt is None:
            return None
        if exchange.kind is Kind.FORWARD or attempt.account is None:
            return None  # the caller's own, untouched
        if not shaping.rewriters or not shaping.applies(attempt.account.type):
            return None
        flow.response = error_response(UNFINISHED, exchange.request_id)
        outgoing = replace(_outgoing(flow, exchange, attempt.account), at_once=True)
        try:
            sent = _shaped(lambda: shaping.shape(outgoing), exchange.request_id)
        except UnfinishedError as e:
            return _in_thread(flow, exchange, attempt, e.go_on)
        _take(flow, exchange, attempt, sent)
        return None

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Transform the response: upstream's as it comes, our own at once, since it may quote upstream."""
        exchange, answer = exchange_of(flow), flow.response
        undo, attempt = flow_state(flow).get(SHAPED, ((), 0))
        if exchange is None or answer is None or not undo:
            return
        if answer.headers.get("content-encoding", "identity") != "identity":
            return  # can't be looked into
        if not answer.stream:
            chain = Chain.of(undo, stream=False)
            answer.content = chain.feed(answer.raw_content or b"") + chain.end()
        elif exchange.attempts[-1].number == attempt:
            answer.stream = _as_stream(undo, answer, exchange)

    def response(self, flow: http.HTTPFlow) -> None:
        """Forget the transforms: mitmweb keeps flows."""
        flow_state(flow).pop(SHAPED, None)

    error = response


def _shaped(do: Callable[[], OutgoingRequest], request_id: str) -> OutgoingRequest | Reply:
    """Return the shaped request, or the reason why nothing is sent."""
    try:
        return do()
    except RefusedError as e:
        return Reply(400, "invalid_request_error", f"NeuroLink sent nothing: {e}")
    except PluginError as e:
        logger.error("request %s was not sent: %s", request_id, e)
        return Reply(500, "api_error", f"NeuroLink sent nothing: {e}")


async def _in_thread(
    flow: http.HTTPFlow, exchange: Exchange, attempt: Attempt, go_on: Callable[[], OutgoingRequest]
) -> None:
    _take(flow, exchange, attempt, await run_in_thread(lambda: _shaped(go_on, exchange.request_id)))


def _take(
    flow: http.HTTPFlow, exchange: Exchange, attempt: Attempt, sent: OutgoingRequest | Reply
) -> None:
    if isinstance(sent, Reply):
        refuse(flow, sent)
        return
    attempt.pins = sent.pins
    flow.request.headers.fields = sent.fields
    if sent.body is not flow.request.raw_content and (sent.body or flow.request.raw_content):
        flow.request.content = sent.body  # sets content-length, too
    if sent.undo:
        flow_state(flow)[SHAPED] = sent.undo, attempt.number
    if sent.counts:
        flow.metadata[REPLACED] = dict(sent.counts)
        attempt.replaced = sum(sent.counts.values())
    flow.response = None


def _outgoing(flow: http.HTTPFlow, exchange: Exchange, account: Account) -> OutgoingRequest:
    assert exchange.kind is not None
    about = About(
        kind=exchange.kind,
        account=account.label,
        account_type=account.type,
        account_uuid=account.account_uuid,
        host=Target.parse(account.base_url).host if account.is_anthropic else "",
        claude_code=exchange.requirements.claude_code,
        user_id=exchange.user_id,
        target=flow.request.path,
    )
    fields = headers.without(flow.request.headers.fields, headers.CREDENTIALS - {b"cookie"})
    body = flow.request.raw_content or b""
    index = exchange.index.of(body) if exchange.index else None
    return OutgoingRequest(about, fields, body, index=index)


def _as_stream(
    undo: Sequence[ResponseTransform], answer: http.Response, exchange: Exchange
) -> Callable[[bytes], bytes]:
    events = answer.headers.get("content-type", "").startswith("text/event-stream")
    chain = Chain.of(undo, stream=events)
    broken = False

    def change(data: bytes) -> bytes:
        """Transform a chunk. Never raises: the data plane would leave the client waiting."""
        nonlocal broken
        if broken:
            return b""
        try:
            return chain.feed(data) if data else chain.end()
        except Exception as e:  # its text may hold what was taken out
            broken = True
            logger.error(
                "the answer to %s was broken off: a plugin's undo failed (%s)",
                exchange.request_id,
                type(e).__name__,
            )
            error = error_body(UNRESTORED.error_type, UNRESTORED.message, exchange.request_id)
            reader = exchange.reader
            if not events and reader and not reader.complete:
                # its head is with the client, and says that it went well: only a cut can say more
                reader.failure = Failure(FailureStage.EVENT, None, "unrestored", UNRESTORED.message)
                return b""
            if events:
                return b"event: error\ndata: " + error + b"\n\n"
            answer.status_code = UNRESTORED.status  # counts where the body was held to its end
            return error

    return change
