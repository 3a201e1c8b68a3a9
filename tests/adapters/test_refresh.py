from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.oauth_client import OAuthClient
from neurolink_mitm.adapters.refresh import Client, Refresher
from neurolink_mitm.adapters.token_store import Credentials, TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import MAX_FAILURES, RefreshError, Tokens, Trouble
from neurolink_mitm.core.auth.refresh import Refreshed
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import OAuth
from neurolink_mitm.sandbox import Account as Known
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.fakes import NOW, FakeClock, make_account

ROOT = Path(__file__).parents[2]
OLD = StoredAccount("a", Secret("sk-ant-oat-test-a"), Secret("sk-ant-ort-test-a"), NOW + 60)
NEW = f"{OLD.access_token.reveal()}-2"
RELOGIN = replace(
    OLD,
    access_token=Secret("sk-ant-oat-test-z"),
    refresh_token=Secret("sk-ant-ort-test-z"),
    expires_at=NOW + 9999,
    email="z@example.com",
)
PATH = "/v1/oauth/token"


def known(label: str) -> Known:
    return Known(label, f"sk-ant-oat-test-{label}", "oauth", f"sk-ant-ort-test-{label}")


def account_of(login: StoredAccount = OLD, **changes: Any) -> Account:
    token = login.access_token.reveal()
    settings = {"expires_at": login.expires_at, "refreshable": True, "source": "store", **changes}
    return make_account(login.label, token, **settings)


def after(account: Account, result: Refreshed) -> Account:
    return replace(account, secret=result.account_secret, expires_at=result.expires_at)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer([known("a"), known("b")]) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Home:
    return Home(tmp_path / "nl")


@pytest.fixture
def store(root: Home) -> TokenStore:
    store = TokenStore(root)
    store.save(OLD)
    return store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def _no_token_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    for when in ("setup", "call"):
        assert "sk-ant" not in "".join(r.getMessage() for r in caplog.get_records(when))


def client_of(sandbox: SandboxServer, clock: FakeClock) -> OAuthClient:
    return OAuthClient(OAuth(token_urls=(sandbox.url + PATH,)), clock.now)


@pytest.fixture
def refresher(store: TokenStore, sandbox: SandboxServer, clock: FakeClock) -> Refresher:
    return Refresher(store, lambda: client_of(sandbox, clock), clock)


def asked(sandbox: SandboxServer) -> int:
    return sum(each.path == PATH for each in sandbox.requests)


def stored(store: TokenStore, label: str = "a") -> StoredAccount:
    return next(login for login in store.read().stored if login.label == label)


