"""Logins in a browser whose code is pasted back into a page: begun, finished by who began them, and only once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from neurolink_mitm.core.auth.oauth import Tokens, split_pasted

if TYPE_CHECKING:  # slow to import
    from neurolink_mitm.adapters.oauth_client import Login, OAuthClient

SECONDS = 15 * 60.0
"""How long a code is waited for."""
TRIES = 5
"""Codes that may be pasted for one login."""
MOST_OF_ONE, MOST = 4, 50
"""Logins under way of one owner, and in all; the oldest goes."""


class LoginOverError(Exception):
    """This login is not under way, or is being finished; the text says so."""


@dataclass(eq=False)
class BrowserLogin:
    """A login that was begun: open its `url`, and paste the code. `again` renews the account `label`."""

    owner: str = field(repr=False)
    login: Login = field(repr=False)
    label: str | None
    again: bool
    began_at: float
    """Monotonic."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    tries: int = 0
    busy: bool = False

    @property
    def url(self) -> str:
        return self.login.url

    def tokens(self, client: OAuthClient, pasted: str) -> Tokens:
        """Exchange the pasted code. Raises `ValueError`, `LoginError`; the text holds nothing of the code."""
        code, state = split_pasted(pasted)
        return client.finish(self.login, code, state)


class Logins:
    """The logins under way. All methods may be called in any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logins: dict[str, BrowserLogin] = {}
        self._lock = Lock()

    def begin(
        self, owner: str, login: Login, label: str | None, *, again: bool = False
    ) -> BrowserLogin:
        """Note a login that `owner` has begun, and may finish."""
        begun = BrowserLogin(owner, login, label, again, self._clock())
        with self._lock:
            self._forget_old()
            own = [each for each in self._logins.values() if each.owner == owner]
            for old in (*own[: -MOST_OF_ONE + 1], *list(self._logins.values())[: -MOST + 1]):
                self._logins.pop(old.id, None)
            self._logins[begun.id] = begun
        return begun

    def of(self, owner: str) -> list[BrowserLogin]:
        """Return the logins under way of `owner`, the latest first."""
        with self._lock:
            self._forget_old()
            return [each for each in self._logins.values() if each.owner == owner][::-1]

    @contextmanager
    def finishing(self, owner: str, id_: str) -> Iterator[BrowserLogin]:
        """Give a login to whoever finishes it: it is over afterwards, unless that raises and tries are left.

        Raises `LoginOverError`.
        """
        login = self._taken(owner, id_)
        try:
            yield login
        except BaseException:
            with self._lock:
                login.busy = False
                login.tries += 1
                if login.tries >= TRIES:
                    self._logins.pop(id_, None)
            raise
        self.drop(owner, id_)

    def _taken(self, owner: str, id_: str) -> BrowserLogin:
        with self._lock:
            self._forget_old()
            login = self._logins.get(id_)
            if login is None or login.owner != owner:
                raise LoginOverError("this login is over: begin another one")
            if login.busy:
                raise LoginOverError("a code for this login is being tried already")
            login.busy = True
        return login

    def drop(self, owner: str, id_: str) -> bool:
        """End a login; return whether it was under way."""
        with self._lock:
            login = self._logins.get(id_)
            if login is None or login.owner != owner:
                return False
            del self._logins[id_]
            return True

    def _forget_old(self) -> None:
        now = self._clock()
        for id_ in [id_ for id_, each in self._logins.items() if now - each.began_at >= SECONDS]:
            del self._logins[id_]
