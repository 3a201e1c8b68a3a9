"""Where a request belongs, read from its line and the few fields of its body that matter.

The body (115 KB in the mean) is scanned, not decoded: history and tools stay raw bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core import paths
from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.paths import COUNT_TOKENS_PATH, MESSAGES_PATH
from neurolink_mitm.core.session import session_in_user_id
from neurolink_mitm.core.unreadable import UNREADABLE

METRICS_PATH = "/metrics"
RESET_PATH = "/admin/reset"
LONGEST_MODEL = 256

_PAGES = ("/", "/health", "/status", METRICS_PATH, "/v1/models")
NOT_PLAIN = Reply(
    404,
    "not_found_error",
    "no such path: write it as the API has it, with single slashes, in small letters, and with no dot segments,"
    " backslashes, semicolons or needless escapes",
)
"""Of a path that servers read in different ways, or that an addon has turned into another kind's."""

LOCAL = frozenset(
    {*((method, path) for method in ("GET", "HEAD") for path in _PAGES), ("POST", RESET_PATH)}
)


def kind_of(method: str, path: str) -> Kind:
    """The kind of a request by its method and target; the query does not count."""
    bare = path.partition("?")[0]
    if (method, bare) in LOCAL:
        return Kind.LOCAL
    if method == "POST" and bare == MESSAGES_PATH:
        return Kind.MESSAGES
    if method == "POST" and bare == COUNT_TOKENS_PATH:
        return Kind.COUNT_TOKENS
    return Kind.API if bare.startswith("/v1/") else Kind.FORWARD


def is_as_taken(kind: Kind | None, method: str, path: str) -> bool:
    """Whether a request is still of the kind that it was taken for, and is for upstream, too."""
    return kind_of(method, path) is kind and paths.is_plain(kind, method, path)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a Messages request asks for."""

    model: str
    stream: bool
    tool_count: int
    session_id: str | None
    user_id: str | None = None
    """As `metadata` has it."""


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[msgspec.Raw]
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    metadata: _Metadata | None = None


_decoder = msgspec.json.Decoder(_Body)


def read_body(body: bytes) -> Asked:
    """The fields of a Messages request that routing needs.

    Raises:
        ValueError: not JSON, or a field is missing or of the wrong type; the text is fit for the client.
    """
    try:
        seen = _decoder.decode(body)
    except UNREADABLE as e:
        raise ValueError(_explain(e)) from e
    if len(seen.model) > LONGEST_MODEL:
        raise ValueError(f"model: longer than {LONGEST_MODEL} characters")
    user_id = seen.metadata.user_id if seen.metadata else None
    return Asked(
        model=seen.model,
        stream=bool(seen.stream),
        tool_count=len(seen.tools or ()),
        session_id=session_in_user_id(user_id),
        user_id=user_id,
    )


def _explain(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error).replace(" - at `$.", " - at `").replace("Object missing", "missing")
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    return f"the body is not valid JSON: {error}"


def not_served(model: str, known: Sequence[str]) -> Reply:
    """Anthropic's 404, with what can be asked for."""
    listed = ", ".join(known)
    return Reply(
        404, "not_found_error", f"model: {model!r:.120} is not served here. Ask for: {listed}"
    )
