"""Tokens through the real proxy: renewed ahead of their end and after a 401, picked up when a login changes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.app.background import BackgroundTasks, keep_fresh
from neurolink_mitm.config.reloader import Reloader
from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.pool.accounts import Account, build_pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, OAuth
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Account as Upstream
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.cli.processes import Shell
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, message

TOKEN, REFRESH = "sk-ant-oat-test-plan", "sk-ant-ort-test-plan"


@pytest.fixture
def upstream() -> Iterator[SandboxServer]:
    """A subscription, `plan`, and an API key, `key`."""
    accounts = [
        Upstream("plan", TOKEN, "oauth", REFRESH, expires_in=86400),
        Upstream("key", "sk-ant-test-key"),
    ]
    with SandboxServer(accounts) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def store(home: Home) -> TokenStore:
    return TokenStore(home)


def login(
    label: str = "plan", token: str = TOKEN, ends_in: float = 86400, **more: Any
) -> StoredAccount:
    refresh = Secret(more.pop("refresh", REFRESH))
    return StoredAccount(label, Secret(token), refresh, time.time() + ends_in, **more)


class Running:
    """A proxy whose accounts come from a token store."""

    def __init__(self, proxy: Proxy, upstream: SandboxServer) -> None:
        self.proxy, self.upstream = proxy, upstream

    def ask(self) -> httpx.Response:
        url = f"{self.proxy.url}/v1/messages"
        return httpx.post(url, json=message(), headers=CLAUDE_CODE, timeout=LIMIT)

    def refreshes(self) -> int:
        return sum(r.path == "/v1/oauth/token" for r in self.upstream.requests)

    def account(self, label: str = "plan") -> Account | None:
        return next((a for a in self.proxy.runtime.pool.accounts if a.label == label), None)


@contextmanager
def proxy_on(
    store: TokenStore, home: Home, upstream: SandboxServer, *, watch: bool = False
) -> Iterator[Running]:
    config = Config(
        default_base_url=upstream.url,
        oauth=OAuth(token_urls=(f"{upstream.url}/v1/oauth/token",)),
    )

    def accounts() -> tuple[Account, ...]:
        return build_pool(config, store.read().stored, None, None)

    def with_refresher(runtime: Runtime) -> None:
        runtime.refresher = Refresher(store, lambda: oauth_client(config.oauth), runtime.clock)

    def addons(runtime: Runtime) -> list[object]:
        source = _Source((home.tokens,), lambda: Inputs(config, "fill-first", accounts()))
        return [*stack(runtime), *([_Background(runtime, source)] if watch else [])]

    with Proxy(accounts(), config, change=with_refresher, addons=addons) as proxy:
        yield Running(proxy, upstream)


@dataclass(frozen=True)
class _Source:
    paths: tuple[Path, ...]
    read_again: Callable[[], Inputs]

    def is_own_change(self, changed: Collection[Path]) -> bool:
        return False


class _Background:
    def __init__(self, runtime: Runtime, source: _Source) -> None:
        assert runtime.refresher
        fresh = partial(keep_fresh, runtime, runtime.refresher, 60.0)
        self._tasks = BackgroundTasks({"reload": Reloader(runtime, source).run, "refresh": fresh})

    async def running(self) -> None:
        await self._tasks.start()

    async def done(self) -> None:
        await self._tasks.stop()


def test_token_about_to_end_is_renewed_first(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    store.save(login(ends_in=600))
    with proxy_on(store, home, upstream) as running:
        assert running.ask().status_code == 200
        assert running.ask().status_code == 200
        assert running.refreshes() == 1
    [stored] = store.read().stored
    assert stored.access_token.reveal() != TOKEN
    assert upstream.requests[-1].header("authorization") == f"Bearer {stored.access_token.reveal()}"


def test_401_is_answered_by_a_new_token(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    store.save(login())
    upstream.expire("plan")
    with proxy_on(store, home, upstream) as running:
        answer = running.ask()
        assert answer.status_code == 200
        assert answer.headers["x-neurolink-account"] == "plan"
        assert answer.headers["x-neurolink-attempts"] == "2"
        assert running.refreshes() == 1
        assert "with a new token" in running.proxy.rows.wait()[0].why


def test_refused_again_and_again(store: TokenStore, home: Home, upstream: SandboxServer) -> None:
    """At most five new tokens a request; then the account cools for five minutes and the next one serves."""
    store.save(login())
    store.save(StoredAccount("key", Secret("sk-ant-test-key")))
    upstream.script("plan", Reply(401))
    with proxy_on(store, home, upstream) as running:
        answer = running.ask()
        assert answer.headers["x-neurolink-account"] == "key"
        assert running.refreshes() == 5
        [state] = running.proxy.runtime.pool.account_state("anthropic:plan").cooldowns.values()
        assert 290 < state.until - time.time() <= 300


def test_refused_beside_messages(store: TokenStore, home: Home, upstream: SandboxServer) -> None:
    """One new token in all, however often it is asked there; messages are served by the account all the while."""
    store.save(login())
    upstream.script("plan", Reply(401))
    with proxy_on(store, home, upstream) as running:
        for _ in range(3):
            url = f"{running.proxy.url}/v1/mcp_servers?limit=1000"
            assert httpx.get(url, headers=CLAUDE_CODE, timeout=LIMIT).status_code == 401
        assert running.refreshes() == 1
        assert running.proxy.runtime.pool.cooldowns() == {}
        upstream.script("plan", Reply())
        assert running.ask().headers["x-neurolink-account"] == "plan"


def test_a_token_that_ended_early_is_renewed_beside_messages_too(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    store.save(login())
    upstream.expire("plan")
    with proxy_on(store, home, upstream) as running:
        url = f"{running.proxy.url}/v1/mcp_servers"
        assert httpx.get(url, headers=CLAUDE_CODE, timeout=LIMIT).status_code == 200
        assert running.refreshes() == 1


def test_revoked_login_needs_a_new_one(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    store.save(login(ends_in=-60))
    store.save(StoredAccount("key", Secret("sk-ant-test-key")))
    upstream.revoke("plan")
    with proxy_on(store, home, upstream) as running:
        for _ in range(2):
            assert running.ask().headers["x-neurolink-account"] == "key"
        assert running.refreshes() == 1
        assert "needs login" in running.proxy.rows.wait(2)[1].why
    assert any("needs login" in (a.disabled or "") for a in store.read().stored)


@pytest.mark.timeout(120)
def test_fifty_requests_cause_one_refresh(upstream: SandboxServer, tmp_path: Path) -> None:
    """In two proxies, two processes, that share a home."""
    upstream.expire("plan")
    upstream.script_tokens(Reply(delay=0.5))
    with Shell(tmp_path) as shell, ThreadPoolExecutor(50) as pool:
        shell.write(
            "proxy-config.yaml",
            f"defaultBaseUrl: {upstream.url}\noauth: {{token-urls: ['{upstream.url}/v1/oauth/token']}}\n",
        )
        home = Home(shell.home / ".neurolink")
        TokenStore(home).save(login())  # good by its date: both find out by a 401, or by each other
        urls = [shell.serve()[1], second_proxy(shell)]

        def ask(number: int) -> int:
            url = f"{urls[number % 2]}/v1/messages"
            # fifty at once take their time where the machine has other things to do
            return httpx.post(url, json=message(), headers=CLAUDE_CODE, timeout=60).status_code

        assert list(pool.map(ask, range(50))) == [200] * 50
        [stored] = TokenStore(home).read().stored
    assert stored.access_token.reveal() != TOKEN
    assert sum(r.path == "/v1/oauth/token" for r in upstream.requests) == 1


def second_proxy(shell: Shell) -> str:
    """Another one in the same home, on a port of its own; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    other = shell.start("proxy", "start", "--port", str(port))
    return other.expect(r"export ANTHROPIC_BASE_URL=(\S+)\n")[1]


