"""Refreshes of several replicas, with a real Redis and a token endpoint that counts."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pytest
from filelock import Timeout
from redis import Redis

from neurolink_mitm.adapters.files import locked
from neurolink_mitm.adapters.oauth_client import OAuthClient
from neurolink_mitm.adapters.refresh import Refresher, ReplicasAwayError
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.cluster.home.shared_store import AWAY, NOT_IN_STEP, SharedStore
from neurolink_mitm.cluster.home.sync import NOT_WRITTEN
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import Tokens, Trouble
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import OAuth
from neurolink_mitm.sandbox import Account as Known
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cluster.members import OTHER_KEY, Member, Members
from tests.cluster.redis_server import RedisServer
from tests.fakes import NOW, FakeClock, make_account

pytestmark = [pytest.mark.real("redis"), pytest.mark.timeout(60)]

OLD = StoredAccount("a", Secret("sk-ant-oat-test-a"), Secret("sk-ant-ort-test-a"), NOW + 60)
PATH = "/v1/oauth/token"
LOCK = f"{{nl}}:refresh:{hashlib.sha256(b'a').hexdigest()[:16]}"
ACCOUNT = make_account(
    "a", "sk-ant-oat-test-a", expires_at=NOW + 60, refreshable=True, source="store"
)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    known = Known("a", "sk-ant-oat-test-a", "oauth", "sk-ant-ort-test-a")
    with SandboxServer([known]) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_token_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    for when in ("setup", "call"):
        assert "sk-ant" not in "".join(r.getMessage() for r in caplog.get_records(when))


class Interposed:
    """Does something in a thread before a request or after its answer, as the outside might."""

    date_skew = None

    def __init__(
        self,
        client: OAuthClient,
        before: Callable[[], object] = lambda: None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._client, self._before, self._then = client, before, then

    async def refresh(self, refresh_token: Secret, proxy_url: str | None = None) -> Tokens:
        await asyncio.to_thread(self._before)
        try:
            return await self._client.refresh(refresh_token, proxy_url)
        finally:
            await asyncio.to_thread(self._then)


class Replica:
    """A member with its refresher."""

    def __init__(self, member: Member, sandbox: SandboxServer) -> None:
        self.member = member
        self.store = SharedStore(member.store, member.sync, member.link)
        self._sandbox = sandbox
        self.refresher = Refresher(self.store, self.client, FakeClock(), lock_limit=5)

    def client(self) -> OAuthClient:
        return OAuthClient(OAuth(token_urls=(self._sandbox.url + PATH,)), FakeClock().now)

    def interpose(self, **steps: Callable[[], object]) -> None:
        self.refresher.reconnect(lambda: Interposed(self.client(), **steps))

    async def fresh(self, account: Account = ACCOUNT, *, force: bool = False) -> Refreshed:
        return await self.refresher.fresh(account, force=force)


@pytest.fixture
def replicas(pool: Members, sandbox: SandboxServer) -> list[Replica]:
    """Three that are in step, and have settled."""
    made = [Replica(pool.member(name), sandbox) for name in "abc"]
    made[0].member.store.save(OLD)
    for each in made:
        each.member.sync.run()
    return made


def asked(sandbox: SandboxServer) -> int:
    return sum(each.path == PATH for each in sandbox.requests)


async def test_three_at_once_make_one_request(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    sandbox.script_tokens(Reply(delay=0.3))
    results = await asyncio.gather(*(each.fresh() for each in replicas for _ in range(20)))
    assert {each.account_secret for each in results} == {Secret("sk-ant-oat-test-a-2")}
    assert {each.trouble for each in results} == {None}
    assert asked(sandbox) == 1
    assert {each.member.token("a") for each in replicas} == {"sk-ant-oat-test-a-2"}


async def test_a_refused_token_is_refreshed_once_for_all(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    for each in replicas:
        assert (await each.fresh(force=True)).account_secret == Secret("sk-ant-oat-test-a-2")
    assert asked(sandbox) == 1


async def test_the_lock_of_a_killed_replica_ends(
    replicas: list[Replica], sandbox: SandboxServer, redis: Redis
) -> None:
    redis.set(LOCK, "killed", px=400)
    assert (await replicas[1].fresh()).account_secret == Secret("sk-ant-oat-test-a-2")
    assert asked(sandbox) == 1
    assert not redis.exists(LOCK), "and is released after the refresh"


@pytest.mark.parametrize("hostile", ["for-ever", "too-long", "a-list"])
def test_a_lock_that_none_of_us_has_set_does_not_last(
    replicas: list[Replica], redis: Redis, hostile: str
) -> None:
    if hostile == "a-list":
        redis.rpush(LOCK, "x")
    else:
        redis.set(LOCK, "x", ex=None if hostile == "for-ever" else 10**6)
    lock = replicas[0].store.refresh_lock("a")
    try:
        if hostile == "a-list":
            lock.acquire()
        else:
            with pytest.raises(Timeout):
                lock.acquire()
            assert 0 < redis.pttl(LOCK) <= 5_000
    finally:
        lock.release()


class Dying:
    """A home whose process is killed as it is to write new tokens."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def replace_tokens(self, *_: object) -> bool:
        raise RuntimeError("killed")


