"""Formats rows of the logs as text: a line a request, a timeline, captured sides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from neurolink_mitm.core.logs.capture import Document
from neurolink_mitm.core.logs.summary import joined, token_counts
from neurolink_mitm.core.logs.timestamps import local_date_time, local_time, seconds
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.records import attempt_times
from neurolink_mitm.records.row_reader import LoggedRequest

Row = Mapping[str, Any]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BREAKS = re.compile(r"[\t\n\u2028\u2029]")


def escape_controls(text: str) -> str:
    """Escape control characters: a conversation may hold commands for the terminal."""
    return _CONTROLS.sub(_escape, text)


def one_line(text: str) -> str:
    """Escape control characters and line breaks: a client can send any name of a model."""
    return _BREAKS.sub(_escape, escape_controls(text))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


WIDE = 170
"""Columns of a terminal from which on a line has all values."""
NARROW = {"time": 12, "result": 9, "account": 9, "model": 10, "attempts": 2, "id": 27}
"""Columns of each value in a terminal of 79."""
EXTRA = (("took", 7), ("cost", 8), ("model", 24), ("account", 24), ("tokens", 16))
"""Values that are added or widened in a wider terminal, in this order, with their columns."""
OPTIONAL = ("attempts", "model")
"""Values that are left out in a narrower one, in this order; then the account is cut."""
ORDER = ("time", "result", "took", "account", "model", "attempts", "tokens", "cost", "id")
GAP = 2


def line(row: LoggedRequest, room: int | None = None) -> str:
    """Return a request as a line of `room` columns; without `room`, with all values."""
    if room is not None and room < WIDE:
        return _narrow(row, _widths(room))
    parts = (
        _clock(row),
        f"{row.responseStatus or '–':>3}",
        f"{row.outcome:<9}",
        f"{_ms(row.responseTimeMs):>7}",
        f"{row.account or '–':<12}",
        row.actualModel or row.model or "–",
        _tokens(row),
        None if row.costUsd is None else f"${row.costUsd:.4f}",
        None if row.api == Api.ANTHROPIC else row.api,
        f"{row.attempts} attempts" if row.attempts > 1 else None,
        f"by {row.client}" if row.client else None,
        row.requestId,
    )
    return one_line("  ".join(part for part in parts if part))


def _clock(row: LoggedRequest) -> str:
    try:
        return local_time(row.timestamp)
    except ValueError:  # not a row of ours
        return row.timestamp[11:19]


def _widths(room: int) -> dict[str, int]:
    widths = dict(NARROW)
    for name in OPTIONAL:
        if _total(widths) > room:
            del widths[name]
    widths["account"] -= max(0, min(_total(widths) - room, 6))
    for name, width in EXTRA:
        spare = room - _total(widths)
        if name in widths:
            widths[name] += max(0, min(width - widths[name], spare))
        elif spare >= width + GAP and len(widths) >= len(NARROW):
            widths[name] = width
    return widths


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _narrow(row: LoggedRequest, widths: Mapping[str, int]) -> str:
    cells = {
        "time": _clock(row),
        "result": _result(row),
        "took": f"{_ms(row.responseTimeMs):>7}",
        "account": row.account or "–",
        "model": (row.actualModel or row.model or "–").removeprefix("claude-"),
        "attempts": f"×{row.attempts}" if row.attempts > 1 else "",
        "tokens": f"{_count(row.inputTokens)} in {_count(row.outputTokens)} out",
        "cost": "–" if row.costUsd is None else f"${row.costUsd:.4f}",
        "id": row.requestId,
    }
    columns = ((cells[name], widths[name]) for name in ORDER if name in widths)
    return "  ".join(f"{_cut(one_line(text), width):{width}}" for text, width in columns).rstrip()


def _result(row: LoggedRequest) -> str:
    """Return the status if it says how the request ended, else the outcome."""
    if row.responseStatus is not None and row.outcome in ("complete", "error"):
        return str(row.responseStatus)
    return row.outcome.removeprefix("client_")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _count(tokens: int | None) -> str:
    if tokens is None:
        return "–"
    return str(tokens) if tokens < 10_000 else f"{tokens / 1000:.0f}k"


def _tokens(row: LoggedRequest) -> str | None:
    if row.inputTokens is None and row.outputTokens is None:
        return None
    cached = f" (+{row.cacheReadTokens} cached)" if row.cacheReadTokens else ""
    return f"{row.inputTokens or 0}{cached} in, {row.outputTokens or 0} out"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms"


def timeline(
    request: Row | None, attempts: Sequence[Row], room: int = attempt_times.WIDE
) -> Iterator[str]:
    """Yield the steps of a request, each with its time since the start; its attempts are drawn in `room` columns."""
    first = request or attempts[0]
    began = seconds(first["timestamp"])
    if request:
        yield from _head(request)
    else:
        yield f"{first['requestId']}  not finished, or its row is lost"
    axis = attempt_times.Axis(request, attempts, began, room)
    for attempt in attempts:
        yield f"{_since(attempt, began):>10}  attempt {attempt.get('attempt')}: {_attempt(attempt)}"
        yield from (f"{'':{attempt_times.INDENT}}{line}" for line in axis.lines(attempt))
    if request:
        if request.get("ttfbMs") is not None:
            yield f"{'+' + _ms(request['ttfbMs']):>10}  first byte to the client"
        yield f"{'+' + _ms(request.get('responseTimeMs')):>10}  {_end(request)}"
    if axis.drawn:
        yield f"{'':{attempt_times.INDENT}}{attempt_times.LEGEND}"


HEAD_FIELDS = (
    ("client", "client"), ("user", "userId"), ("session", "sessionId"), ("about", "conversationId"),
    ("replica", "replica"),
    ("agent", "agentId"), ("started by", "parentAgentId"), ("trace", "traceId"), ("because", "why"),
)  # fmt: skip
"""Fields of a request in its head, with the words before them."""


def _head(request: Row) -> Iterator[str]:
    line = f"{request.get('method')} {request.get('path')}"
    yield f"{request['requestId']}  {local_date_time(request['timestamp'])}  {line}"
    stream, count = "stream" if request.get("stream") else None, request.get("toolCount")
    yield f"{'model':>10}  {joined(_model(request), stream, f'{count} tools' if count else None)}"
    for name, field in HEAD_FIELDS:
        if request.get(field):
            yield f"{name:>10}  {request[field]}"


def _model(request: Row) -> str:
    model, actual = request.get("model"), request.get("actualModel")
    return f"{model}, answered by {actual}" if actual and actual != model else str(model or "none")


def _attempt(row: Row) -> str:
    kind = f" ({row['accountType']})" if row.get("accountType") else ""
    status, error = row.get("responseStatus"), row.get("errorType")
    reason = error if error and not error.startswith("http_") else None
    return joined(
        f"{row.get('account') or 'the caller’s own credential'}{kind}",
        " ".join(str(part) for part in (status, reason) if part) or None,
        f"after {_ms(row.get('durationMs'))}",
        f"asked to wait {row['retryAfter']:g} s" if row.get("retryAfter") is not None else None,
        f"cools for {_ms(row['cooldownMs'])}" if row.get("cooldownMs") else None,
        _windows(row),
        row.get("upstreamRequestId"),
    )


def _windows(row: Row) -> str | None:
    used = ((name, row.get(f"utilization{name}")) for name in ("5h", "7d"))
    return " ".join(f"{name} {share:.0%}" for name, share in used if share is not None) or None


def _end(request: Row) -> str:
    status, cost = request.get("responseStatus"), request.get("costUsd")
    return joined(
        f"{status} {request.get('outcome')}" if status else request.get("outcome"),
        request.get("stopReason"),
        token_counts(request),
        f"${cost:.4f}" if cost is not None else None,
    )


def side(row: Row) -> Iterator[str]:
    """Yield the lines of a captured side without its body."""
    start = " ".join(str(row[key]) for key in ("method", "url", "status") if row.get(key))
    attempt = f", attempt {row['attempt']} ({row.get('account')})" if row.get("attempt") else ""
    yield f"── {row['phase'].replace('_', ' ')}{attempt}: {start}"
    for name, value in row.get("headers") or ():
        yield f"{name}: {value}"


def body(document: Document) -> Iterator[str]:
    """Yield a captured body, JSON indented."""
    if document.encoding == "json":
        yield msgspec.json.format(bytes(document.body), indent=2).decode()
    elif document.encoding == "text":
        yield str(msgspec.json.decode(document.body))
    else:
        yield "(left out: it can't be looked into for secrets)"
    if document.truncated:
        yield f"(only a part of its {document.bytes} bytes was kept)"


def _since(row: Row, began: float) -> str:
    return f"+{_ms(max(0.0, seconds(row['timestamp']) - began) * 1000)}"
