"""What became of a request, once it is over.

What became of a request, for those who look at its flow: plain values, no credential; and the same in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neurolink_mitm.core.exchange import Attempt, Exchange, Outcome
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.request.target import Target


def conclude(exchange: Exchange, *, status: int | None, now: float) -> None:
    """Fill in the end of the record. `status` is what the client was sent; None where it got no answer."""
    exchange.ended_at = now
    exchange.status = status if exchange.status is None else exchange.status
    exchange.outcome = exchange.outcome or _outcome(exchange, status)
    if exchange.attempts and exchange.attempts[-1].ended_at is None:
        exchange.attempts[-1].ended_at = now


def _outcome(exchange: Exchange, status: int | None) -> Outcome:
    if status is None or status >= 400:
        return Outcome.ERROR
    if not exchange.served:
        return Outcome.COMPLETE  # answered here
    answer = exchange.answer
    if answer is None or answer.error:
        return Outcome.ERROR
    return Outcome.COMPLETE if answer.complete else Outcome.TRUNCATED


Summary = Mapping[str, Any]


def summary(exchange: Exchange) -> dict[str, Any]:
    """Of a request that may still be under way."""
    usage = exchange.usage
    return {
        "requestId": exchange.request_id,
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
    """What the last attempt's account has put before the path."""
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
    }


def _seconds(start: float, end: float | None) -> float | None:
    return None if end is None else round(end - start, 3)


def comment(seen: Summary) -> str:
    """A few words for the list of flows: `beta, after alpha (429)`."""
    attempts = seen.get("attempts") or []
    if not attempts:
        return ""
    *before, last = attempts
    failed = [_failed(each) for each in before]
    told = _failed(last) if last["error"] else _who(last)
    return f"{told}, after {', '.join(failed)}" if failed else told


def _failed(attempt: Summary) -> str:
    return f"{_who(attempt)} ({attempt['status'] or attempt['error']})"


def marker(seen: Summary) -> str:
    """The name of a picture in the list of flows, for what is not as usual."""
    if seen.get("outcome") in ("error", "truncated"):
        return ":x:"
    return ":warning:" if len(seen.get("attempts") or []) > 1 else ""


def lines(seen: Summary) -> Iterator[tuple[str, str]]:
    """Name and text of each line."""
    yield "request", _joined(seen["requestId"], seen.get("model"), _shape(seen))
    for number, attempt in enumerate(seen.get("attempts") or [], 1):
        yield f"attempt {number}", _told(attempt)
    if seen.get("why"):
        yield "reason", str(seen["why"])
    yield "usage", _usage(seen)
    yield (
        "outcome",
        _joined(seen.get("outcome") or "under way", seen.get("stopReason"), _times(seen)),
    )


def _shape(seen: Summary) -> str:
    tools = seen.get("toolCount") or 0
    return _joined("stream" if seen.get("stream") else None, f"{tools} tools" if tools else None)


def _told(attempt: Summary) -> str:
    seconds, cooldown = attempt["seconds"], attempt["cooldown"]
    return _joined(
        f"{_who(attempt)} ({attempt['type']})" if attempt["type"] else _who(attempt),
        _what(attempt),
        None if seconds is None else _duration(seconds),
        f"cools for {cooldown:.0f} s" if cooldown else None,
    )


def _who(attempt: Summary) -> str:
    return str(attempt["account"] or "the caller's own credential")


def _what(attempt: Summary) -> str:
    status, error = attempt["status"], attempt["error"]
    if error and status:
        return f"{status}" if error.startswith("http_") else f"{status} {error}"
    return str(status or error or "under way")


def _usage(seen: Summary) -> str:
    names = {
        "inputTokens": "in",
        "outputTokens": "out",
        "cacheReadTokens": "from cache",
        "cacheCreationTokens": "into cache",
    }
    told = [f"{seen[key]} {name}" for key, name in names.items() if seen.get(key) is not None]
    return f"tokens: {', '.join(told)}" if told else "not told"


def _times(seen: Summary) -> str | None:
    if seen.get("seconds") is None:
        return None
    first = seen.get("firstByte")
    head = f", first byte after {_duration(first)}" if first is not None else ""
    return f"{_duration(seen['seconds'])}{head}"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
