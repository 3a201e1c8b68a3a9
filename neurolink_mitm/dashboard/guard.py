"""What is refused before a route sees it, and the headers of every response.

A page in the user's browser can post to loopback, and a host name that it controls can resolve there (DNS rebinding):
`Host` and `Origin` reveal both. https://fetch.spec.whatwg.org/#origin-header
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.dashboard.access import Access, Session

KEY_HEADER = "x-neurolink-key"
LARGEST_BODY = 256 * 1024
"""Bytes of a form: a configuration file is the largest."""
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """The outermost ASGI application: refuses foreign hosts, origins and large bodies, and sets `HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        refusal = refusal_of(scope)
        if scope["type"] == "websocket":
            await (WebSocketClose(4403, refusal) if refusal else self._app)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = PlainTextResponse(refusal, 403) if refusal else self._app
        await answer(scope, receive, with_headers)


def refusal_of(scope: Scope) -> str | None:
    """Return why a request is refused by its head."""
    headers = Headers(scope=scope)
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or len(origins) > 1:
        return "one Host, and one Origin at most"
    host = hosts[0].strip().lower()
    if not _is_loopback(host):
        return (
            "Host is no name of loopback: open the dashboard by the link of `neurolink dashboard`"
        )
    origin = origins[0] if origins else None
    changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
    if origin is None and changes:
        return "no Origin"
    if origin is not None and origin.lower() != f"http://{host}":
        return "requests from other pages are not served"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return "requests from other sites are not served"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST_BODY or "transfer-encoding" in headers:
        return f"a body has a length, of {LARGEST_BODY} bytes at most"
    return None


def _is_loopback(host: str) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        return parts.netloc == host and "@" not in host and is_loopback(parts.hostname or "")
    except ValueError:
        return False


def cookie_name(connection: HTTPConnection) -> str:
    """Return the cookie's name, which holds the port: cookies go to all ports of a host."""
    server = connection.scope.get("server") or ("", 0)
    return f"nl_dash_{server[1]}"


def session_of(connection: HTTPConnection, access: Access, key: str | None) -> Session | None:
    """Return the session of a request's cookie and `key`."""
    return access.session(connection.cookies.get(cookie_name(connection)), key)
