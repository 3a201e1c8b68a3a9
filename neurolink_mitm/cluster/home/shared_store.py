"""The token store as refreshes use it in a cluster: one replica at a time, by what all have.

A refresh token is good once. So a refresh takes a lock in Redis, gets in step, asks, writes to Redis and then to the
home, and gets in step again before it lets the lock go. Redis comes first: a replica that is killed between the two has
spent the token for all, and they must know.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from contextlib import suppress

import msgspec
from filelock import FileLock, Timeout

from neurolink_mitm.adapters.refresh import Lock, ReplicasAwayError
from neurolink_mitm.adapters.token_store import Credentials, TokenStore, TokenStoreError
from neurolink_mitm.cluster.home.entry_kinds import Logins
from neurolink_mitm.cluster.home.sync import Sync
from neurolink_mitm.cluster.redis.blocking_link import BlockingLink
from neurolink_mitm.cluster.redis.link import AwayError, RefusedError
from neurolink_mitm.core.auth.credentials import PROVIDER
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.auth.token_document import TokenDocument
from neurolink_mitm.core.cluster.merge import canonical
from neurolink_mitm.core.redact.secret import Secret

logger = logging.getLogger("neurolink.refresh")

LEASE = 5.0
"""Seconds after which the lock of a replica that was killed ends."""
RENEWED_EVERY = 1.5
TRIED_EVERY = 0.5
"""Seconds between two attempts to hand over tokens that Redis could not take."""
AWAY = "Redis is away: it is tried again when that is back"
NOT_IN_STEP = "this home can't be brought in step with the other replicas: see the log"


class SharedStore:
    """The store of one home. All methods block."""

    def __init__(self, store: TokenStore, sync: Sync, link: BlockingLink) -> None:
        self._store = store
        self._sync = sync
        self._link = link
        self._logins = Logins(store, ())
        self._unpushed: dict[str, bytes | None] = {}
        """The labels whose newest tokens are not in Redis yet; with the entry, where the home has no room for it."""
        self.locked: set[str] = set()
        """The labels whose lock of all replicas is held here."""
        self._closed = False

    def close(self) -> None:
        """Let later refreshes do without Redis; those under way are carried through."""
        self._closed = True

    def read(self) -> Credentials:
        return self._store.read()

    def refresh_lock(self, label: str) -> Lock:
        own = self._store.refresh_lock(label)
        return own if self._closed else SharedLock(label, own, self, self._sync, self._link)

    def replace_tokens(self, label: str, tokens: Tokens, spent: Secret | None = None) -> bool:
        """Write new tokens to Redis, then to the home; if Redis is away, to the home first.

        Return False if another login is there by now.
        """
        before, renewed = self._renewed(label, tokens, spent)
        handed_over = label in self.locked and self._hand_over(label, before, renewed)
        try:
            written = self._store.replace_tokens(label, tokens, spent)
        except TokenStoreError:
            if label in self.locked and not handed_over:
                self._unpushed[label] = renewed
                self.push()
            raise
        if not written:
            return False
        if label not in self.locked:
            return True
        self._unpushed[label] = None
        if not self.push():
            return True
        stored = next((each for each in self._store.read().stored if each.label == label), None)
        return stored is not None and stored.access_token == tokens.access_token

    def disable(self, label: str, reason: str, at: float, spent: Secret | None = None) -> bool:
        """Disable a login, unless another replica has a newer one. Raises `ReplicasAwayError`."""
        if label in self.locked and not self.push():
            raise ReplicasAwayError(AWAY)
        done = self._store.disable(label, reason, at, spent)
        if label in self.locked:
            self.push()
        return done

    def note_failure(self, label: str, spent: Secret | None = None) -> int:
        return self._store.note_failure(label, spent)

    def push(self) -> bool:
        """Get in step; return whether Redis was there."""
        before = dict(self._unpushed)
        try:
            for label, entry in before.items():
                if entry is not None:
                    self._sync.hand_over(self._logins, label, entry)
            if not self._sync.run():
                return False
        except AwayError:
            return False
        for label in before:
            self._unpushed.pop(label, None)
        return True

    def _hand_over(self, label: str, before: bytes | None, renewed: bytes | None) -> bool:
        """Write a login's new tokens to Redis, in place of what all had. Return whether that is done."""
        if renewed is None:
            return False
        try:
            self._sync.hand_over(self._logins, label, renewed, instead_of=before)
        except AwayError:
            return False
        return True

    def _renewed(
        self, label: str, tokens: Tokens, spent: Secret | None
    ) -> tuple[bytes | None, bytes | None]:
        """Return the entry of a login, and that with new tokens; None if it is another login by now."""
        with suppress(TokenStoreError, ValueError):
            entry = (self._store.entries() or {}).get(label)
            if entry is not None:
                key = msgspec.json.encode({"providers": {PROVIDER + label: msgspec.Raw(entry)}})
                document = TokenDocument(key)
                if document.replace_tokens(label, tokens, spent):
                    return canonical(entry), canonical(document.entries()[label])
        return None, None

    def owes(self, label: str) -> bool:
        """Return whether the newest tokens of a login are not in Redis yet."""
        return label in self._unpushed


class SharedLock:
    """The lock of one refresh: that of the home, then that of all replicas, which a thread renews."""

    def __init__(
        self, label: str, own: FileLock, store: SharedStore, sync: Sync, link: BlockingLink
    ) -> None:
        self._label = label
        self._own = own
        self._store = store
        self._sync = sync
        self._link = link
        self._key = f"refresh:{hashlib.sha256(label.encode()).hexdigest()[:16]}"
        self._value = secrets.token_hex(16)
        self._released = threading.Event()
        self._held = False

    def acquire(self, timeout: float | None = None) -> None:
        """Try once, and get in step. Raises `Timeout` while another has it, `ReplicasAwayError`."""
        if not self._own.is_locked:
            try:
                self._own.acquire(timeout=0)
            except OSError as e:
                logger.warning("account=%s: no lock in this home: %s", self._label, e.strerror)
        try:
            if not self._take():
                raise Timeout(self._key)
            in_step = self._sync.run()
        except (AwayError, RefusedError) as e:
            raise ReplicasAwayError(AWAY) from e
        why = self._sync.obstacle("logins", self._label)
        if why or not in_step:
            raise ReplicasAwayError(why or NOT_IN_STEP)

    def release(self) -> None:
        """Release both; that of all replicas not before Redis has the new tokens."""
        self._released.set()
        self._store.locked.discard(self._label)
        if self._held and not self._store.owes(self._label):
            self._unlock()
        self._own.release()

    def _take(self) -> bool:
        if not self._sync.settled:
            self._sync.run()
        if not self._sync.settled or not self._lock():
            return False
        if not self._held:
            self._held = True
            self._store.locked.add(self._label)
            threading.Thread(target=self._keep, name="refresh lock", daemon=True).start()
        return True

    def _lock(self) -> bool:
        return bool(self._link.script("lock", [self._key], [self._value, int(LEASE * 1000)]))

    def _keep(self) -> None:
        """Renew the lock until it is released, and while Redis does not have the new tokens."""
        every = RENEWED_EVERY
        while not self._released.wait(every) or self._store.owes(self._label):
            try:
                self._lock()
                every = RENEWED_EVERY
            except (AwayError, RefusedError):
                every = TRIED_EVERY
            if self._released.is_set():
                threading.Event().wait(TRIED_EVERY)
                if self._store.push():
                    self._unlock()

    def _unlock(self) -> None:
        with suppress(AwayError, RefusedError):
            self._link.script("unlock", [self._key], [self._value])
