"""What a request in OpenAI's form becomes, and how its answer is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from neurolink_mitm.core.openai.claude import TraitsOf
from neurolink_mitm.core.openai.responses.stored import Pending
from neurolink_mitm.core.request.body import MessagesRequest


class StreamWriter(Protocol):
    """Writes one streamed answer: events of Anthropic's stream in, bytes for the client out."""

    def event(self, name: str, data: bytes) -> bytes:
        """Return what the client gets for this event; an `error` event ends the answer."""

    def end(self) -> bytes:
        """Return what the client gets at the end: `[DONE]`, say, after a good end only."""


class AnswerFormat(Protocol):
    """The form in which the client of one request wants its answer. `created` is seconds since the epoch."""

    def stream(self, request_id: str, created: int) -> StreamWriter: ...

    def whole(self, message: bytes, request_id: str, created: int) -> bytes:
        """Return the answer for a whole Messages response. Raises `ValueError` where it is none."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A request as a Messages request."""

    body: bytes = field(repr=False)
    """The JSON of a body of `/v1/messages`."""
    answer: AnswerFormat
    messages_request: MessagesRequest | None = None
    """What reading the body would tell, where it is known without."""
    session: str | None = None
    """What keeps the requests of one conversation together."""
    names_session: bool = False
    """`session` is in the request itself (`prompt_cache_key`), and counts before any header."""
    beta: bytes = b""
    """The value of `anthropic-beta` that it needs; empty for none."""
    notes: tuple[str, ...] = ()
    """What was left out, for the log."""
    pending: Pending | None = None
    """What is stored with the response once it is complete; None: nothing."""


Translate = Callable[[bytes, TraitsOf], Translated]
"""Translates the body of a request. Raises `RequestError`."""
