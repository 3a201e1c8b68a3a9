"""The endpoints of a login: its page, tokens, and the creation of an API key.

https://www.rfc-editor.org/rfc/rfc6749 with PKCE (RFC 7636), but bodies are JSON, as upstream's are.
"""

import html
import uuid
from dataclasses import replace
from typing import Literal
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.auth import bearer_owner
from neurolink_mitm.sandbox.content import instead, whole
from neurolink_mitm.sandbox.playback import Playback
from neurolink_mitm.sandbox.respond import played, received
from neurolink_mitm.sandbox.state import KEY_ENDPOINT, TOKEN_ENDPOINT, Sandbox
from neurolink_mitm.sandbox.tokens import SCOPE, Grant, InvalidGrant

LOOPBACK = ("127.0.0.1", "localhost", "::1")
KEY_PATH = "/api/oauth/claude_cli/create_api_key"

PAGE = """<!DOCTYPE html>
<title>NeuroLink sandbox: login</title>
<p>Logged in as <b>{name}</b>. Paste this code into the terminal:</p>
<pre id="code">{code}</pre>
"""


class TokenRequest(msgspec.Struct):
    grant_type: Literal["authorization_code", "refresh_token"]
    client_id: str
    refresh_token: str = ""
    code: str = ""
    code_verifier: str = ""
    redirect_uri: str = ""


def oauth_routes(sandbox: Sandbox) -> list[Route]:
    login = Login(sandbox)
    return [
        Route("/oauth/authorize", login.authorize),
        Route("/v1/oauth/token", login.token, methods=["POST"]),
        Route(KEY_PATH, login.create_key, methods=["POST"]),
    ]


class Login:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def authorize(self, request: Request) -> Response:
        """Log in at once, as the OAuth account that `login_hint` names, or as the first one."""
        query = request.query_params
        account = self._account(query.get("login_hint"))
        if fault := _fault(dict(query)):
            return HTMLResponse(html.escape(fault), 400)
        if account is None:
            return HTMLResponse("The sandbox has no such OAuth account.", 400)
        redirect_uri, state = query["redirect_uri"], query.get("state", "")
        code = self._sandbox.tokens.authorize(
            account, query["code_challenge"], query["client_id"], redirect_uri
        )
        # a page elsewhere shows the code, to be pasted, in the form of Anthropic's own page
        if urlsplit(redirect_uri).hostname not in LOOPBACK:
            page = PAGE.format(name=html.escape(account.name), code=html.escape(f"{code}#{state}"))
            return HTMLResponse(page)
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': code, 'state': state})}", 302)

    async def token(self, request: Request) -> Playback:
        """Exchange a code or a refresh token for new tokens."""
        asked = received(request)
        reply = self._sandbox.next_reply(TOKEN_ENDPOINT)
        content = instead(reply, False, asked.request_id)
        if content is None:
            status, body = self._answer(asked.body)
            content = whole(replace(reply, status=status), body)
        return played(self._sandbox, asked, reply, content)

    async def create_key(self, request: Request) -> Playback:
        """Create an API key for the login, as `claude` does for accounts of the Console. Raises ApiError."""
        asked = received(request)
        owner = bearer_owner(request.headers, self._sandbox)
        reply = self._sandbox.next_reply(KEY_ENDPOINT)
        content = instead(reply, False, asked.request_id)
        if content is None:
            key = self._sandbox.create_key(owner)
            content = whole(reply, msgspec.json.encode({"raw_key": key}))
        return played(self._sandbox, asked, reply, content)

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        try:
            grant = self._grant(msgspec.json.decode(body, type=TokenRequest))
        except InvalidGrant as e:
            return 400, _oauth_error("invalid_grant", str(e))
        except UNREADABLE as e:
            return 400, _oauth_error("invalid_request", str(e))
        return 200, _token_response(grant)

    def _grant(self, asked: TokenRequest) -> Grant:
        if asked.grant_type == "refresh_token":
            return self._sandbox.tokens.refresh(asked.refresh_token)
        return self._sandbox.tokens.exchange(
            asked.code, asked.code_verifier, asked.client_id, asked.redirect_uri
        )

    def _account(self, name: str | None) -> Account | None:
        logins = [a for a in self._sandbox.accounts if a.kind == "oauth"]
        return next((a for a in logins if name in (None, a.name)), None)


def _fault(query: dict[str, str]) -> str | None:
    missing = {"client_id", "redirect_uri", "code_challenge"} - query.keys()
    if missing:
        return f"missing: {', '.join(sorted(missing))}"
    if query.get("response_type") != "code":
        return "response_type must be code"
    if query.get("code_challenge_method") != "S256":
        return "code_challenge_method must be S256"
    return None


def _token_response(grant: Grant) -> bytes:
    name = grant.account.name
    return msgspec.json.encode(
        {
            "token_type": "Bearer",
            "access_token": grant.access_token,
            "refresh_token": grant.refresh_token,
            "expires_in": int(grant.expires_in),
            "scope": SCOPE,
            "account": {"uuid": _uuid("account", name), "email_address": f"{name}@example.com"},
            "organization": {"uuid": _uuid("organization", name), "name": f"{name}'s organization"},
        }
    )


def _oauth_error(error: str, description: str) -> bytes:
    return msgspec.json.encode({"error": error, "error_description": description})


def _uuid(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{kind}.sandbox.example.com"))
