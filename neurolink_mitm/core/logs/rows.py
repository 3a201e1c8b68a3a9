"""The rows of the journal: one per finished request, one per upstream attempt. Fields are those of docs/logs.md."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from neurolink_mitm.core.exchange import Attempt, Exchange, Kind, Outcome
from neurolink_mitm.core.logs.timestamps import FIRST, LAST
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.pool.accounts import ANTHROPIC, Account
from neurolink_mitm.core.redact.text import redact, short
from neurolink_mitm.core.request.endpoints import MESSAGES
from neurolink_mitm.core.request.routing import READY_PATH

CLIENT_LEFT = Outcome.CANCELLED.value
"""The `errorType` of an attempt that the client left."""
PROXY_STOPPED = "proxy_stopped"
"""The error type of an attempt that ended, before a response could be passed on, because the proxy stops."""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A finished request. Times are milliseconds; tokens are null if the response has none."""

    timestamp: str
    requestId: str
    method: str
    path: str
    model: str | None
    actualModel: str | None
    provider: str | None
    stream: bool
    toolCount: int
    account: str | None
    accountType: str | None
    responseStatus: int | None
    responseTimeMs: float
    ttfbMs: float | None
    attempts: int
    outcome: str
    stopReason: str | None
    inputTokens: int | None
    outputTokens: int | None
    cacheCreationTokens: int | None
    cacheReadTokens: int | None
    costUsd: float | None
    sessionId: str | None
    why: str
    traceId: str | None
    spanId: str | None
    cacheCreation1hTokens: int | None = None
    """The part of `cacheCreationTokens` that is cached for an hour; the rest is for five minutes."""
    webSearchRequests: int | None = None
    api: str = Api.ANTHROPIC.value
    """The API that the client speaks: one of `Api`."""
    client: str | None = None
    """The name of the client key."""
    agentId: str | None = None
    parentAgentId: str | None = None
    userId: str | None = None
    """`x-neurolink-user-id`."""
    conversationId: str | None = None
    """`x-neurolink-conversation-id`."""
    heldMs: float = 0.0
    """How long it waited for an account."""
    movedCacheTokens: int | None = None
    """Tokens written to a prompt cache again, since the session moved to another account; null: it did not move."""
    replica: str | None = None
    """The name of the replica that answered; null without a cluster."""


class AttemptRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An upstream attempt. Times are milliseconds.

    `errorType` is null after a good response, `CLIENT_LEFT` or `PROXY_STOPPED` if nobody waited for it.

    Utilization is a share of 1.0.
    """

    timestamp: str
    requestId: str
    attempt: int
    account: str | None
    accountType: str | None
    provider: str
    responseStatus: int | None
    errorType: str | None
    durationMs: float | None
    cooldownMs: float
    backoffLevel: int
    retryAfter: float | None
    upstreamRequestId: str | None
    utilization5h: float | None = None
    utilization7d: float | None = None
    replaced: int = 0
    """The number of words that shaping replaced; the words are logged nowhere."""
    endpoint: str = MESSAGES
    """The endpoint whose limits it counts against: one of `endpoints.ENDPOINTS`."""
    connectMs: float = 0.0
    """To connect; like `tlsMs`, 0 on a reused connection."""
    tlsMs: float = 0.0
    waitMs: float | None = None
    """From the request being sent to the first byte of the response; null: none came."""
    reused: bool = False
    """Whether its connection was open before."""


class DebugRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One side of a captured request. `bodyPath` is relative to the directory of logs."""

    timestamp: str
    requestId: str
    attempt: int | None
    phase: str
    account: str | None
    method: str | None
    url: str | None
    status: int | None
    durationMs: float | None
    headers: list[tuple[str, str]]
    bodyPath: str | None
    bodyBytes: int


