"""Authentication: the account of a request's credentials, or a 401 in Anthropic's words."""

from typing import NoReturn

from starlette.datastructures import Headers

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.state import Sandbox
from neurolink_mitm.sandbox.tokens import TokenExpired

OAUTH_BETA = "oauth-2025-04-20"


def authenticate(headers: Headers, sandbox: Sandbox) -> Account:
    """Return the account whose credentials the request has. Raises ApiError.

    `x-api-key` counts first, so that a stray one is noticed. A bearer is an access token, or an API key
    (SDKs since 2026-10-21): https://platform.claude.com/docs/en/api/migration-2026-10-21
    """
    if (key := headers.get("x-api-key")) is not None:
        return sandbox.by_key(key) or _refuse("invalid x-api-key")
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        _refuse("x-api-key header is required")
    account = sandbox.by_key(bearer.strip()) or _owner(bearer.strip(), sandbox)
    if account.kind == "oauth" and OAUTH_BETA not in headers.get("anthropic-beta", ""):
        _refuse("OAuth authentication is currently not supported.")
    return account


def bearer_owner(headers: Headers, sandbox: Sandbox) -> Account:
    """Return the account whose access token the request has. Raises ApiError."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        _refuse("Authorization header is required")
    return _owner(token.strip(), sandbox)


def _owner(token: str, sandbox: Sandbox) -> Account:
    try:
        return sandbox.tokens.owner(token) or _refuse("Invalid bearer token")
    except TokenExpired:
        _refuse(
            "OAuth token has expired. Please obtain a new token or refresh your existing token."
        )


def _refuse(message: str) -> NoReturn:
    raise ApiError(401, message)
