"""The OAuth client: authorization code with PKCE, token refresh, and API keys created and checked.

Authlib makes the authorization URL, state and PKCE (https://www.rfc-editor.org/rfc/rfc7636). No message holds a token,
a code or a verifier, even if a server echoes it.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.oauth_wire import Response, Transport, Wire
from neurolink_mitm.core.auth import oauth
from neurolink_mitm.core.auth.credentials import check_token
from neurolink_mitm.core.auth.oauth import RefreshError, Tokens, Trouble
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.settings.values import OAuth

TIMEOUT = 20.0
"""Seconds for each request."""
CREATE_KEY_PATH = "/api/oauth/claude_cli/create_api_key"


class LoginError(Exception):
    """A login or a key failed; the text says why, and holds no secret.

    `again`: another try makes sense, since the pasted text may be at fault.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


@dataclass(frozen=True, slots=True)
class Login:
    """A login that was begun: open `url`, then call `finish` with the code that it shows."""

    url: str
    state: str
    verifier: Secret
    redirect_uri: str


class OAuthClient:
    """Sends requests to the endpoints of `settings`. `clock` returns seconds since the epoch."""

    def __init__(
        self,
        settings: OAuth,
        clock: Callable[[], float] = time.time,
        *,
        timeout: float = TIMEOUT,
        network: Network | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._wire = Wire(clock, timeout, network, transport)

    @property
    def date_skew(self) -> float | None:
        """Seconds that our clock is ahead of the server's, by its last `Date`; None: not measured yet."""
        return self._wire.skew

    async def refresh(self, refresh_token: Secret, proxy_url: str | None = None) -> Tokens:
        """Return new tokens, by `proxy_url` instead of the environment's proxy. Raises `RefreshError`."""
        body = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.reveal(),
            "client_id": self._settings.client_id,
        }
        response = await self._wire.post(self._settings.token_urls, body, proxy_url)
        return self._tokens(response, refresh_token)

    def begin(self, redirect_uri: str | None = None) -> Login:
        """Begin a login; `redirect_uri` defaults to the page that shows the code to copy."""
        target = redirect_uri or self._settings.redirect_uri
        verifier = generate_token(64)
        client = OAuth2Client(
            session=None,
            client_id=self._settings.client_id,
            scope=" ".join(self._settings.scopes),
            redirect_uri=target,
            code_challenge_method="S256",
        )
        # Anthropic's page shows the code instead of redirecting with it
        shown = {} if redirect_uri else {"code": "true"}
        url, state = client.create_authorization_url(
            self._settings.authorize_url, state=generate_token(43), code_verifier=verifier, **shown
        )
        return Login(url, state, Secret(verifier), target)

    def finish(self, login: Login, code: str, state: str | None) -> Tokens:
        """Exchange the code for tokens. Raises `LoginError`.

        `state` may be missing only from a code that was copied by hand: a browser sends it along.
        """
        self._check_state(login, state)
        body = {
            "grant_type": "authorization_code",
            "client_id": self._settings.client_id,
            "code": code,
            "redirect_uri": login.redirect_uri,
            "code_verifier": login.verifier.reveal(),
            "state": login.state,
        }
        response = self._wire.post_now(self._settings.token_urls, body)
        if response.status == 200:
            try:
                return oauth.parse_tokens(response.body, self._clock())
            except ValueError:
                pass
        raise _login_error(response, response.describe(Secret(code), login.verifier))

    def create_api_key(self, access_token: Secret) -> Secret:
        """Create an API key of the account that is logged in. Raises `LoginError`."""
        parts = urlsplit(self._settings.token_urls[0])
        url = f"{parts.scheme}://{parts.netloc}{CREATE_KEY_PATH}"
        authorization = {"authorization": f"Bearer {access_token.reveal()}"}
        response = self._wire.ask("POST", url, authorization, {})
        if response.status in (200, 201):
            try:
                return Secret(check_token(msgspec.json.decode(response.body, type=_Key).raw_key))
            except (ValueError, *UNREADABLE):
                pass
        description = response.describe(access_token)
        if response.status in (401, 403):
            raise LoginError(
                f"this login may not create API keys ({description}):"
                " create one in the Anthropic Console and add it with --method api-key"
            )
        raise LoginError(
            f"no API key was created ({description}):"
            " try again, or create one in the Anthropic Console and add it with --method api-key"
        )

    def check_api_key(self, key: Secret, base_url: str, proxy_url: str | None = None) -> None:
        """Raise `LoginError` unless the API accepts `key`. `proxy_url` is the account's."""
        url = f"{base_url.rstrip('/')}/v1/models"
        shown = {"x-api-key": key.reveal(), "anthropic-version": headers.API_VERSION.decode()}
        response = self._wire.ask("GET", url, shown, own=proxy_url)
        # a rate limit is that of a valid key
        if response.status in (200, 429):
            return
        description = response.describe(key)
        if response.status in (401, 403):
            raise LoginError(
                f"the key was not accepted ({description}): copy it again, whole", again=True
            )
        raise LoginError(
            f"the key could not be tried ({description}):"
            " try again later, or store it untried with --no-verify"
        )

    def _tokens(self, response: Response, refresh_token: Secret) -> Tokens:
        if response.status == 200:
            try:
                return oauth.parse_tokens(response.body, self._clock())
            except ValueError as e:
                # a 200 from a middlebox, or the tokens are lost: the next try decides
                raise RefreshError(Trouble.TRANSIENT, str(e), response.retry_after) from None
        raise RefreshError(
            oauth.trouble_of(response.status, response.body, response.retry_after),
            response.describe(refresh_token),
            response.retry_after,
            answered=response.reached,
        )

    def _check_state(self, login: Login, state: str | None) -> None:
        if state is None and login.redirect_uri == self._settings.redirect_uri:
            return
        if not hmac.compare_digest((state or "").encode(), login.state.encode()):
            raise LoginError(
                "the code belongs to another login attempt: copy that of the page that was opened last",
                again=True,
            )


class _Key(msgspec.Struct):
    raw_key: str


def _login_error(response: Response, description: str) -> LoginError:
    trouble = oauth.trouble_of(response.status, response.body, response.retry_after)
    if trouble is Trouble.INVALID_GRANT:
        fault = (
            f"the code was not accepted ({description}): a code is good once and for a few minutes"
        )
        return LoginError(fault, again=True)
    if trouble is Trouble.RATE_LIMITED:
        wait = f"{response.retry_after:.0f} seconds" if response.retry_after else "a minute"
        return LoginError(f"too many logins for now ({description}): try again in {wait}")
    if trouble is Trouble.TRANSIENT:
        fault = f"the login server could not be asked ({description}): check the network and HTTPS_PROXY"
        return LoginError(fault, again=True)
    return LoginError(
        f"the login was refused ({description});"
        " if the configuration has an oauth section, check its client-id, redirect-uri and scopes"
    )
