"""The kind of a request, by its method and path."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.openai.api import EMBEDDINGS_PATH
from neurolink_mitm.core.request import head as paths
from neurolink_mitm.core.request.head import COUNT_TOKENS_PATH, MESSAGES_PATH

METRICS_PATH = "/metrics"
HEALTH_PATH = "/health"
READY_PATH = "/ready"
RESET_PATH = "/admin/reset"
DASHBOARD_LINK_PATH = "/admin/dashboard-link"
MODEL_PATH = "/v1/models/"
"""Before a model's name."""

_PAGES = ("/", HEALTH_PATH, READY_PATH, "/status", METRICS_PATH, "/v1/models")
NOT_PLAIN = Reply(
    404,
    "not_found_error",
    "no such path: write it as the API has it, with single slashes, in small letters, and with no dot segments,"
    " backslashes, semicolons or needless escapes",
)
"""The refusal of a path that servers read differently, or that an addon has changed into another kind's."""

LOCAL = frozenset(
    {
        *((method, path) for method in ("GET", "HEAD") for path in _PAGES),
        *(("POST", path) for path in (RESET_PATH, DASHBOARD_LINK_PATH)),
    }
)
OWN = frozenset({HEALTH_PATH, READY_PATH, "/status", METRICS_PATH, RESET_PATH, DASHBOARD_LINK_PATH})
"""Paths of the proxy's own; they are never forwarded, whatever the method."""


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that a local path accepts."""
    return tuple(sorted(method for method, local in LOCAL if local == path))


def kind_of(method: str, path: str) -> Kind:
    """Return the kind of a request by its method and path; the query does not count."""
    bare = path.partition("?")[0]
    if (method, bare) in LOCAL or bare in OWN:
        return Kind.LOCAL
    if method == "POST" and bare == MESSAGES_PATH:
        return Kind.MESSAGES
    if method == "POST" and bare == COUNT_TOKENS_PATH:
        return Kind.COUNT_TOKENS
    if method == "POST" and bare == EMBEDDINGS_PATH:
        return Kind.EMBEDDINGS
    return Kind.API if bare.startswith("/v1/") else Kind.FORWARD


def model_asked_for(method: str, path: str) -> str | None:
    """Return the name in a request for one model's description; None for any other request."""
    bare = path.partition("?")[0]
    if method not in ("GET", "HEAD") or not bare.startswith(MODEL_PATH):
        return None
    return unquote(bare.removeprefix(MODEL_PATH)) or None


def is_as_taken(kind: Kind | None, method: str, path: str) -> bool:
    """Tell whether a request is still of this kind, here and for upstream."""
    return kind_of(method, path) is kind and paths.is_plain(kind, method, path)


def not_served(model: str, served: Sequence[str]) -> Reply:
    """Return Anthropic's 404, with the models that are served."""
    listed = ", ".join(served)
    return Reply(
        404, "not_found_error", f"model: {model!r:.120} is not served here. Ask for: {listed}"
    )