async def test_who_is_killed_before_its_home_has_new_tokens_has_given_them_to_all(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    member = replicas[0].member
    dying = SharedStore(cast(TokenStore, Dying(member.store)), member.sync, member.link)
    with pytest.raises(RuntimeError, match="killed"):
        await Refresher(dying, replicas[0].client, FakeClock(), lock_limit=5).fresh(ACCOUNT)
    assert member.token("a") == "sk-ant-oat-test-a"
    for each in (*replicas[1:], replicas[0]):
        assert (await each.fresh()).account_secret == Secret("sk-ant-oat-test-a-2")
    assert asked(sandbox) == 1


async def test_a_lock_is_renewed_while_it_is_held(
    replicas: list[Replica], redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurolink_mitm.cluster.home.shared_store.LEASE", 0.3)
    monkeypatch.setattr("neurolink_mitm.cluster.home.shared_store.RENEWED_EVERY", 0.05)
    lock = replicas[0].store.refresh_lock("a")
    await asyncio.to_thread(lock.acquire)
    await asyncio.sleep(0.6)
    assert redis.exists(LOCK)
    with pytest.raises(Timeout):
        replicas[1].store.refresh_lock("a").acquire()
    await asyncio.to_thread(lock.release)
    assert not redis.exists(LOCK)


async def test_without_redis_nothing_is_refreshed(
    replicas: list[Replica], sandbox: SandboxServer, server: RedisServer
) -> None:
    server.kill()
    try:
        for force in (False, True):
            result = await replicas[0].fresh(force=force)
            assert (result.trouble, result.message) == (Trouble.TRANSIENT, AWAY)
            assert result.account_secret == OLD.access_token
        stored = replicas[0].member.login("a")
        assert stored
        assert stored.disabled is None
        assert replicas[0].member.store.failures("a") == 0
        assert asked(sandbox) == 0
    finally:
        server.start()
    replicas[0].refresher = Refresher(replicas[0].store, replicas[0].client, FakeClock())
    replicas[0].member.settle()
    assert (await replicas[0].fresh()).account_secret == Secret("sk-ant-oat-test-a-2")


async def test_redis_away_before_the_new_tokens_are_there(
    replicas: list[Replica], sandbox: SandboxServer, server: RedisServer
) -> None:
    """They serve here meanwhile, and are handed over before anybody refreshes."""
    first, second, _ = replicas
    first.interpose(then=server.kill)
    try:
        result = await first.fresh()
        assert result.account_secret == Secret("sk-ant-oat-test-a-2")
        assert first.member.token("a") == "sk-ant-oat-test-a-2"
        assert first.store.owes("a")
    finally:
        server.start()
    async with asyncio.timeout(10):
        while first.store.owes("a"):  # noqa: ASYNC110 - a thread hands them over
            await asyncio.sleep(0.05)
    second.member.settle()
    assert (await second.fresh()).account_secret == Secret("sk-ant-oat-test-a-2")
    assert asked(sandbox) == 1


async def test_after_an_outage_all_are_waited_for(
    replicas: list[Replica], sandbox: SandboxServer, server: RedisServer
) -> None:
    server.kill()
    server.start()
    member = replicas[0].member
    member.sync.settle_time = 3.0
    member.sync.lost()
    async with asyncio.timeout(5):
        while not member.in_contact():  # noqa: ASYNC110 - the breaker lets a probe through
            await asyncio.sleep(0.05)
    assert not member.sync.settled
    with pytest.raises(Timeout):
        replicas[0].store.refresh_lock("a").acquire()


async def test_a_login_on_another_replica_while_one_asks(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    """The new login wins; the tokens of the old one are dropped."""
    first, second, _ = replicas
    new = replace(OLD, access_token=Secret("sk-ant-oat-test-z"), expires_at=NOW + 9999)

    def log_in() -> None:
        second.member.store.save(replace(new, refresh_token=Secret("sk-ant-ort-test-z")))
        second.member.sync.run()

    first.interpose(then=log_in)
    result = await first.fresh()
    assert result.account_secret == Secret("sk-ant-oat-test-z")
    assert first.member.token("a") == second.member.token("a") == "sk-ant-oat-test-z"


async def test_an_invalid_grant_counts_if_it_is_still_the_token_of_all(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    first, second, _ = replicas
    sandbox.state.tokens.revoke("a")

    def refreshed_elsewhere() -> None:
        tokens = Tokens(Secret("sk-ant-oat-test-y"), Secret("sk-ant-ort-test-y"), NOW + 9999)
        second.member.store.replace_tokens("a", tokens)
        second.member.sync.run()

    first.interpose(then=refreshed_elsewhere)
    result = await first.fresh()
    assert result.account_secret == Secret("sk-ant-oat-test-y")
    stored = first.member.login("a")
    assert stored
    assert stored.disabled is None


async def test_an_invalid_grant_disables_for_all(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    sandbox.state.tokens.revoke("a")
    assert (await replicas[0].fresh()).trouble is Trouble.INVALID_GRANT
    replicas[1].member.sync.run()
    stored = replicas[1].member.login("a")
    assert stored
    assert (stored.disabled or "").startswith("needs login")


async def test_an_invalid_grant_while_redis_is_away_disables_nobody(
    replicas: list[Replica], sandbox: SandboxServer, server: RedisServer
) -> None:
    sandbox.state.tokens.revoke("a")
    replicas[0].interpose(then=server.kill)
    try:
        result = await replicas[0].fresh()
    finally:
        server.start()
    assert result.trouble is Trouble.TRANSIENT
    assert result.login
    assert result.login.disabled is None
    stored = replicas[0].member.login("a")
    assert stored
    assert stored.disabled is None


async def test_a_replica_with_another_key_does_not_refresh(
    pool: Members, replicas: list[Replica], sandbox: SandboxServer
) -> None:
    stranger = Replica(pool.member("stranger", OTHER_KEY), sandbox)
    stranger.member.store.save(OLD)
    result = await stranger.fresh()
    assert "copy cluster.key" in result.message
    assert asked(sandbox) == 0


async def test_two_replicas_on_one_home(pool: Members, sandbox: SandboxServer) -> None:
    both = [Replica(pool.member("shared"), sandbox) for _ in range(2)]
    both[0].member.store.save(OLD)
    sandbox.script_tokens(Reply(delay=0.2))
    results = await asyncio.gather(*(each.fresh() for each in both for _ in range(5)))
    assert {each.account_secret for each in results} == {Secret("sk-ant-oat-test-a-2")}
    assert asked(sandbox) == 1


async def test_a_full_disk_keeps_new_tokens_from_nobody_else(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    first, second, _ = replicas
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    first.interpose(then=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1])))
    try:
        result = await first.fresh()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (result.account_secret, result.written) == (Secret("sk-ant-oat-test-a-2"), False)
    assert (await second.fresh()).account_secret == Secret("sk-ant-oat-test-a-2")
    first.member.sync.run()
    assert first.member.token("a") == "sk-ant-oat-test-a-2"
    assert await first.refresher.flush()
    assert asked(sandbox) == 1


async def test_who_can_not_take_over_newer_tokens_does_not_refresh_old_ones(
    replicas: list[Replica], sandbox: SandboxServer
) -> None:
    first, second, _ = replicas
    await first.fresh()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        result = await second.fresh()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (result.trouble, result.message) == (Trouble.TRANSIENT, NOT_WRITTEN)
    assert asked(sandbox) == 1


async def test_a_home_that_another_process_keeps_locked_is_not_refreshed(
    replicas: list[Replica], sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurolink_mitm.adapters.files.LOCK_LIMIT", 0.1)
    member = replicas[0].member
    with locked(member.home.cluster_synced):
        result = await replicas[0].fresh()
    assert (result.trouble, result.message) == (Trouble.TRANSIENT, NOT_IN_STEP)
    assert asked(sandbox) == 0


async def test_a_closed_store_is_that_of_the_home(
    replicas: list[Replica], sandbox: SandboxServer, server: RedisServer
) -> None:
    replicas[0].store.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicas[0].member.sync, "run", lambda: pytest.fail("no Redis is asked"))
        assert (await replicas[0].fresh()).account_secret == Secret("sk-ant-oat-test-a-2")


def test_no_thread_is_left(replicas: list[Replica]) -> None:
    lock = replicas[0].store.refresh_lock("a")
    lock.acquire()
    lock.release()
    for thread in threading.enumerate():
        if thread.name == "refresh lock":
            thread.join(5)
    assert "refresh lock" not in [each.name for each in threading.enumerate()]
    assert ReplicasAwayError
