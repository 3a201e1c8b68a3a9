"""Refusals of requests that are not served: other paths and methods of OpenAI's API, WebSockets, unmapped models."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.openai.api import CHAT_PATH, EMBEDDINGS_PATH, RESPONSES_PATH, SERVED
from neurolink_mitm.core.openai.errors import MODEL_NOT_FOUND, RequestError
from neurolink_mitm.core.providers.models import newest
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields

LISTED = f"POST {CHAT_PATH}, POST {RESPONSES_PATH}, POST {EMBEDDINGS_PATH} and GET /v1/models"
UPGRADE_REQUIRED = 426
NO_WEBSOCKET = RequestError(
    f"no WebSockets here: POST {RESPONSES_PATH}",
    code="unsupported_protocol",
    status=UPGRADE_REQUIRED,
)
"""Codex goes on by HTTP at once after this status, and after any other one only when its retries have failed:
https://github.com/openai/codex/issues/43353, https://github.com/ranxianglei/billion-context/pull/169."""
LONGEST = 120
"""Characters of a path or of a model's name that are repeated."""


def refusal(method: str, path: str, fields: Fields) -> RequestError:
    """Return why a request to one of OpenAI's paths is not served."""
    bare = path.partition("?")[0]
    upgrade = (headers.get(fields, b"upgrade") or "").strip().lower()
    if bare == RESPONSES_PATH and upgrade == "websocket":
        return NO_WEBSOCKET
    if bare in SERVED and method == "POST":
        return RequestError(f"{bare} is not served yet", code="unknown_url", status=404)
    if bare in SERVED:
        message = f"{method} is not served on {bare}: it takes POST"
        return RequestError(message, code="method_not_supported", status=405)
    message = f"{method} {bare[:LONGEST]} is not served here: {LISTED} are"
    if intended := _intended(bare):
        message = f"no such path: it is {intended}, so the base URL of the client ends in /v1"
    return RequestError(message, code="unknown_url", status=404)


def _intended(bare: str) -> str | None:
    """Return the served path that `bare` is like: without `/v1`, with a slash too many, in capitals."""
    parts = [part for part in bare.lower().split("/") if part]
    path = "/" + "/".join(parts if parts[:1] == ["v1"] else ["v1", *parts])
    return path if path in SERVED else None


def not_mapped(model: str, served: Sequence[str]) -> RequestError:
    """Return the refusal of a model that nobody serves, with the lines that map it."""
    shown = model[:LONGEST]
    name = msgspec.json.encode(shown).decode()  # a JSON string is one of YAML's
    lines = (
        "routing:",
        "  model-mappings:",
        f"    - from: {name}",
        f"      to: {newest('sonnet')}",
        "      provider: anthropic",
    )
    message = (
        f"The model {name} is not served here. Ask for one of: {', '.join(served)}. Or map it in proxy-config.yaml"
        " (a running proxy notices):\n" + "\n".join(lines)
    )
    return RequestError(message, "model", MODEL_NOT_FOUND, 404)


def forbidden(refusal: Reply) -> RequestError:
    """Return the refusal of a model that is not for this client."""
    return RequestError(refusal.message, "model", MODEL_NOT_FOUND, refusal.status)
