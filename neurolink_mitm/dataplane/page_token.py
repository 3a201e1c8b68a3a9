"""A token in front of mitmweb's page, where mitmproxy asks for none: it does so since 11.1.

Without a token every user and program of this machine could read the flows.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from typing import Any

from mitmproxy import ctx, log
from mitmproxy.master import Master

logger = logging.getLogger("neurolink.page")

_TOKEN = "neurolink_page_token"  # noqa: S105 - the name of an attribute
REFUSED = "403: this page asks for the token that is in its address, as NeuroLink printed it at the start\n"


def protect(master: Master) -> None:
    """Make the page of `master` ask for a token, if mitmproxy's own does not. Does nothing the second time."""
    if needs_token(master) and not hasattr(master, _TOKEN):
        token = secrets.token_hex(16)
        setattr(master, _TOKEN, token)
        _guard(master.app, token)  # type: ignore[attr-defined]


def needs_token(master: Master) -> bool:
    """Tell whether `master` has a page that mitmproxy does not protect."""
    return hasattr(master, "app") and not hasattr(master, "web_url")


def page_url(master: Master) -> str:
    """Return the page's address with its token; empty where there is no page."""
    if not hasattr(master, "app"):
        return ""
    if not needs_token(master):
        return str(master.web_url)  # type: ignore[attr-defined]
    host, port = master.options.web_host, master.options.web_port
    bracketed = f"[{host}]" if ":" in host else host
    return f"http://{bracketed}:{port}/?token={getattr(master, _TOKEN)}"


class PageToken:
    """The addon that protects the page of mitmweb's own program, logs its address and opens the browser."""

    def __init__(self) -> None:
        self._opens = False

    def load(self, loader: object) -> None:
        if needs_token(ctx.master):
            protect(ctx.master)
            self._opens = ctx.options.web_open_browser
            ctx.options.web_open_browser = False  # it would open the address without the token

    def running(self) -> None:
        if not needs_token(ctx.master):
            return
        url = page_url(ctx.master)
        logger.log(log.ALERT, "mitmweb's page asks for a token: open %s", url)
        if self._opens:
            from mitmproxy.tools.web.webaddons import open_browser

            open_browser(url)


def _guard(app: Any, token: str) -> None:
    """Replace `find_handler`, by which every request of the page comes: pages, data, files and WebSocket."""
    from mitmproxy.tools.web.app import IndexHandler  # only a master with a page has loaded it
    from tornado import web

    cookie = f"neurolink-page-{secrets.token_hex(4)}"  # cookies don't tell ports apart
    find = app.find_handler

    class Refused(web.RequestHandler):
        def prepare(self) -> None:
            self.set_status(403)
            self.finish(REFUSED)

        def check_xsrf_cookie(self) -> None: ...

    class Entered(IndexHandler):
        def prepare(self) -> None:
            self.set_cookie(cookie, token, httponly=True, samesite="Strict")

    def find_handler(request: Any, **kwargs: Any) -> Any:
        if not _is_shown(request, cookie, token):
            return app.get_handler_delegate(request, Refused)
        if request.path == "/" and request.method == "GET":
            return app.get_handler_delegate(request, Entered)
        return find(request, **kwargs)

    app.find_handler = find_handler


def _is_shown(request: Any, cookie: str, token: str) -> bool:
    """Whether the token comes in the query, as a bearer or as the cookie, as in mitmproxy since 11.1."""
    shown = [value.decode("latin-1") for value in request.query_arguments.get("token", ())]
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        shown.append(bearer.strip())
    if morsel := request.cookies.get(cookie):
        shown.append(morsel.value)
    return any(hmac.compare_digest(each.encode(), token.encode()) for each in shown)
