"""The tokens of the OAuth accounts: their owners and expiry, and the exchange of codes and refresh tokens."""

import base64
import hashlib
import itertools
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neurolink_mitm.sandbox.accounts import Account

CODE_LIFETIME = 600.0
"""Seconds."""
SCOPE = "user:inference user:profile"


class InvalidGrant(Exception):
    """A code or refresh token is not valid: https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""


class TokenExpired(Exception):
    """The access token was valid, and has expired."""


@dataclass(frozen=True)
class Grant:
    """New tokens of an account. `expires_in` is in seconds."""

    account: Account
    access_token: str
    refresh_token: str
    expires_in: float


@dataclass(frozen=True)
class _Code:
    account: Account
    challenge: str
    client_id: str
    redirect_uri: str
    until: float


class TokenDesk:
    """Issues and checks tokens. `clock` returns seconds.

    A refresh token can be used once, an access token until it expires.
    """

    def __init__(self, accounts: Iterable[Account], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._serial = itertools.count(2)
        self._access: dict[str, tuple[Account, float]] = {}
        self._refresh: dict[str, Account] = {}
        self._codes: dict[str, _Code] = {}
        for account in accounts:
            if account.kind == "oauth":
                self._put(account, account.credential, account.refresh_token, account.expires_in)

    def owner(self, access_token: str) -> Account | None:
        """Return the account of an access token. Raises TokenExpired."""
        account, until = self._access.get(access_token, (None, 0.0))
        if account is not None and until <= self._clock():
            raise TokenExpired
        return account

    def current(self, name: str) -> tuple[str | None, str | None, float]:
        """Return the account's newest access token, its refresh token, and the expiry of the access token."""
        with self._lock:
            access = [(t, until) for t, (a, until) in self._access.items() if a.name == name]
            refresh = [token for token, a in self._refresh.items() if a.name == name]
        token, until = access[-1] if access else (None, 0.0)
        return token, refresh[-1] if refresh else None, until

    def refresh(self, refresh_token: str) -> Grant:
        """Exchange a refresh token for new tokens. Raises InvalidGrant."""
        with self._lock:
            account = self._refresh.pop(refresh_token, None)
            if account is None:
                raise InvalidGrant("Refresh token not found or invalid")
            return self._grant(account)

    def authorize(self, account: Account, challenge: str, client_id: str, redirect_uri: str) -> str:
        """Issue a code, which can be used once."""
        code = secrets.token_urlsafe(32)
        until = self._clock() + CODE_LIFETIME
        with self._lock:
            self._codes[code] = _Code(account, challenge, client_id, redirect_uri, until)
        return code

    def exchange(self, code: str, verifier: str, client_id: str, redirect_uri: str) -> Grant:
        """Exchange a code for tokens. Raises InvalidGrant."""
        with self._lock:
            issued = self._codes.pop(code, None)
            if issued is None or issued.until <= self._clock():
                raise InvalidGrant("Invalid 'code' in request")
            if (client_id, redirect_uri) != (issued.client_id, issued.redirect_uri):
                raise InvalidGrant("The code was issued to another client or redirect_uri")
            if not secrets.compare_digest(s256(verifier), issued.challenge):
                raise InvalidGrant("PKCE verification failed")
            return self._grant(issued.account)

    def expire(self, name: str) -> None:
        with self._lock:
            for token, (account, _) in self._access.items():
                if account.name == name:
                    self._access[token] = (account, self._clock())

    def revoke(self, name: str) -> None:
        """Revoke the account's tokens of both kinds: only a new login helps."""
        self.expire(name)
        with self._lock:
            self._refresh = {t: a for t, a in self._refresh.items() if a.name != name}

    def _grant(self, account: Account) -> Grant:
        n = next(self._serial)
        grant = Grant(
            account,
            f"sk-ant-oat-test-{account.name}-{n}",
            f"sk-ant-ort-test-{account.name}-{n}",
            account.lifetime,
        )
        self._put(account, grant.access_token, grant.refresh_token, grant.expires_in)
        return grant

    def _put(self, account: Account, access: str, refresh: str | None, lasts: float | None) -> None:
        until = float("inf") if lasts is None else self._clock() + lasts
        self._access[access] = (account, until)
        if refresh is not None:
            self._refresh[refresh] = account


def s256(verifier: str) -> str:
    """Return the S256 challenge of a verifier: https://www.rfc-editor.org/rfc/rfc7636#section-4.2"""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
