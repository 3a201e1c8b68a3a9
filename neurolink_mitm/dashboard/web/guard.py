"""What is refused before a route sees it, and the headers of every response.

A page in the user's browser can post to loopback, and a host name that it controls can resolve there (DNS rebinding):
`Host` and `Origin` reveal both. https://fetch.spec.whatwg.org/#origin-header
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neurolink_mitm.core.auth.access import OWN_SITES, hostname
from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.dashboard.failures import log_failure
from neurolink_mitm.dashboard.web.access import Access, Session

KEY_HEADER = "x-neurolink-key"
LIVE_PATH = "/live"
"""The only WebSocket."""
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
STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class Refusal(NamedTuple):
    """The answer to a request that no route sees."""

    status: int
    text: str


class Guard:
    """The outermost ASGI application: refuses foreign hosts, origins and large bodies, and sets `HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] in STARTS:
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = refusal_of(scope)
        answer = PlainTextResponse(refusal.text, refusal.status) if refusal else self._app
        try:
            await answer(scope, receive, with_headers)
        except ClientDisconnect:
            pass
        except Exception:  # the browser has its 500
            log_failure("a page of the dashboard has failed")


def refusal_of(scope: Scope) -> Refusal | None:
    """Return the answer to a request that is refused by its head; None for one that may go on."""
    headers = Headers(scope=scope)
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or len(origins) > 1:
        return Refusal(400, "one Host, and one Origin at most")
    host = hosts[0].lower()
    if not is_loopback(hostname(host)):
        return _forbidden(
            "Host is no name of loopback: open the dashboard by the link of `neurolink dashboard`"
        )
    origin = origins[0] if origins else None
    live = scope["type"] == "websocket"
    if origin is None and (live or scope["method"] not in ("GET", "HEAD")):
        return _forbidden("no Origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return _forbidden("requests from other pages are not served")
    if not OWN_SITES.issuperset(headers.getlist("sec-fetch-site")):
        return _forbidden(
            "requests from other sites are not served: paste the address into the browser"
        )
    if live:
        return None if scope["path"] == LIVE_PATH else Refusal(404, "no such WebSocket")
    return _body_refusal(headers)


def _body_refusal(headers: Headers) -> Refusal | None:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal():
        return Refusal(411, "a body has a length")
    if int(length[:20]) > LARGEST_BODY:
        return Refusal(413, f"this is too large to be sent: {LARGEST_BODY // 1024} KB at most")
    return None


def _forbidden(text: str) -> Refusal:
    return Refusal(403, text)


def cookie_name(connection: HTTPConnection) -> str:
    """Return the cookie's name, which holds the port: cookies go to all ports of a host."""
    server = connection.scope.get("server") or ("", 0)
    return f"nl_dash_{server[1]}"


def session_of(connection: HTTPConnection, access: Access, key: str | None) -> Session | None:
    """Return the session of a request's cookie and `key`."""
    return access.session(connection.cookies.get(cookie_name(connection)), key)
