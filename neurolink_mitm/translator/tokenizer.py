"""Delays LiteLLM's tokenizer, which takes 34 MB, until tokens are counted: answers bring their own counts.

LiteLLM asks tiktoken for it at import. tiktoken keeps those it has made in a registry, and gives what stands there.
"""

from __future__ import annotations

import contextlib
from typing import Any

NAME = "cl100k_base"


def delay_tokenizer() -> None:
    """Register a stand-in that makes the tokenizer when it is first used. Call this before LiteLLM is imported."""
    with contextlib.suppress(
        ImportError, AttributeError
    ):  # of another tiktoken: it is made at once
        from tiktoken import registry

        registry.ENCODINGS.setdefault(NAME, _Delayed())  # type: ignore[arg-type]


class _Delayed:
    def __getattr__(self, member: str) -> Any:
        return getattr(_made(), member)


def _made() -> Any:
    from tiktoken import registry

    if isinstance(registry.ENCODINGS.get(NAME), _Delayed):
        registry.ENCODINGS.pop(NAME, None)
    return registry.get_encoding(NAME)
