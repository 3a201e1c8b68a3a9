"""A request on its way through the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.headers import Fields


class RefusedError(Exception):
    """The request must not leave as it is, for a reason of its own; the text is fit for the client."""


class NotAtOnceError(Exception):
    """It would take long: it is to be done elsewhere than on the event loop."""


@dataclass(frozen=True, slots=True)
class About:
    """What a rewriter may want to know beside the bytes. No credential is among it."""

    kind: Kind
    account: str
    """Its label; of another provider's model, `provider/model`."""
    account_type: str = "oauth"
    """`oauth`, `api_key` or `provider`."""
    account_uuid: str | None = None
    host: str = ""
    """Where the request goes."""
    claude_code: bool = True
    """Whether the client is Claude Code."""
    user_id: str | None = None
    """`metadata.user_id`, as the client sent it."""
    target: str = field(default="", repr=False)
    """Path and query."""


class Editor(Protocol):
    """Changes one answer as it comes: bytes in, bytes out, in chunks of any size."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return those that are ready for the client (perhaps none)."""

    def end(self) -> bytes:
        """The answer has ended: what is left for the client."""


Undo = Callable[[bool], Editor]
"""Makes the editor of an answer; true of an event stream, false of anything that comes as one body."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What is about to be sent. Without the caller's credential, and before the account's is set."""

    about: About
    fields: Fields
    body: bytes
    pins: tuple[str, ...] | None = None
    """SHA-256 of the certificates that the host may show; None: any that is valid."""
    undo: tuple[Undo, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """How much was replaced, by its kind."""
    at_once: bool = False
    """Others wait: a step that would take more than some milliseconds raises `NotAtOnceError`, and is run again."""


class Rewriter(Protocol):
    """One step of the pipeline."""

    def rewrite(self, draft: Draft) -> Draft:
        """The draft as it is, or `dataclasses.replace(draft, …)`. Whatever it raises refuses the request."""