def test_refresh_that_fails_goes_to_the_next_account(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    store.save(login(ends_in=-60))
    store.save(StoredAccount("key", Secret("sk-ant-test-key")))
    upstream.script_tokens(Reply(500))
    with proxy_on(store, home, upstream) as running:
        assert running.ask().headers["x-neurolink-account"] == "key"
        assert [r.errorType for r in running.proxy.rows.attempts] == ["refresh_failed", None]


def test_refresh_that_fails_early_does_no_harm(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    """The token is good for ten more minutes: it is used."""
    store.save(login(ends_in=600))
    upstream.script_tokens(Reply(500))
    with proxy_on(store, home, upstream) as running:
        assert running.ask().headers["x-neurolink-account"] == "plan"


def until(reached: Callable[[], bool]) -> None:
    """Looks again and again, up to the limit."""
    end = time.monotonic() + LIMIT
    while not reached():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)  # a poll with an end, not a guess


def test_logins_are_picked_up(store: TokenStore, home: Home, upstream: SandboxServer) -> None:
    """New, changed, disabled and removed accounts, without a restart and without cutting a stream."""
    store.save(StoredAccount("key", Secret("sk-ant-test-key")))
    with proxy_on(store, home, upstream, watch=True) as running:
        assert running.ask().headers["x-neurolink-account"] == "key"
        store.save(login())
        until(lambda: running.account() is not None)
        assert running.ask().headers["x-neurolink-account"] == "plan"
        store.disable("plan", "by hand", time.time())
        until(lambda: bool((found := running.account()) and found.disabled))
        assert running.ask().headers["x-neurolink-account"] == "key"
        store.enable("plan")
        until(lambda: bool((found := running.account()) and not found.disabled))
        store.remove("plan")
        until(lambda: running.account() is None)
        assert running.ask().headers["x-neurolink-account"] == "key"


def test_new_login_ends_a_cooldown(store: TokenStore, home: Home, upstream: SandboxServer) -> None:
    store.save(login(refresh="sk-ant-ort-test-unknown"))
    store.save(StoredAccount("key", Secret("sk-ant-test-key")))
    upstream.script("plan", Reply(403), Reply())
    with proxy_on(store, home, upstream, watch=True) as running:
        assert running.ask().headers["x-neurolink-account"] == "key"
        assert running.proxy.runtime.pool.account_state("anthropic:plan").cooldowns
        upstream.expire("plan")
        renewed = httpx.post(
            f"{upstream.url}/v1/oauth/token",
            json={
                "grant_type": "refresh_token",
                "refresh_token": REFRESH,
                "client_id": OAuth().client_id,
            },
            timeout=LIMIT,
        ).json()
        store.save(login(token=renewed["access_token"], refresh=renewed["refresh_token"]))
        until(lambda: not running.proxy.runtime.pool.account_state("anthropic:plan").cooldowns)
        assert running.ask().headers["x-neurolink-account"] == "plan"


def test_idle_accounts_are_kept_fresh(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    """An expired account gets its try at the start, before anybody asks."""
    store.save(login(ends_in=-60))
    with proxy_on(store, home, upstream, watch=True) as running:
        until(lambda: running.refreshes() == 1)
        until(lambda: bool((found := running.account()) and found.secret.reveal() != TOKEN))
        assert running.ask().status_code == 200
        assert running.refreshes() == 1


def test_broken_store_changes_nothing(
    store: TokenStore, home: Home, upstream: SandboxServer
) -> None:
    store.save(StoredAccount("key", Secret("sk-ant-test-key")))
    with proxy_on(store, home, upstream, watch=True) as running:
        home.tokens.write_text("{ broken")
        assert running.ask().headers["x-neurolink-account"] == "key"
        assert home.tokens.read_text() == "{ broken"