class Interposed:
    """Does something before a request or after its answer, as the outside might."""

    def __init__(
        self,
        client: Client,
        before: Callable[[], object] = lambda: None,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._client, self._before, self._then = client, before, then

    @property
    def date_skew(self) -> float | None:
        return self._client.date_skew

    async def refresh(self, refresh_token: Secret, proxy_url: str | None = None) -> Tokens:
        self._before()
        try:
            return await self._client.refresh(refresh_token, proxy_url)
        finally:
            self._then()


class Failing:
    """Has one answer, and counts."""

    date_skew = None

    def __init__(self, error: RefreshError) -> None:
        self.error, self.asked = error, 0

    async def refresh(self, refresh_token: Secret, proxy_url: str | None = None) -> Tokens:
        self.asked += 1
        raise self.error


# what a refresh is


async def test_a_token_that_ends_soon_is_replaced(refresher: Refresher, store: TokenStore) -> None:
    result = await refresher.fresh(account_of())
    assert (result.account_secret, result.expires_at) == (Secret(NEW), NOW + 28_800)
    assert (result.trouble, result.message, result.written) == (None, "", True)
    assert stored(store) == result.login
    assert stored(store).email == "a@example.com"


async def test_the_store_is_written_before_the_token_is_handed_out(
    refresher: Refresher, store: TokenStore
) -> None:
    account = account_of()
    for number in (2, 3, 4):
        result = await refresher.fresh(account, force=True)
        assert stored(store).access_token == result.account_secret
        assert result.account_secret.reveal().endswith(f"-{number}")
        account = after(account, result)


async def test_a_token_that_lasts_is_left_alone(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer
) -> None:
    store.save(replace(OLD, expires_at=NOW + 3601))
    result = await refresher.fresh(account_of(expires_at=NOW + 3601))
    assert (result.account_secret, result.trouble, asked(sandbox)) == (OLD.access_token, None, 0)


async def test_force_replaces_a_token_that_lasts(refresher: Refresher, store: TokenStore) -> None:
    store.save(replace(OLD, expires_at=NOW + 9999))
    result = await refresher.fresh(account_of(expires_at=NOW + 9999), force=True)
    assert result.account_secret == Secret(NEW)


@pytest.mark.parametrize("force", [False, True])
async def test_what_another_has_written_is_used(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer, force: bool
) -> None:
    store.replace_tokens("a", Tokens(Secret("sk-ant-oat-test-other"), Secret("r"), NOW + 9999))
    result = await refresher.fresh(account_of(), force=force)
    assert (result.account_secret, result.expires_at) == (
        Secret("sk-ant-oat-test-other"), NOW + 9999,
    )  # fmt: skip
    assert (result.trouble, result.written, asked(sandbox)) == (None, True, 0)


async def test_tokens_of_a_short_life_are_used_for_half_of_it(
    store: TokenStore, clock: FakeClock
) -> None:
    with SandboxServer([replace(known("a"), lifetime=600)]) as sandbox:
        refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
        account = account_of()
        counts = []
        for seconds in (0, 299, 2):
            clock.advance(seconds)
            account = after(account, await refresher.fresh(account))
            counts.append(asked(sandbox))
    assert counts == [1, 1, 2]


def with_legacy_login(root: Home) -> tuple[TokenStore, StoredAccount]:
    """A home that holds nothing else."""
    root.create()
    tokens = {
        "accessToken": "sk-ant-oat-test-a",
        "refreshToken": "sk-ant-ort-test-a",
        "expiresAt": 1,
    }
    root.legacy_credentials.write_text(json.dumps({"oauth": tokens}))
    store = TokenStore(root)
    legacy = store.read().legacy
    assert legacy is not None
    return store, legacy


async def test_the_legacy_login_is_taken_into_the_store(
    root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    store, legacy = with_legacy_login(root)
    refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
    result = await refresher.fresh(account_of(legacy, source="legacy"))
    assert (result.trouble, result.written) == (None, True)
    assert stored(store, "default").access_token == Secret(NEW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"refreshable": False}, "has no refresh token"), ({"label": "x"}, "is not stored any more")],
)
async def test_what_can_not_be_refreshed(
    refresher: Refresher, sandbox: SandboxServer, changes: dict[str, Any], said: str
) -> None:
    result = await refresher.fresh(replace(account_of(), **changes), force=True)
    assert (result.trouble, result.login) == (Trouble.REFUSED, None)
    assert said in result.message
    assert asked(sandbox) == 0


# one at a time


async def test_fifty_tasks_make_one_request(refresher: Refresher, sandbox: SandboxServer) -> None:
    sandbox.script_tokens(Reply(delay=0.1))
    results = await asyncio.gather(*(refresher.fresh(account_of()) for _ in range(50)))
    assert {result.account_secret for result in results} == {Secret(NEW)}
    assert asked(sandbox) == 1


async def test_fifty_tasks_look_once(root: Home, sandbox: SandboxServer, clock: FakeClock) -> None:
    """They share one refresh, rather than queue for the lock and read the store each."""
    reads = []

    class Counted(TokenStore):
        def read(self) -> Credentials:
            reads.append(1)
            return super().read()

    store = Counted(root)
    store.save(OLD)
    refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
    await asyncio.gather(*(refresher.fresh(account_of()) for _ in range(50)))
    assert len(reads) == 1


async def test_those_that_come_late_with_the_old_token_make_none(
    refresher: Refresher, sandbox: SandboxServer
) -> None:
    for _ in range(5):
        result = await refresher.fresh(account_of(), force=True)
        assert result.account_secret == Secret(NEW)
    assert asked(sandbox) == 1


async def test_force_does_not_settle_for_a_look_at_the_store(
    refresher: Refresher, store: TokenStore
) -> None:
    """It joins one that finds the very token that was refused, and lasting."""
    store.save(replace(OLD, expires_at=NOW + 9999))
    account = account_of(expires_at=NOW + 9999)
    looked, forced = await asyncio.gather(
        refresher.fresh(account), refresher.fresh(account, force=True)
    )
    assert (looked.account_secret, forced.account_secret) == (OLD.access_token, Secret(NEW))