def request_row(exchange: Exchange, replica: str | None = None) -> RequestRow:
    """Return the row of a finished exchange, answered by `replica`."""
    account = exchange.account
    usage = exchange.usage
    ended = exchange.ended_at if exchange.ended_at is not None else exchange.began_at
    return RequestRow(
        timestamp=iso(exchange.began_at),
        requestId=exchange.request_id,
        method=exchange.method,
        path=redact(short(exchange.path)),
        model=exchange.model,
        actualModel=_actual_model(exchange, account),
        provider=_provider(account) if exchange.attempts else None,
        stream=exchange.stream,
        toolCount=exchange.tool_count,
        account=account.label if account else None,
        accountType=account.type if account else None,
        responseStatus=exchange.status,
        responseTimeMs=_ms_since(ended, exchange.began_at) or 0.0,
        ttfbMs=_ms_since(exchange.first_byte_at, exchange.began_at),
        attempts=len(exchange.attempts),
        outcome=exchange.outcome or "error",
        stopReason=usage.stop_reason,
        inputTokens=usage.input_tokens,
        outputTokens=usage.output_tokens,
        cacheCreationTokens=usage.cache_creation_tokens,
        cacheReadTokens=usage.cache_read_tokens,
        costUsd=exchange.cost_usd,
        sessionId=_label(exchange.session_id or exchange.labels.get("session")),
        why=redact(_why(exchange)),
        traceId=exchange.trace_id or None,
        spanId=exchange.span_id or None,
        cacheCreation1hTokens=usage.cache_creation_1h_tokens,
        webSearchRequests=usage.web_search_requests,
        api=exchange.api.value,
        client=_label(exchange.client),
        agentId=_label(exchange.agent_id),
        parentAgentId=_label(exchange.parent_agent_id),
        userId=_label(exchange.labels.get("user")),
        conversationId=_label(exchange.labels.get("conversation")),
        heldMs=_ms(exchange.held_seconds),
        movedCacheTokens=exchange.moved_cache_tokens,
        replica=replica,
    )


def _label(text: str | None) -> str | None:
    """Return an id that a client has invented, as it can be logged: cut, on one line, without secrets."""
    if not text:
        return None
    if not text.isprintable():
        text = "".join(each if each.isprintable() else "?" for each in text)
    return redact(short(text))


def _actual_model(exchange: Exchange, account: Account | None) -> str | None:
    """Return the model that was asked last: the answer of another provider may bear the name that the client used."""
    if account and not account.is_anthropic:
        return exchange.model_at(account)
    return exchange.usage.model or exchange.model


def attempt_row(exchange: Exchange, attempt: Attempt) -> AttemptRow:
    """Return the row of one attempt of an exchange."""
    account = attempt.account
    return AttemptRow(
        timestamp=iso(attempt.sent_at),
        requestId=exchange.request_id,
        attempt=attempt.number,
        account=account.label if account else None,
        accountType=account.type if account else None,
        provider=_provider(account),
        responseStatus=attempt.status,
        errorType=_error_type(exchange, attempt),
        durationMs=_ms_since(attempt.ended_at, attempt.sent_at),
        cooldownMs=_ms(attempt.cooldown),
        backoffLevel=attempt.backoff_level,
        retryAfter=attempt.retry_after,
        upstreamRequestId=attempt.upstream_request_id,
        utilization5h=attempt.utilization_5h,
        utilization7d=attempt.utilization_7d,
        endpoint=exchange.endpoint,
        replaced=attempt.replaced,
        connectMs=_ms(attempt.connect_seconds, 2),
        tlsMs=_ms(attempt.tls_seconds, 2),
        waitMs=None if attempt.wait_seconds is None else _ms(attempt.wait_seconds, 2),
        reused=attempt.reused,
    )


def _error_type(exchange: Exchange, attempt: Attempt) -> str | None:
    if attempt.failure:
        return attempt.failure.error_type
    if exchange.left_upstream:
        return CLIENT_LEFT
    return None if exchange.served else PROXY_STOPPED


def _provider(account: Account | None) -> str:
    """Return the provider of an account; without one the request is forwarded to Anthropic."""
    return account.provider if account else ANTHROPIC


def worth_a_row(exchange: Exchange) -> bool:
    """Tell whether a request is logged: probes and status pages are not, refused requests are."""
    if exchange.kind is not Kind.LOCAL:
        return True
    # 503 is what a balancer is answered while the proxy drains
    probe = exchange.status == 503 and exchange.path.partition("?")[0] == READY_PATH
    return exchange.outcome != "complete" and not probe


def iso(seconds: float) -> str:
    """Return an ISO 8601 timestamp in UTC, with milliseconds, within the years 1 to 9999."""
    if not FIRST <= seconds < LAST:  # also if it is not a number
        seconds = FIRST if seconds < FIRST else LAST
    rest, whole = math.modf(seconds)
    carry, micro = divmod(round(rest * 1_000_000), 1_000_000)
    return f"{_second(int(whole) + carry)}.{micro // 1000:03d}Z"


@lru_cache(maxsize=64)  # rows of one second share it
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def _ms(seconds: float, digits: int = 1) -> float:
    return round(seconds * 1000, digits)


def _why(exchange: Exchange) -> str:
    held = exchange.held_seconds
    return f"held for {held:.1f} s; {exchange.why}" if held >= 0.1 else exchange.why


def _ms_since(moment: float | None, start: float) -> float | None:
    """Return the milliseconds between two times; 0 if the clock was set back."""
    return None if moment is None else max(0.0, _ms(moment - start))
