"""Signatures that we give to other providers' thinking, so that it comes back from the client unchanged.

A signature is `nl1.`, a mark of who can read the thinking again, and what its author needs for that. On the way to
Anthropic all of them are dropped (`core.request.history`); on the way to a provider, all but those with its mark.
"""

from __future__ import annotations

from neurolink_mitm.core.request.conversation import FOREIGN_SIGNATURE

RESPONSES = "responses"
"""The mark of OpenAI's Responses API: the id of a reasoning item and its encrypted content."""
CLAUDE, GEMINI, DEEPSEEK, KIMI, MINIMAX = "claude", "gemini", "deepseek", "kimi", "minimax"
"""The marks of others, for all of their models: a signature of Claude's, of Gemini's, and nothing but the mark."""


def is_foreign(signature: object) -> bool:
    """Tell whether `signature` is one of ours."""
    return isinstance(signature, str) and signature.startswith(FOREIGN_SIGNATURE)


def sign(mark: str, content: str) -> str:
    """Return the signature with a mark, which has no dot, and what the author needs."""
    return f"{FOREIGN_SIGNATURE}{mark}.{content}"


def signed(signature: object, mark: str) -> str | None:
    """Return what stands in a signature that has this mark; None for any other."""
    start = sign(mark, "")
    if not mark or not isinstance(signature, str) or not signature.startswith(start):
        return None
    return signature[len(start) :]


def is_own(proof: object, mark: str) -> bool:
    """Tell whether `proof`, a signature or redacted thinking, is of the author with this mark.

    Claude's may have come from Anthropic itself: they are valid on all platforms.
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    if mark == CLAUDE and proof and isinstance(proof, str) and not is_foreign(proof):
        return True
    return signed(proof, mark) is not None


def reasoning_signature(id_: str, encrypted: str) -> str:
    """Return the signature for a reasoning item of the Responses API."""
    return sign(RESPONSES, f"{id_.replace('.', '_')}.{encrypted}")


def reasoning_of(signature: object) -> tuple[str, str] | None:
    """Return id and encrypted content of a reasoning item; None for another signature."""
    content = signed(signature, RESPONSES)
    if content is None:
        return None
    id_, _, encrypted = content.partition(".")
    return (id_, encrypted) if encrypted else None
