"""The summary of a request for mitmweb: plain values in the flow, and the text that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neurolink_mitm.core.exchange import Attempt, Exchange
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.request.target import Target

Summary = Mapping[str, Any]


def summary(exchange: Exchange) -> dict[str, Any]:
    """Return the values of a request that may still be running; no credential is among them."""
    usage = exchange.usage
    return {
        "requestId": exchange.request_id,
        "api": exchange.api.value,
        "model": exchange.model,
        "stream": exchange.stream,
        "toolCount": exchange.tool_count,
        "why": redact(exchange.why),
        "attempts": [_attempt(attempt) for attempt in exchange.attempts],
        "outcome": exchange.outcome and str(exchange.outcome),
        "seconds": _seconds(exchange.began_at, exchange.ended_at),
        "firstByte": _seconds(exchange.began_at, exchange.first_byte_at),
        "stopReason": usage.stop_reason,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cacheCreationTokens": usage.cache_creation_tokens,
        "cacheReadTokens": usage.cache_read_tokens,
        "prefix": _prefix(exchange),
    }


def _prefix(exchange: Exchange) -> str:
    """Return the path prefix of the last attempt's base URL."""
    account = exchange.account
    return Target.parse(account.base_url).prefix if account and account.is_anthropic else ""


def _attempt(attempt: Attempt) -> dict[str, Any]:
    account, failure = attempt.account, attempt.failure
    return {
        "account": account.label if account else None,
        "type": account.type if account else None,
        "status": attempt.status,
        "error": failure.error_type if failure else None,
        "seconds": _seconds(attempt.sent_at, attempt.ended_at),
        "cooldown": attempt.cooldown,
        "connectMs": _ms(attempt.connect_seconds),
        "tlsMs": _ms(attempt.tls_seconds),
        "waitMs": None if attempt.wait_seconds is None else _ms(attempt.wait_seconds),
        "reused": attempt.reused,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _seconds(start: float, end: float | None) -> float | None:
    return None if end is None else round(end - start, 3)


def comment(values: Summary) -> str:
    """Return the comment in the list of flows: `beta, after alpha (429)`."""
    attempts = values.get("attempts") or []
    if not attempts:
        return ""
    *before, last = attempts
    failed = [_failed(each) for each in before]
    result = _failed(last) if last["error"] else _account(last)
    return f"{result}, after {', '.join(failed)}" if failed else result


def _failed(attempt: Summary) -> str:
    return f"{_account(attempt)} ({attempt['status'] or attempt['error']})"


def marker(values: Summary) -> str:
    """Return mitmweb's icon for a failed request or one with several attempts; else empty."""
    if values.get("outcome") in ("error", "truncated"):
        return ":x:"
    return ":warning:" if len(values.get("attempts") or []) > 1 else ""


def lines(values: Summary) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each line of the content view."""
    tools = values.get("toolCount") or 0
    yield (
        "request",
        joined(
            values["requestId"],
            _api(values),
            values.get("model"),
            "stream" if values.get("stream") else None,
            f"{tools} tools" if tools else None,
        ),
    )
    for number, attempt in enumerate(values.get("attempts") or [], 1):
        yield f"attempt {number}", _attempt_text(attempt)
    if values.get("why"):
        yield "reason", str(values["why"])
    yield "usage", token_counts(values) or "not told"
    outcome = values.get("outcome") or "under way"
    yield "outcome", joined(outcome, values.get("stopReason"), _times(values))


def _api(values: Summary) -> str | None:
    """Return the client's API where it is another than upstream's, which the flow shows."""
    api = values.get("api")
    return None if api == Api.ANTHROPIC else api


def _attempt_text(attempt: Summary) -> str:
    seconds, cooldown = attempt["seconds"], attempt["cooldown"]
    return joined(
        f"{_account(attempt)} ({attempt['type']})" if attempt["type"] else _account(attempt),
        _result(attempt),
        None if seconds is None else _duration(seconds),
        timing(attempt),
        f"cools for {cooldown:.0f} s" if cooldown else None,
    )


def _account(attempt: Summary) -> str:
    return str(attempt["account"] or "the caller's own credential")


def _result(attempt: Summary) -> str:
    status, error = attempt["status"], attempt["error"]
    if error and status:
        return f"{status}" if error.startswith("http_") else f"{status} {error}"
    return str(status or error or "under way")


def token_counts(row: Summary) -> str | None:
    """Return the token counts of a summary or a request row as text; None if it has none."""
    names = {
        "inputTokens": "in",
        "outputTokens": "out",
        "cacheReadTokens": "from cache",
        "cacheCreationTokens": "into cache",
    }
    counts = [f"{row[key]} {name}" for key, name in names.items() if row.get(key) is not None]
    return f"tokens: {', '.join(counts)}" if counts else None


def timing(attempt: Summary) -> str | None:
    """Return the times of an attempt's summary or row up to the first byte as text; None if it has none."""
    names = {"connectMs": "connect", "tlsMs": "TLS", "waitMs": "wait"}
    times = [f"{name} {duration(attempt[key])}" for key, name in names.items() if attempt.get(key)]
    return joined("reused connection" if attempt.get("reused") else None, *times) or None


def duration(ms: float) -> str:
    """Return `0.3 ms`, `120 ms`, `1.50 s`."""
    if ms >= 1000:
        return f"{ms / 1000:.2f} s"
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:.0f} ms"


def _times(values: Summary) -> str | None:
    if values.get("seconds") is None:
        return None
    first = values.get("firstByte")
    head = f", first byte after {_duration(first)}" if first is not None else ""
    return f"{_duration(values['seconds'])}{head}"


def _duration(seconds: float) -> str:
    return duration(seconds * 1000)


def joined(*parts: object) -> str:
    """Join the parts that are not empty by commas."""
    return ", ".join(str(part) for part in parts if part)
