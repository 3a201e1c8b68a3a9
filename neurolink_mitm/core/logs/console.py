"""The lines of the console."""

from __future__ import annotations

from collections.abc import Iterable

from neurolink_mitm.core.exchange import Attempt, Exchange
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.text import redact, short


def asked(exchange: Exchange) -> str:
    """A request has come."""
    words = [f"[proxy] {exchange.method} {redact(short(exchange.path.partition('?')[0]))}"]
    if exchange.model:
        words.append(f"-> model={redact(exchange.model)}")
        words += ["stream"] if exchange.stream else []
        words.append(f"tools={exchange.tool_count}")
    return printable(" ".join(words))


def attempted(account: Account) -> str:
    """It goes out on an account."""
    if not account.is_anthropic:
        return printable(f"[proxy] -> {_whose(account)}")
    return f"[proxy] -> account={account.label} ({account.type})"


def betas(values: Iterable[str]) -> str:
    """What `anthropic-beta` says of the request that goes out."""
    return printable(redact(f"[proxy] beta headers: {short(', '.join(values)) or 'none'}"))


def failed(attempt: Attempt) -> str:
    """An attempt came to nothing."""
    what = attempt.status or (attempt.failure.error_type if attempt.failure else "?")
    words = [f"[proxy] <- {what}"]
    if attempt.account:
        words.append(_whose(attempt.account))
    if attempt.cooldown:
        words.append(f"backoff-level={attempt.backoff_level} cooldown={attempt.cooldown:.0f}s")
    return printable(redact(" ".join(words)))


def answered(exchange: Exchange, status: int) -> str:
    """The client's answer begins."""
    by = _whose(exchange.account) if exchange.served and exchange.account else "by neurolink"
    return printable(f"[proxy] <- {status} {by}")


def _whose(account: Account) -> str:
    if account.is_anthropic:
        return f"account={account.label}"
    return f"provider={account.provider} model={account.model or account.label}"


def printable(text: str) -> str:
    """Without control characters: what a client or an upstream sends must not steer the user's terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
