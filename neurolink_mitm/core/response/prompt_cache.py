"""What it costs in prompt cache that a conversation is served by another account than before.

A prompt cache belongs to an account and a model. Its lifetime, 5 minutes or an hour, begins anew with each use.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from neurolink_mitm.core.response.usage import TokenUsage

CAPACITY = 10_000
"""Conversations whose cache is known; the least recently used one is dropped."""
SHORT, LONG = 300.0, 3600.0
"""Seconds for which a cache is kept after its last use."""

Conversation = tuple[str, str | None, str | None]
"""A session, its agent, and the model."""


@dataclass(frozen=True, slots=True)
class Cached:
    """A conversation's prefix in the cache of an account: `tokens`, for `lifetime` seconds from `used_at`."""

    account: str
    tokens: int
    used_at: float
    lifetime: float

    def is_kept(self, now: float) -> bool:
        return now < self.used_at + self.lifetime


class PromptCaches:
    """Where each conversation was cached last: a bounded map, least recently used first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._cached: OrderedDict[Conversation, Cached] = OrderedDict()

    def served(
        self, conversation: Conversation, account: str, usage: TokenUsage, sent_at: float
    ) -> int | None:
        """Note the usage of a request sent at `sent_at`, and return the tokens that it wrote to a cache again.

        They are those of the prefix that another account had in its cache, which this one did not read from its own
        and wrote. None: no other account had one.
        """
        written, read = _count(usage.cache_creation_tokens), _count(usage.cache_read_tokens)
        if not written + read:
            return None  # it uses no cache: what another request of the session has there stays
        before = self._cached.get(conversation)
        if before and not before.is_kept(sent_at):
            before = None
        lifetime = _lifetime(usage, written, before)
        self._cached[conversation] = Cached(account, written + read, sent_at, lifetime)
        self._cached.move_to_end(conversation)
        if len(self._cached) > self._capacity:
            self._cached.popitem(last=False)
        if before is None or before.account == account:
            return None
        return min(written, max(0, before.tokens - read))


def _count(tokens: int | None) -> int:
    return max(0, tokens or 0)


def _lifetime(usage: TokenUsage, written: int, before: Cached | None) -> float:
    """Return the lifetime of what was written; where nothing was, that of before."""
    if not written:
        return before.lifetime if before else SHORT
    return LONG if _count(usage.cache_creation_1h_tokens) >= written else SHORT
