"""The kind of a request, by its method and path."""

from __future__ import annotations

from collections.abc import Sequence

from neurolink_mitm.core import paths
from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.paths import COUNT_TOKENS_PATH, MESSAGES_PATH

METRICS_PATH = "/metrics"
RESET_PATH = "/admin/reset"

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
OWN = frozenset({"/health", "/status", METRICS_PATH, RESET_PATH})
"""Paths that mean nothing anywhere else: whatever the method, they are not forwarded."""


def methods_of(path: str) -> tuple[str, ...]:
    """With which methods a path of our own is asked."""
    return tuple(sorted(method for method, known in LOCAL if known == path))


def kind_of(method: str, path: str) -> Kind:
    """The kind of a request by its method and target; the query does not count."""
    bare = path.partition("?")[0]
    if (method, bare) in LOCAL or bare in OWN:
        return Kind.LOCAL
    if method == "POST" and bare == MESSAGES_PATH:
        return Kind.MESSAGES
    if method == "POST" and bare == COUNT_TOKENS_PATH:
        return Kind.COUNT_TOKENS
    return Kind.API if bare.startswith("/v1/") else Kind.FORWARD


def is_as_taken(kind: Kind | None, method: str, path: str) -> bool:
    """Whether a request is still of the kind that it was taken for, and is for upstream, too."""
    return kind_of(method, path) is kind and paths.is_plain(kind, method, path)


def not_served(model: str, known: Sequence[str]) -> Reply:
    """Anthropic's 404, with what can be asked for."""
    listed = ", ".join(known)
    return Reply(
        404, "not_found_error", f"model: {model!r:.120} is not served here. Ask for: {listed}"
    )
