"""Homes that share a Redis, without a proxy."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.mark_file import NOTHING, Marks
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.cluster.home.entry_kinds import kinds_of
from neurolink_mitm.cluster.home.seal import Sealer
from neurolink_mitm.cluster.home.sync import Sync
from neurolink_mitm.cluster.home.synced_file import SyncedFile
from neurolink_mitm.cluster.redis.blocking_link import BlockingLink, link_in_thread
from neurolink_mitm.cluster.redis.link import AwayError, Link
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret

KEY = Secret(base64.b64encode(b"k" * 32).decode())
OTHER_KEY = Secret(base64.b64encode(b"o" * 32).decode())


@dataclass
class Member:
    """One home and what brings it in step."""

    home: Home
    store: TokenStore
    sync: Sync
    link: BlockingLink
    configured: dict[str, object]

    def settle(self) -> None:
        """Wait for Redis, and take the others as having written back."""
        deadline = time.monotonic() + 5
        while not self.in_contact():
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.05)
        self.sync.settle_time = 0.0
        self.sync.lost()
        self.sync.run()

    def in_contact(self) -> bool:
        try:
            self.sync.run()
        except AwayError:
            return False
        return True

    def login(self, label: str = "work") -> StoredAccount | None:
        return next((each for each in self.store.read().stored if each.label == label), None)

    def token(self, label: str = "work") -> str | None:
        login = self.login(label)
        return login.access_token.reveal() if login else None


class Members:
    """Makes homes of one namespace."""

    def __init__(self, folder: Path, url: str, namespace: str) -> None:
        self.folder = folder
        self.url = url
        self.namespace = namespace
        self._stack = ExitStack()

    def member(self, name: str, key: Secret = KEY, *, settled: bool = True) -> Member:
        home = Home(self.folder / name)
        home.create()
        store = TokenStore(home)
        to_redis = Link(Secret(self.url), self.namespace)
        link = self._stack.enter_context(link_in_thread(to_redis))
        configured: dict[str, object] = dict(NOTHING)

        def marks() -> Marks:
            return configured

        sync = Sync(
            link,
            Sealer(key, self.namespace),
            kinds_of(home, TokenStore(home), marks),
            SyncedFile(home.cluster_synced, self.namespace),
            name,
        )
        sync.settle_time = 0.0 if settled else sync.settle_time
        return Member(home, store, sync, link, configured)

    def close(self) -> None:
        self._stack.close()


@contextmanager
def members(folder: Path, url: str, namespace: str) -> Iterator[Members]:
    made = Members(folder, url, namespace)
    try:
        yield made
    finally:
        made.close()


def login(
    token: str, *, label: str = "work", ends: float = 2e9, account: str | None = None
) -> StoredAccount:
    access, refresh = Secret(f"sk-ant-oat-test-{token}"), Secret(f"sk-ant-ort-test-{token}")
    return StoredAccount(label, access, refresh, ends, account_uuid=account)
