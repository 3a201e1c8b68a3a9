"""The header fields of a client that speaks OpenAI's API."""

from __future__ import annotations

from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.body import LONGEST_SESSION
from neurolink_mitm.core.request.headers import Fields

SESSIONS = (
    b"session_id",  # Codex up to 0.12x
    b"session-id",  # Codex: `codex-rs/codex-api/src/requests/headers.rs`
    b"conversation_id",
    b"x-session-id",
    b"x-claude-code-session-id",
    b"x-neurolink-session-id",
)
"""Fields that name the session of a request, in the order in which they count."""
_MEANT = headers.SENSITIVE | {
    b"host", b"user-agent", b"traceparent", b"tracestate",
    b"connection",  # the data plane still asks it whether the client's connection ends
}  # fmt: skip
_BEGINNINGS = (b"anthropic-", b"x-neurolink-")


def session_in(fields: Fields) -> str | None:
    """Return the session that a header field names."""
    named = {name.lower(): value for name, value in reversed(fields)}
    value = next((value for each in SESSIONS if (value := named.get(each))), None)
    return value[:LONGEST_SESSION].decode("latin-1") if value else None


def messages_fields(fields: Fields, length: int, beta: bytes = b"") -> Fields:
    """Return the fields of the Messages request, of `length` bytes: those that mean something to Anthropic or to us.

    `beta` is the one that the body needs, if it needs one.

    `openai-*`, `x-stainless-*`, `originator` and all others are of no use there, and tell what nobody asked for.
    """
    meant = [
        field
        for field in fields
        if (name := field[0].lower()) in _MEANT or name.startswith(_BEGINNINGS)
    ]
    ours = (b"content-type", b"application/json"), (b"content-length", b"%d" % length)
    return headers.with_beta((*meant, *ours), beta) if beta else (*meant, *ours)
