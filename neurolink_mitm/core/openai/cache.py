"""Marks what Anthropic caches, so that clients that know no `cache_control` pay cache prices.

Four marks at most: the tools, the system prompt, and the last two turns of the user. The older of these is where the
request before this one had its last mark, so it is found in the cache.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

from __future__ import annotations

from collections.abc import Sequence

from neurolink_mitm.core.openai.turns import USER, Turn

_MARK = b',"cache_control":{"type":"ephemeral"}}'
_TURNS = 2


def marked(items: Sequence[bytes]) -> list[bytes]:
    """Return the items, JSON objects, with a mark in the last one."""
    return [*items[:-1], items[-1][:-1] + _MARK] if items else []


def mark_turns(turns: Sequence[Turn]) -> None:
    """Mark the last blocks of the user's last turns."""
    last = [turn for turn in turns if turn.role == USER][-_TURNS:]
    for turn in last:
        turn.blocks = marked(turn.blocks)
