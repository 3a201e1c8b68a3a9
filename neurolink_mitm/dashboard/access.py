"""Who may see the dashboard: a link that is good once makes a session, which has two halves.

A cookie goes to every port of its host, so that other programs of this machine are sent it; a key in the storage of the
page's origin does not. So a session is a cookie and a key, and both are needed for whatever shows data or acts.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LINK_SECONDS = 60.0
"""How long a link is good."""
SESSION_SECONDS = 12 * 3600.0
MAX_SESSIONS = 100
"""Sessions at once; the oldest goes."""
TRIES, TRIES_SECONDS = 10, 60.0
"""Failed sign-ins within so many seconds, after which nobody may try for the rest of them."""


@dataclass(frozen=True, slots=True)
class Session:
    """Both halves: the cookie's value, and the key that the page stores."""

    cookie: str = field(repr=False)
    key: str = field(repr=False)
    began_at: float


class TooManyTriesError(Exception):
    """Too many sign-ins have failed; `seconds` are left until the next try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many sign-ins have failed: try again in {seconds:.0f} s")
        self.seconds = seconds


class Access:
    """The links and sessions of one start. `clock` is monotonic; used by one thread at a time, but for `new_link`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: dict[str, float] = {}
        """By token: when it was made."""
        self._used: dict[str, str] = {}
        """By the token of a used link: the cookie of the session that it opened."""
        self._sessions: dict[str, Session] = {}
        self._failed: list[float] = []

    def new_link(self) -> str:
        """Return the token of a new link."""
        token = secrets.token_urlsafe(32)
        self._links[token] = self._clock()
        return token

    def sign_in(self, token: str) -> Session | None:
        """Return a new session for a link that is good; None, and the end of its session, for one that was used.

        Raises:
            TooManyTriesError: nobody may sign in for a while.
        """
        now = self._clock()
        self._forget(now)
        if len(self._failed) >= TRIES:
            raise TooManyTriesError(self._failed[0] + TRIES_SECONDS - now)
        made = self._links.pop(token, None)
        if made is None:
            self._failed.append(now)
            if cookie := self._used.pop(token, None):
                self._sessions.pop(cookie, None)
            return None
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), now)
        self._sessions[session.cookie] = session
        self._used[token] = session.cookie
        return session

    def session(self, cookie: str | None, key: str | None) -> Session | None:
        """Return the session of these halves; None if they are not two halves of one that goes on."""
        session = self._sessions.get(cookie or "")
        if session is None or key is None:
            return None
        if self._clock() - session.began_at >= SESSION_SECONDS:
            del self._sessions[session.cookie]
            return None
        return session if hmac.compare_digest(session.key.encode(), key.encode()) else None

    def sign_out(self, session: Session) -> None:
        self._sessions.pop(session.cookie, None)

    def _forget(self, now: float) -> None:
        self._failed = [at for at in self._failed if now - at < TRIES_SECONDS]
        for token in [t for t, made in tuple(self._links.items()) if now - made >= LINK_SECONDS]:
            del self._links[token]
        for cookie in list(self._sessions)[: -MAX_SESSIONS + 1]:
            del self._sessions[cookie]
        self._used = {t: cookie for t, cookie in self._used.items() if cookie in self._sessions}
