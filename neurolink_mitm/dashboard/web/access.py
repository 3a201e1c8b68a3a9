"""Who may see the dashboard: a link that is good once makes a session, which has two halves.

A cookie goes to every port of its host, so that other programs of this machine are sent it; a key in the storage of the
page's origin does not. So a session is a cookie and a key, and both are needed for whatever shows data or acts.

The token of a link is drawn by `neurolink dashboard`; the proxy is sent its digest only, so that no flow holds a link.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from neurolink_mitm.core.auth.client_keys import digest

LINK_SECONDS = 60.0
"""How long a link is good."""
SESSION_SECONDS = 12 * 3600.0
MAX_SESSIONS = MAX_LINKS = 100
"""At once; the oldest goes."""
TRIES, TRIES_SECONDS = 10, 60.0
"""Failed sign-ins within so many seconds, after which another one that would fail is not even judged."""

Clocks = tuple[Callable[[], float], ...]
Moment = tuple[float, ...]
"""The time by each clock."""


@dataclass(frozen=True, slots=True)
class Session:
    """Both halves: the cookie's value, and the key that the page stores."""

    cookie: str = field(repr=False)
    key: str = field(repr=False)
    began_at: Moment

    @property
    def name(self) -> str:
        """What tells this session from others, and says nothing about its halves."""
        return sha256(f"{self.cookie} {self.key}".encode()).hexdigest()


class TooManyTriesError(Exception):
    """Too many sign-ins have failed; `seconds` are left until the next try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many sign-ins have failed: try again in {seconds:.0f} s")
        self.seconds = seconds


class Access:
    """The links and sessions of one listener; any thread may ask.

    Time is what the fastest of `clocks` says: a monotonic clock stands still while a laptop sleeps, the other one can
    be set back.
    """

    def __init__(self, clocks: Clocks = (time.monotonic, time.time)) -> None:
        self._clocks = clocks
        self._lock = threading.Lock()
        self._links: dict[str, Moment] = {}
        """By the digest of its token: when a link was made."""
        self._used: dict[str, str] = {}
        """By the digest of a used link's token: the cookie of the session that it opened."""
        self._sessions: dict[str, Session] = {}
        self._failed: list[Moment] = []

    def expect(self, link: str) -> None:
        """Take the digest of the token of a new link."""
        with self._lock:
            self._links[link] = self._now()
            self._forget()

    def sign_in(self, token: str) -> Session | None:
        """Return a new session for a link that is good; None, and the end of its session, for one that was used.

        A good link is never refused: by failing on purpose nobody keeps the owner out, and 256 bits are not guessed.

        Raises:
            TooManyTriesError: the link is not good, and neither were many before it.
        """
        link = digest(token)
        with self._lock:
            self._forget()
            if self._links.pop(link, None) is None:
                self._refuse(link)
                return None
            session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), self._now())
            self._sessions[session.cookie] = session
            self._used[link] = session.cookie
            return session

    def session(self, cookie: str | None, key: str | None) -> Session | None:
        """Return the session of these halves; None if they are not two halves of one that goes on."""
        session = self._sessions.get(cookie or "")
        if session is None or key is None or not self.goes_on(session):
            return None
        ours, theirs = (half.encode("utf-8", "surrogatepass") for half in (session.key, key))
        return session if hmac.compare_digest(ours, theirs) else None

    def goes_on(self, session: Session) -> bool:
        """Whether a session has neither been ended nor expired."""
        ended = self._sessions.get(session.cookie) is not session
        return not ended and self._age(session.began_at) < SESSION_SECONDS

    def sign_out(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.cookie, None)

    def _refuse(self, link: str) -> None:
        """End the session of a link that was used before, and count the failure."""
        self._sessions.pop(self._used.pop(link, ""), None)
        if len(self._failed) >= TRIES:
            raise TooManyTriesError(max(1.0, TRIES_SECONDS - self._age(self._failed[0])))
        self._failed.append(self._now())

    def _now(self) -> Moment:
        return tuple(clock() for clock in self._clocks)

    def _age(self, moment: Moment) -> float:
        return max(now - then for now, then in zip(self._now(), moment, strict=True))

    def _forget(self) -> None:
        age = self._age
        self._failed = [at for at in self._failed if age(at) < TRIES_SECONDS]
        links = [(link, made) for link, made in self._links.items() if age(made) < LINK_SECONDS]
        self._links = dict(links[-MAX_LINKS:])
        going = [s for s in self._sessions.values() if age(s.began_at) < SESSION_SECONDS]
        self._sessions = {session.cookie: session for session in going[-MAX_SESSIONS + 1 :]}
        self._used = {t: cookie for t, cookie in self._used.items() if cookie in self._sessions}
