"""The lines of the console: request, attempts, response."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from neurolink_mitm.core.exchange import Attempt, Exchange, Hold
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.text import redact, short


def request_line(exchange: Exchange) -> str:
    """Return the line of a request that has arrived."""
    path = short(exchange.path.partition("?")[0])
    return _request_line(
        exchange.method,
        path,
        exchange.model,
        exchange.stream,
        exchange.tool_count,
        exchange.client,
    )


@lru_cache(
    maxsize=64
)  # most requests are alike, and the search for secrets takes half of a line's time
def _request_line(
    method: str, path: str, model: str | None, stream: bool, tools: int, client: str | None
) -> str:
    asked = f" -> model={model}{' stream' if stream else ''} tools={tools}" if model else ""
    by = f" client={client}" if client else ""
    return printable(redact(f"[proxy] {method} {path}{asked}{by}"))


def attempt_line(account: Account) -> str:
    """Return the line of an attempt on `account`."""
    if not account.is_anthropic:
        return printable(f"[proxy] -> {_name(account)}")
    return f"[proxy] -> account={account.label} ({account.type})"


def betas_line(values: Iterable[str]) -> str:
    """Return the line of the `anthropic-beta` values of an attempt."""
    return printable(redact(f"[proxy] beta headers: {short(', '.join(values)) or 'none'}"))


def failure_line(attempt: Attempt) -> str:
    """Return the line of a failed attempt."""
    error = attempt.status or (attempt.failure.error_type if attempt.failure else "?")
    words = [f"[proxy] <- {error}"]
    if attempt.account:
        words.append(_name(attempt.account))
    if attempt.cooldown:
        words.append(f"backoff-level={attempt.backoff_level} cooldown={attempt.cooldown:.0f}s")
    return printable(redact(" ".join(words)))


def held_line(exchange: Exchange, step: Hold, now: float) -> str:
    """Return the line of a request that begins to wait for an account."""
    model = f" model={exchange.model}" if exchange.model else ""
    seconds = max(0.0, step.until - now)
    return printable(redact(f"[proxy] held{model} for at most {seconds:.0f}s: {step.why}"))


def response_line(exchange: Exchange, status: int) -> str:
    """Return the line of a response that begins."""
    by = _name(exchange.account) if exchange.served and exchange.account else "by neurolink"
    return printable(f"[proxy] <- {status} {by}")


def note_line(exchange: Exchange, note: str) -> str:
    """Return the line of what another provider was not told."""
    by = _name(exchange.account) if exchange.account else ""
    return printable(redact(f"[proxy] {by}: {note}"))


def _name(account: Account) -> str:
    if account.is_anthropic:
        return f"account={account.label}"
    return f"provider={account.provider} model={account.model or account.label}"


def printable(text: str) -> str:
    """Replace control characters: what a client or an upstream sends must not control the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
