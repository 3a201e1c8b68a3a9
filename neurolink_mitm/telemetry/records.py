"""Build the spans, metric points and log record of a finished request, as plain values for `otlp_pipeline.py`.

They hold nothing of the request's and the response's content, and secrets in them are masked.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from neurolink_mitm.core.exchange import INFERENCE_KINDS, Attempt, Exchange, Kind, Outcome
from neurolink_mitm.core.logs.capture import encodable
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow, attempt_row, request_row
from neurolink_mitm.core.openai.api import SERVED, Api
from neurolink_mitm.core.pool.accounts import ANTHROPIC
from neurolink_mitm.core.redact.text import redact, short
from neurolink_mitm.core.request.trace_context import Caller
from neurolink_mitm.core.status.metrics import Point, gen_ai_points

LONGEST = 2000
"""Characters of an attribute's value at most."""

Value = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, Value]
Severity = Literal["INFO", "WARN", "ERROR"]
Row = TypeVar("Row", RequestRow, AttemptRow)

_PROVIDERS = {
    "google-ai": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
}
"""Names of providers in OpenTelemetry's conventions, where ours are others."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span. Times are in seconds since the epoch; `error` is the error's type, None for a span without error."""

    name: str
    span_id: str
    began_at: float
    ended_at: float
    attributes: Attributes
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """A log record."""

    severity: Severity
    text: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished request: its span, the spans of its attempts (children of it), its points and its log record."""

    caller: Caller | None
    trace_id: str
    request: Span
    attempts: tuple[Span, ...]
    points: tuple[Point, ...]
    """Points of `gen_ai.…` metrics; those of other metrics are recorded without a collector, too."""
    log: Log


def finished(exchange: Exchange, span_ids: Sequence[str]) -> Finished:
    """Return the telemetry of `exchange`, which has ended. `span_ids` are those of its attempts."""
    row = _plain(request_row(exchange))
    rows = tuple(_plain(attempt_row(exchange, attempt)) for attempt in exchange.attempts)
    error = error_type(exchange)
    model = row.model if exchange.attempts else None
    gen_ai = _gen_ai(exchange, row.provider, model)
    if exchange.attempts:
        gen_ai["gen_ai.response.model"] = row.actualModel
    gen_ai["error.type"] = error
    spans = zip(exchange.attempts, rows, span_ids, strict=True)
    return Finished(
        caller=exchange.caller,
        trace_id=exchange.trace_id,
        request=_request(exchange, row, error),
        attempts=tuple(_attempt(exchange, *each) for each in spans),
        points=tuple(gen_ai_points(row, gen_ai)) if exchange.kind in INFERENCE_KINDS else (),
        log=_log(row, error),
    )


def error_type(exchange: Exchange) -> str | None:
    """Return why `exchange` got no complete response; None where it did, or where the client left."""
    if exchange.outcome in (Outcome.COMPLETE, Outcome.CANCELLED):
        return None
    if exchange.outcome is Outcome.TRUNCATED:
        return "truncated"
    failure = exchange.attempts[-1].failure if exchange.attempts else None
    error = failure.error_type if failure else exchange.reader and exchange.reader.error
    return _text(error or str(exchange.status or "error"))


def _request(exchange: Exchange, row: RequestRow, error: str | None) -> Span:
    ended = exchange.began_at if exchange.ended_at is None else exchange.ended_at
    route = _route(exchange)
    attributes = {
        **_gen_ai(exchange, row.provider, row.model),
        "gen_ai.usage.input_tokens": row.inputTokens,
        "gen_ai.usage.output_tokens": row.outputTokens,
        "gen_ai.usage.cache_read.input_tokens": row.cacheReadTokens,
        "gen_ai.usage.cache_creation.input_tokens": row.cacheCreationTokens,
        "gen_ai.response.finish_reasons": (row.stopReason,) if row.stopReason else None,
        "gen_ai.response.model": row.actualModel if exchange.served else None,
        "gen_ai.conversation.id": row.sessionId,
        "http.request.method": row.method,
        "http.request.body.size": exchange.body_size,
        "http.route": route,
        "url.path": row.path.partition("?")[0],
        "http.response.status_code": row.responseStatus,
        "error.type": error,
        "neurolink.request_id": row.requestId,
        "neurolink.api": row.api,
        "neurolink.account.label": row.account,
        "neurolink.account.type": row.accountType,
        "neurolink.client": row.client,
        "neurolink.agent_id": row.agentId,
        "neurolink.parent_agent_id": row.parentAgentId,
        "neurolink.user_id": row.userId,
        "neurolink.conversation_id": row.conversationId,
        "neurolink.why": row.why or None,
        "neurolink.attempts": row.attempts,
        "neurolink.outcome": row.outcome,
        "neurolink.cost_usd": row.costUsd,
        "neurolink.stream": row.stream,
        "neurolink.tool_count": row.toolCount,
        "neurolink.time_to_first_byte_ms": row.ttfbMs,
    }
    return Span(
        name=f"{row.method} {route}",
        span_id=exchange.span_id,
        began_at=exchange.began_at,
        ended_at=ended,
        attributes=_without_none(attributes),
        error=error,
    )


def _attempt(exchange: Exchange, attempt: Attempt, row: AttemptRow, span_id: str) -> Span:
    model = _asked_upstream(exchange, [attempt])
    base = urlsplit(attempt.account.base_url if attempt.account else "")
    ended = attempt.ended_at if attempt.ended_at is not None else exchange.ended_at
    attributes = {
        **_gen_ai(exchange, row.provider, model),
        "server.address": base.hostname,
        "server.port": base.port,
        "http.request.method": exchange.method,
        "http.response.status_code": row.responseStatus,
        "http.request.resend_count": row.attempt - 1 or None,
        "error.type": row.errorType,
        "neurolink.account.label": row.account,
        "neurolink.account.type": row.accountType,
        "neurolink.attempt": row.attempt,
        "neurolink.cooldown_ms": row.cooldownMs or None,
        "neurolink.retry_after": row.retryAfter,
        "neurolink.upstream_request_id": row.upstreamRequestId,
        # OpenTelemetry's conventions name no times of a client's connection
        "neurolink.connect_ms": row.connectMs,
        "neurolink.tls_ms": row.tlsMs,
        "neurolink.wait_ms": row.waitMs,
        "neurolink.reused": row.reused,
    }
    return Span(
        name=f"{_operation(exchange)} {model or row.provider}",
        span_id=span_id,
        began_at=attempt.sent_at,
        ended_at=attempt.sent_at if ended is None else ended,
        attributes=_without_none(attributes),
        error=row.errorType if attempt.failure else None,  # a client that leaves is no error
    )


def _log(row: RequestRow, error: str | None) -> Log:
    """Return the log record with the fields of the row in the log of requests, by the same names."""
    fields = msgspec.structs.asdict(row)
    del fields["spanId"], fields["traceId"]  # the record has them by itself
    severity: Severity = "INFO"
    if error is not None:
        severity = "ERROR" if (row.responseStatus or 500) >= 500 else "WARN"
    status = row.responseStatus if row.responseStatus is not None else "no answer"
    text = f"{row.method} {row.path.partition('?')[0]} {status} {row.outcome}"
    return Log(severity, text, _without_none(fields))


def _gen_ai(exchange: Exchange, provider: str | None, model: str | None) -> dict[str, Value | None]:
    if exchange.kind not in INFERENCE_KINDS:
        return {}
    name = _PROVIDERS.get(provider or ANTHROPIC, provider or ANTHROPIC)
    return {
        "gen_ai.operation.name": _operation(exchange),
        "gen_ai.provider.name": name,
        "gen_ai.system": name,  # what it was called before
        "gen_ai.request.model": model,
    }


def _operation(exchange: Exchange) -> str:
    if exchange.api is Api.EMBEDDINGS:
        return "embeddings"
    return "chat" if exchange.kind is Kind.MESSAGES else str(exchange.kind and exchange.kind.value)


def _asked_upstream(exchange: Exchange, attempts: Sequence[Attempt]) -> str | None:
    """Return the model that upstream was asked for in the last of `attempts`."""
    account = attempts[-1].account if attempts else None
    if account and not account.is_anthropic:
        model = exchange.model_at(account)
    else:
        model = (exchange.route.model if exchange.route else "") or exchange.model
    return None if model is None else _text(model)


def _route(exchange: Exchange) -> str:
    """Return the route of the path. There are few of them, since a path may hold an id."""
    bare = exchange.path.partition("?")[0]
    if exchange.kind in (*INFERENCE_KINDS, Kind.LOCAL) or bare in SERVED:
        return short(bare)
    return "/v1/*" if exchange.kind is Kind.API else "/*"


def _plain(row: Row) -> Row:
    texts = {
        name: _text(value)
        for name, value in msgspec.structs.asdict(row).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(row, **texts)


def _text(value: str) -> str:
    """Return `value` with secrets masked, and without lone surrogates (bytes of a path), which are no UTF-8."""
    return redact(encodable(value))[:LONGEST]


def _without_none(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}
