"""The outgoing request that the steps of the pipeline edit, how they edit its response, and a diff of what changed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.core.request.json_spans import Edit


class RefusedError(Exception):
    """The request must not be sent; the text says why, and is fit for the client."""


class NotAtOnceError(Exception):
    """A step takes too long for the event loop, and has to run in a thread."""


@dataclass(frozen=True, slots=True)
class About:
    """What a rewriter may need beside the bytes. It has no credential."""

    kind: Kind
    account: str
    """The label of the account; `provider/model` for another provider's model."""
    account_type: str = "oauth"
    """`oauth`, `api_key` or `provider`."""
    account_uuid: str | None = None
    host: str = ""
    """The host that the request goes to."""
    claude_code: bool = True
    """Whether the client is Claude Code."""
    user_id: str | None = None
    """`metadata.user_id`, as the client sent it."""
    target: str = field(default="", repr=False)
    """Path and query of the request."""


class Editor(Protocol):
    """Edits one response as it arrives: bytes in, bytes out, in chunks of any size."""

    def feed(self, chunk: bytes) -> bytes:
        """Edit the next bytes and return those that are ready for the client (perhaps none)."""

    def end(self) -> bytes:
        """Return the last bytes for the client, at the end of the response."""


ResponseTransform = Callable[[bool], Editor]
"""Makes the editor of one response. The argument is true for an event stream, false for a body that comes as one."""


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """The request as it leaves, without the caller's credential, and before the account's is set."""

    about: About
    fields: Fields
    body: bytes
    pins: tuple[str, ...] | None = None
    """SHA-256 of the certificates that the host may show; None: any that is valid."""
    undo: tuple[ResponseTransform, ...] = ()
    """What puts the response right; run in reverse."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Number of replaced texts, by their kind."""
    at_once: bool = False
    """The event loop waits: a step that takes more than some milliseconds raises `NotAtOnceError`, and is run again."""
    index: BodyIndex | None = field(default=None, compare=False, repr=False)
    """The index of the body. A step need not keep it: it is made anew where the body is another one."""

    def indexed(self) -> BodyIndex:
        """Return the index of the body as it is now."""
        return self.index.of(self.body) if self.index else BodyIndex(self.body)

    def edited(self, index: BodyIndex, edits: Iterable[Edit]) -> OutgoingRequest:
        """Return the request with these edits of its body. `index` is its index."""
        edited = index.edited(edits)
        return replace(self, body=edited.body, index=edited)


class Rewriter(Protocol):
    """One step of the pipeline."""

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        """Return `outgoing`, or `dataclasses.replace(outgoing, …)`. Whatever this raises refuses the request."""


def differences(before: OutgoingRequest, after: OutgoingRequest) -> list[str]:
    """Return the lines of the diff of header fields and body; none where nothing changes."""
    old, new = _lines(before.fields, before.body), _lines(after.fields, after.body)
    lines = difflib.unified_diff(old, new, "as it came", "as it is sent", lineterm="", n=2)
    return list(lines)


def _lines(fields: Fields, body: bytes) -> list[str]:
    """Return a line for each header field and for each value of the body, since bodies have one line only."""
    head = (b": ".join(field).decode("utf-8", "replace") for field in fields)
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
    return [*head, *text.splitlines()]
