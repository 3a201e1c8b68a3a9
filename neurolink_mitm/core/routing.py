"""Where a request belongs, read from its line and the few fields of its body that matter.

The body (115 KB in the mean) is scanned, not decoded: history and tools stay raw bytes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.session import session_in_user_id
from neurolink_mitm.core.unreadable import UNREADABLE

MESSAGES_PATH = "/v1/messages"
COUNT_TOKENS_PATH = "/v1/messages/count_tokens"
METRICS_PATH = "/metrics"
RESET_PATH = "/admin/reset"
LONGEST_MODEL = 256

_PAGES = ("/", "/health", "/status", METRICS_PATH, "/v1/models")
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


def is_misspelt(path: str) -> bool:
    """Whether it is a path of the API but for slashes, dots, letters or escapes.

    Some server may take it for that path, so what is done to requests there must not be left out here.
    """
    bare = path.partition("?")[0]
    plain = posixpath.normpath(unquote(bare).replace("\\", "/"))
    meant = f"/{plain.lstrip('/').lower()}"
    if meant in (MESSAGES_PATH, COUNT_TOKENS_PATH):
        return bare not in (MESSAGES_PATH, COUNT_TOKENS_PATH)
    return meant.startswith("/v1/") and not bare.startswith("/v1/")


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
