"""A login in the browser: its code is caught on loopback where the settings allow that, else it is pasted."""

from __future__ import annotations

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from neurolink_mitm.cli.auth_context import ask_hidden, progress, say
from neurolink_mitm.cli.exits import FAILED, USAGE, fail
from neurolink_mitm.core.oauth import Tokens, split_pasted
from neurolink_mitm.core.redaction import redact

if TYPE_CHECKING:  # Authlib and httpx behind it are slow to import
    from neurolink_mitm.adapters.oauth_client import Login, OAuthClient

TRIES = 3
OVER = "start over with: neurolink auth login anthropic"
PATIENCE = 300.0
"""Seconds for a login in the browser."""
PAGE = b"<!DOCTYPE html><title>NeuroLink</title><p>%s You can close this page."


def log_in(client: OAuthClient, redirect_uri: str, *, browser: bool, attended: bool) -> Tokens:
    """Exits where it fails, with what to do next."""
    if is_loopback(redirect_uri) and (browser or not attended):
        return _caught(client, redirect_uri, browser=browser)
    if not attended:
        fail(
            "a code can't be pasted with --non-interactive; use --method api-key with"
            " ANTHROPIC_API_KEY, or --method setup-token with CLAUDE_CODE_OAUTH_TOKEN",
            USAGE,
        )
    login = client.begin()
    _show(login.url, browser=browser)
    return _pasted(client, login)


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _show(url: str, *, browser: bool) -> None:
    opened = browser and _open(url)
    say("Your browser opens this page; log in there:" if opened else "Open this page and log in:")
    say(f"\n  {url}\n")


def _open(url: str) -> bool:
    """Whether a browser was started. One that takes over the terminal is none."""
    import webbrowser

    windows = sys.platform == "darwin" or os.environ.keys() & {
        "BROWSER",
        "DISPLAY",
        "WAYLAND_DISPLAY",
    }
    return bool(windows) and webbrowser.open(url)


def _pasted(client: OAuthClient, login: Login) -> Tokens:
    from neurolink_mitm.adapters.oauth_client import LoginError

    for left in reversed(range(TRIES)):
        try:
            code, state = split_pasted(ask_hidden("Paste the code from that page (not shown)"))
            with progress("logging in …"):
                return client.finish(login, code, state)
        except (LoginError, ValueError) as e:
            said = redact(str(e))
            if isinstance(e, LoginError) and not e.again:
                fail(f"not logged in: {said}", FAILED)
            say(f"That did not work: {said}")
            if left:
                more = f"{left} more {'try' if left == 1 else 'tries'}"
                say(
                    f"Copy the code again, whole; the same page, opened anew, gives a new one ({more})"
                )
    fail(f"not logged in; {OVER}", FAILED)


def _caught(client: OAuthClient, redirect_uri: str, *, browser: bool) -> Tokens:
    from neurolink_mitm.adapters.oauth_client import LoginError

    try:
        callback = Callback(redirect_uri)
    except OSError as e:
        fail(f"can't listen for the login on {redirect_uri}: {e.strerror}; try --no-browser")
    with callback:
        login = client.begin(redirect_uri=callback.uri)
        _show(login.url, browser=browser)
        with progress("waiting for the browser (Ctrl-C ends it) …"):
            code = callback.wait(login.state, PATIENCE)
    if code is None:
        fail(f"not logged in: {callback.refused or 'nothing came from the browser'}")
    try:
        return client.finish(login, code, login.state)
    except LoginError as e:
        fail(f"not logged in: {redact(str(e))}; {OVER}")


class Callback:
    """Listens on the loopback address of a redirect URI; without a port there, on a free one.

    https://www.rfc-editor.org/rfc/rfc8252#section-7.3
    """

    def __init__(self, redirect_uri: str) -> None:
        """Raises `OSError`."""
        parts = urlsplit(redirect_uri)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "127.0.0.1"
        self._server = _Server((host, parts.port or 0), parts.path or "/")
        port = self._server.server_address[1]
        shown = f"[{parts.hostname}]" if ":" in host else parts.hostname
        self.uri = redirect_uri if parts.port else f"http://{shown}:{port}{parts.path}"

    def __enter__(self) -> Callback:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.server_close()

    @property
    def refused(self) -> str:
        """What the provider said instead of a code."""
        return self._server.refused

    def wait(self, state: str, patience: float) -> str | None:
        """The code that comes with this `state`; None where it is refused, or none comes in time."""
        server = self._server
        server.state = state
        deadline = time.monotonic() + patience
        while not server.code and not server.refused and time.monotonic() < deadline:
            server.handle_request()
        return server.code or None


class _Server(HTTPServer):
    allow_reuse_address = True
    timeout = 0.5

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, _Handler)
        self.path, self.state, self.code, self.refused = path, "", "", ""

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away is nothing to talk about."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != self.server.path:
            self._answer(404, b"Nothing is here.")
        elif query.get("state") != self.server.state:
            # of an earlier login, or another page's doing: the one under way goes on
            self._answer(400, b"This is not the login that is under way.")
        elif code := query.get("code"):
            self.server.code = code
            self._answer(200, b"Logged in.")
        else:
            self.server.refused = redact(query.get("error", "no code came"))[:100]
            self._answer(400, b"Not logged in.")

    def _answer(self, status: int, text: bytes) -> None:
        body = PAGE % text
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The code is in the first line of the request."""