async def test_accounts_do_not_wait_for_one_another(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer
) -> None:
    b = replace(OLD, label="b", access_token=Secret("sk-ant-oat-test-b"),
                refresh_token=Secret("sk-ant-ort-test-b"))  # fmt: skip
    store.save(b)
    sandbox.script_tokens(Reply(stall_after=0), Reply())
    stalled = asyncio.create_task(refresher.fresh(account_of()))
    await asyncio.to_thread(sandbox.wait_for, lambda requests: len(requests) == 1)
    assert (await refresher.fresh(account_of(b))).trouble is None
    assert not stalled.done()
    sandbox.stop()
    await stalled


async def test_a_client_that_leaves_breaks_nothing_off(
    refresher: Refresher, sandbox: SandboxServer, store: TokenStore
) -> None:
    sandbox.script_tokens(Reply(delay=0.2))
    leaving = asyncio.create_task(refresher.fresh(account_of()))
    await asyncio.to_thread(sandbox.wait_for, lambda requests: len(requests) == 1)
    leaving.cancel()
    await refresher.close()
    assert stored(store).access_token == Secret(NEW)


async def test_the_event_loop_is_not_blocked_while_another_process_refreshes(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer
) -> None:
    other = store.refresh_lock("a")
    other.acquire()
    waiting = asyncio.create_task(refresher.fresh(account_of()))
    beats = 0
    for _ in range(20):
        await asyncio.sleep(0.01)
        beats += 1
    assert (beats, waiting.done(), asked(sandbox)) == (20, False, 0)
    store.replace_tokens("a", Tokens(Secret("sk-ant-oat-test-other"), None, NOW + 9999))
    other.release()
    assert (await waiting).account_secret == Secret("sk-ant-oat-test-other")
    assert asked(sandbox) == 0


@pytest.mark.parametrize("writes", [False, True])
async def test_another_process_that_takes_too_long(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock, writes: bool
) -> None:
    refresher = Refresher(store, lambda: client_of(sandbox, clock), clock, lock_limit=0.1)
    if writes:
        store.replace_tokens("a", Tokens(Secret("sk-ant-oat-test-other"), None, NOW + 9))
    with store.refresh_lock("a"):
        result = await refresher.fresh(account_of())
    if writes:
        assert result.account_secret == Secret("sk-ant-oat-test-other")
    else:
        assert (result.trouble, result.account_secret) == (Trouble.TRANSIENT, OLD.access_token)
    assert asked(sandbox) == 0


