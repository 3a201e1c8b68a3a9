"""Asks the running proxy by HTTP, with the standard library only: commands have to start quickly."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from neurolink_mitm.adapters.own_address import open_connection
from neurolink_mitm.adapters.state_file import ProxyState, StateFile
from neurolink_mitm.cli.ui.home import home

TIMEOUT = 5.0
"""Seconds until a proxy that says nothing counts as one that does not answer."""

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    """`status` is 0 where nothing came back, for the reason in `error`; names in `headers` are lower-case."""

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty if the body is anything else."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}


def ask(
    url: str,
    query: Query | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    post: bytes | None = None,
    timeout: float = TIMEOUT,
) -> Response:
    """Send a GET request, or `post` in a POST request, and return the whole response."""
    parts = urlsplit(url)
    target = f"{parts.path}?{urlencode(query)}" if query else parts.path
    connection = open_connection(url, timeout, _fingerprint(url))
    try:
        method = "GET" if post is None else "POST"
        connection.request(method, target, post, dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status, response.read(), names)
    except (OSError, ValueError, http.client.HTTPException) as e:
        return Response(error=str(e))
    finally:
        connection.close()


def _fingerprint(url: str) -> str | None:
    """Return the fingerprint of the certificate, if `url` is one of a proxy of this home."""
    if not url.startswith("https:"):
        return None
    states = StateFile(home().state).running()
    return next((each.tls.fingerprint for each in states if each.tls and _is_of(url, each)), None)


def _is_of(url: str, state: ProxyState) -> bool:
    return url == state.url or url.startswith(f"{state.url}/")


def get_json(
    url: str, query: Query | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return the JSON object at `url`; None where the response is anything but 200 with one."""
    response = ask(url, query, headers)
    return (response.document or None) if response.status == 200 else None