@pytest.mark.timeout(90)
def test_two_processes_on_one_home_make_one_request(
    store: TokenStore, root: Home, sandbox: SandboxServer
) -> None:
    sandbox.script_tokens(Reply(delay=0.5))
    command = [sys.executable, "-m", "tests.adapters.refresh_process"]
    processes = [
        subprocess.Popen(
            [*command, str(root.root), sandbox.url + PATH, "a", "50"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert results == [[NEW] * 50] * 2
    assert asked(sandbox) == 1


@pytest.mark.timeout(120)
def test_killed_at_any_step_of_a_refresh(root: Home) -> None:
    with SandboxServer([known(f"a{n}") for n in range(1, 200)], keep=500) as sandbox:
        done = subprocess.run(
            [sys.executable, "-m", "tests.claude_code.killing", "refresh", str(root.root),
             sandbox.url + PATH],
            cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
        )  # fmt: skip
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["code"] for step in steps] == [-signal.SIGKILL] * (len(steps) - 1) + [0]
    assert len(steps) > 12
    assert [step["known"] for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        access, refresh = step["tokens"]
        old = f"sk-ant-oat-test-{step['label']}", f"sk-ant-ort-test-{step['label']}"
        assert (access == old[0]) == (refresh == old[1])
        assert access.startswith(old[0])
        assert refresh.startswith(old[1])
    kept = {step["tokens"][0].count("-") for step in steps[:-1]}
    assert kept == {4, 5}, "it was killed before the change, and after it"


# what goes wrong


async def test_a_revoked_login_needs_a_new_one_at_once(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer
) -> None:
    sandbox.revoke("a")
    result = await refresher.fresh(account_of())
    assert (result.trouble, result.account_secret) == (Trouble.INVALID_GRANT, OLD.access_token)
    assert (stored(store).disabled or "").startswith("needs login: ")
    again = await refresher.fresh(account_of())
    assert (again.trouble, asked(sandbox)) == (Trouble.REFUSED, 1)
    assert again.message.startswith("needs login: ")


async def test_a_login_that_came_meanwhile_is_not_disabled(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    sandbox.revoke("a")
    new = replace(OLD, access_token=Secret("sk-ant-oat-test-z"), refresh_token=Secret("r"))
    client = Interposed(client_of(sandbox, clock), then=lambda: store.save(new))
    result = await Refresher(store, lambda: client, clock).fresh(account_of())
    assert (result.trouble, result.account_secret) == (None, new.access_token)
    assert stored(store).disabled is None


async def test_a_login_that_came_at_the_last_moment_is_not_disabled(
    root: Home, store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """Between the last look at the store and the mark."""

    class Overtaken(TokenStore):
        def disable(self, *arguments: Any) -> bool:
            self.save(RELOGIN)
            return super().disable(*arguments)

    sandbox.revoke("a")
    result = await Refresher(Overtaken(root), lambda: client_of(sandbox, clock), clock).fresh(
        account_of()
    )
    assert (result.trouble, result.account_secret) == (None, RELOGIN.access_token)
    assert stored(store) == RELOGIN


async def test_a_login_that_came_during_a_refresh_is_kept(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """It may be of another account: what came of the login before is dropped."""
    client = Interposed(client_of(sandbox, clock), then=lambda: store.save(RELOGIN))
    refresher = Refresher(store, lambda: client, clock)
    result = await refresher.fresh(account_of())
    assert (result.account_secret, result.written) == (RELOGIN.access_token, True)
    assert (stored(store), refresher.unwritten) == (RELOGIN, {})


async def test_who_logs_out_during_a_refresh_stays_logged_out(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    client = Interposed(client_of(sandbox, clock), then=lambda: store.remove("a"))
    refresher = Refresher(store, lambda: client, clock)
    result = await refresher.fresh(account_of())
    assert (result.trouble, result.message) == (Trouble.REFUSED, "a is not stored any more")
    assert (refresher.unwritten, store.read().stored) == ({}, ())
    assert "NOT ON DISK" not in caplog.text


async def test_after_a_new_login_it_works_again(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer
) -> None:
    sandbox.revoke("a")
    await refresher.fresh(account_of())
    store.save(replace(OLD, refresh_token=Secret("sk-ant-ort-test-b")))
    assert (await refresher.fresh(account_of())).trouble is None


async def test_fifteen_failures_in_a_row_disable(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """Over two starts of the proxy."""
    sandbox.script_tokens(Reply(503))
    for failed in range(MAX_FAILURES):
        if failed in (0, 7):
            refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
        assert stored(store).disabled is None
        assert store.failures("a") == failed
        result = await refresher.fresh(account_of())
        assert result.trouble is Trouble.TRANSIENT
        clock.advance(60)
    assert (stored(store).disabled or "").startswith("15 refreshes failed in a row")
    assert asked(sandbox) == 15
    assert (await refresher.fresh(account_of())).trouble is Trouble.REFUSED
    assert asked(sandbox) == 15


async def test_a_new_login_forgets_the_failures(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """The row of them ends with the login that had them: the first one of the next disables nothing."""
    sandbox.script_tokens(Reply(503))
    for _ in range(MAX_FAILURES - 1):
        store.note_failure("a")
    store.save(replace(RELOGIN, expires_at=NOW + 60))
    await Refresher(store, lambda: client_of(sandbox, clock), clock).fresh(account_of())
    assert (store.failures("a"), stored(store).disabled) == (1, None)


async def test_a_success_forgets_the_failures(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    sandbox.script_tokens(Reply(503), Reply(html=True), Reply())
    troubles = []
    for _ in range(3):
        troubles.append((await refresher.fresh(account_of())).trouble)
        clock.advance(60)
    assert troubles == [Trouble.TRANSIENT, Trouble.TRANSIENT, None]
    assert store.failures("a") == 0


async def test_failures_are_spread_out(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    sandbox.script_tokens(Reply(503))
    for _ in range(20):
        result = await refresher.fresh(account_of(), force=True)
        assert (result.trouble, "503" in result.message) == (Trouble.TRANSIENT, True)
    assert (asked(sandbox), store.failures("a")) == (1, 1)
    clock.advance(1)
    await refresher.fresh(account_of())
    clock.advance(1)
    await refresher.fresh(account_of())
    assert asked(sandbox) == 2


async def test_being_offline_is_not_counted(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    sandbox.stop()
    for _ in range(MAX_FAILURES + 1):
        assert (await refresher.fresh(account_of())).trouble is Trouble.TRANSIENT
        clock.advance(60)
    assert (store.failures("a"), stored(store).disabled) == (0, None)


@pytest.mark.parametrize(("headers", "wait"), [({"retry-after": "30"}, 30), ({}, 60)])
async def test_a_limit_is_respected_and_not_counted(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer, clock: FakeClock,
    headers: dict[str, str], wait: int,
) -> None:  # fmt: skip
    sandbox.script_tokens(Reply(429, headers=headers), Reply())
    troubles = []
    for seconds in (0, wait - 1, 1):
        clock.advance(seconds)
        troubles.append(((await refresher.fresh(account_of())).trouble, asked(sandbox)))
    assert troubles == [(Trouble.RATE_LIMITED, 1), (Trouble.RATE_LIMITED, 1), (None, 2)]
    assert store.failures("a") == 0


async def test_a_new_login_does_not_wait_for_the_old_ones_limit(
    refresher: Refresher, store: TokenStore, sandbox: SandboxServer
) -> None:
    sandbox.script_tokens(Reply(429), Reply())
    await refresher.fresh(account_of())
    store.save(replace(OLD, refresh_token=Secret("sk-ant-ort-test-b")))
    assert (await refresher.fresh(account_of())).trouble is None


async def test_a_broken_store_is_reported(
    refresher: Refresher, root: Home, caplog: pytest.LogCaptureFixture
) -> None:
    root.tokens.write_text("{")
    result = await refresher.fresh(account_of())
    assert (result.trouble, result.account_secret) == (Trouble.TRANSIENT, OLD.access_token)
    assert "is broken and was left as it is" in result.message
    assert "is broken" in caplog.text


# tokens that can't be written


def in_place_of(path: Path) -> Callable[[], object]:
    """Moves the store aside and puts a directory there, which nobody can write over."""

    def swap() -> None:
        path.rename(path.with_name("tokens.json.saved"))
        path.mkdir()

    return swap


def restore(path: Path) -> None:
    path.rmdir()
    path.with_name("tokens.json.saved").rename(path)


async def test_tokens_that_can_not_be_written_are_handed_out(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    result = await Refresher(store, lambda: client, clock).fresh(account_of())
    assert (result.account_secret, result.trouble, result.written) == (Secret(NEW), None, False)
    assert "ITS NEW TOKENS ARE NOT ON DISK" in caplog.text


async def test_they_are_written_when_that_is_possible_again(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    refresher = Refresher(store, lambda: client, clock)
    await refresher.fresh(account_of())
    assert not await refresher.flush()
    restore(root.tokens)
    assert await refresher.flush()
    assert stored(store).access_token == Secret(NEW)


async def test_who_is_not_written_is_known_and_why(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Loud once, however often it is tried; the end of it is said, too."""
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    refresher = Refresher(store, lambda: client, clock)
    assert refresher.unwritten == {}
    await refresher.fresh(account_of())
    await refresher.flush()
    assert refresher.unwritten == {"a": f"can't write {root.tokens}: Is a directory"}
    assert caplog.text.count("NOT ON DISK") == 1
    restore(root.tokens)
    await refresher.flush()
    assert refresher.unwritten == {}
    assert "account=a: its new tokens are on disk now" in caplog.text


async def test_what_is_read_from_the_disk_gets_the_token_that_is_not_there_yet(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    refresher = Refresher(store, lambda: client, clock)
    as_stored, of_a_new_login = account_of(), make_account("a", "sk-ant-oat-test-z")
    done = await refresher.fresh(as_stored)
    assert refresher.newest(as_stored) == after(as_stored, done)
    assert refresher.newest(of_a_new_login) is of_a_new_login
    restore(root.tokens)
    await refresher.flush()
    assert refresher.newest(as_stored) == after(as_stored, done), "it was read before the write"


async def test_what_is_not_written_outlives_another_client(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """As when `oauth` of the configuration changes: the refresh token on disk is spent."""
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    refresher = Refresher(store, lambda: client, clock)
    done = await refresher.fresh(account_of())
    restore(root.tokens)
    refresher.reconnect(lambda: client_of(sandbox, clock))
    again = await refresher.fresh(after(account_of(), done), force=True)
    assert (again.trouble, again.account_secret.reveal()) == (None, "sk-ant-oat-test-a-3")


async def test_the_clock_is_compared_with_the_endpoints(
    refresher: Refresher, clock: FakeClock
) -> None:
    assert refresher.clock_skew is None
    clock.seconds = time.time() - 90
    await refresher.fresh(account_of(), force=True)
    assert refresher.clock_skew == pytest.approx(-90, abs=5)


async def test_refreshes_go_on_from_what_is_not_written(
    store: TokenStore, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """On a full disk: the refresh token there is spent, the one in memory is not."""
    refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
    account = account_of()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        for number in (2, 3, 4):
            result = await refresher.fresh(account, force=True)
            account = after(account, result)
            assert account.secret.reveal() == f"sk-ant-oat-test-a-{number}"
            assert (result.trouble, result.written) == (None, False)
        seen = await refresher.fresh(account)
        assert (seen.account_secret, seen.written) == (account.secret, False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert stored(store) == OLD
    assert (await refresher.fresh(account)).written
    assert stored(store).access_token == account.secret


@pytest.mark.parametrize("by", ["a request", "the next try to write"])
async def test_a_new_login_is_not_overwritten_by_what_was_not_written(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock, by: str
) -> None:
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    refresher = Refresher(store, lambda: client, clock)
    await refresher.fresh(account_of())
    restore(root.tokens)
    store.save(RELOGIN)
    if by == "a request":
        result = await refresher.fresh(account_of())
        assert result.account_secret == RELOGIN.access_token
    assert await refresher.flush()
    assert stored(store) == RELOGIN


async def test_what_is_not_written_outlives_the_mark_of_another_process(
    store: TokenStore, root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    """That one has tried the refresh token on disk, which is spent."""
    client = Interposed(client_of(sandbox, clock), before=in_place_of(root.tokens))
    refresher = Refresher(store, lambda: client, clock)
    done = await refresher.fresh(account_of())
    restore(root.tokens)
    await Refresher(store, lambda: client_of(sandbox, clock), clock).fresh(account_of())
    disabled = stored(store).disabled
    assert disabled
    assert disabled.startswith("needs login")
    assert refresher.newest(account_of(disabled=disabled)) == after(account_of(), done)
    result = await refresher.fresh(account_of())
    assert (result.trouble, result.account_secret) == (None, Secret(NEW))
    assert stored(store).disabled is None


async def test_the_legacy_login_is_taken_in_when_that_is_possible_again(
    root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    store, legacy = with_legacy_login(root)
    refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        result = await refresher.fresh(account_of(legacy, source="legacy"))
        assert (result.account_secret, result.written) == (Secret(NEW), False)
        assert "File too large" in refresher.unwritten["default"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert await refresher.flush()
    assert stored(store, "default").access_token == Secret(NEW)


async def test_where_no_lock_can_be_made_it_refreshes_without(
    refresher: Refresher, store: TokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkdir(store.refresh_lock("a").lock_file)
    result = await refresher.fresh(account_of())
    assert result.account_secret == Secret(NEW)
    assert "without a lock" in caplog.text


async def test_files_and_locks_are_for_threads(
    root: Home, sandbox: SandboxServer, clock: FakeClock
) -> None:
    loop_thread, seen = threading.get_ident(), set()

    class Watched(TokenStore):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_") and name != "refresh_lock":
                seen.add((name, threading.get_ident()))
            return super().__getattribute__(name)

    store = Watched(root)
    await asyncio.to_thread(store.save, OLD)
    seen.clear()
    refresher = Refresher(store, lambda: client_of(sandbox, clock), clock)
    await refresher.fresh(account_of())
    assert {name for name, _ in seen} == {"read", "replace_tokens", "take_over"}
    assert loop_thread not in {thread for _, thread in seen}


async def test_nothing_shows_a_token(refresher: Refresher) -> None:
    result = await refresher.fresh(account_of())
    assert "sk-ant" not in repr(result) + repr(refresher) + str(result)


async def test_a_refusal_counts_too(store: TokenStore, clock: FakeClock) -> None:
    client = Failing(RefreshError(Trouble.REFUSED, "no", None))
    result = await Refresher(store, lambda: client, clock).fresh(account_of())
    assert (result.trouble, store.failures("a"), client.asked) == (Trouble.REFUSED, 1, 1)
