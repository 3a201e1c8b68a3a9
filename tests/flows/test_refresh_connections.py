"""Token refreshes through a real proxy, over TLS: on connections that messages have opened, or that stand ready."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import AHEAD
from neurolink_mitm.core.pool.accounts import build_pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Network, OAuth
from neurolink_mitm.ports import Runtime
from tests.connect_proxy import Authority
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, message
from tests.flows.raw_upstream import JSON, Act, RawUpstream, answer, error, says
from tests.waiting import wait_until

TOKEN_PATH = "/v1/oauth/token"
OK = answer(b'{"type": "message", "content": [], "usage": {}}', **JSON)
REFUSED = answer(error("authentication_error"), "401 Unauthorized", **JSON)
GRANTED = answer(
    json.dumps(
        {
            "access_token": "sk-ant-oat-test-new",
            "refresh_token": "sk-ant-ort-test-new",
            "expires_in": 28_800,
        }
    ).encode(),
    **JSON,
)
LIFETIME = 86_400.0


class MovedClock(SystemClock):
    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead


class Running:
    """A proxy with one login, and its upstream; `tokens` serves the token endpoint, which may be the same."""

    def __init__(
        self, proxy: Proxy, upstream: RawUpstream, tokens: RawUpstream, store: TokenStore
    ) -> None:
        self.proxy, self.upstream, self.tokens, self._store = proxy, upstream, tokens, store

    def ask(self) -> int:
        """As a new client; the status."""
        url, body = f"{self.proxy.url}/v1/messages", message(stream=False)
        answered = httpx.post(url, json=body, headers=CLAUDE_CODE, timeout=LIMIT, trust_env=False)
        return answered.status_code

    def refreshes(self) -> list[str]:
        """The refresh tokens that were sent."""
        bodies = [
            each.partition(b"\r\n\r\n")[2]
            for each in self.tokens.requests
            if TOKEN_PATH.encode() in each.partition(b"\r\n")[0]
        ]
        return [str(json.loads(body)["refresh_token"]) for body in bodies]

    def pass_time(self, seconds: float) -> None:
        self.proxy.clock.ahead += seconds

    @property
    def login(self) -> StoredAccount:
        [login] = self._store.read().stored
        return login


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def running(
    authority: Authority, home: Path, *acts: bytes | Act, warm: int = 0, apart: bool = False
) -> Iterator[Running]:
    """`apart`: the token endpoint is another server, which grants tokens."""
    store = TokenStore(Home(home))
    Home(home).create()
    ends = time.time() + LIFETIME
    store.save(StoredAccount("plan", Secret("sk-ant-oat-test"), Secret("sk-ant-ort-test"), ends))
    certificate, clock = authority.certificate("localhost"), MovedClock()
    with (
        RawUpstream(*acts, certificate=certificate) as upstream,
        RawUpstream(says(GRANTED), certificate=certificate) as other,
    ):
        tokens = other if apart else upstream
        config = Config(
            default_base_url=upstream.url,
            oauth=OAuth(token_urls=(f"{tokens.url}{TOKEN_PATH}",)),
            network=Network(warm=warm),
        )

        def with_refresher(runtime: Runtime) -> None:
            runtime.refresher = Refresher(
                store,
                lambda: oauth_client(config.oauth, upstreams=proxy.plane.upstreams),
                clock,
                pause=lambda _: 0.0,
            )

        accounts = build_pool(config, store.read().stored, None, None)
        proxy = Proxy(accounts, config, clock=clock, trusted=authority.path, change=with_refresher)
        with proxy:
            yield Running(proxy, upstream, tokens, store)


def test_after_a_401_it_is_asked_on_the_same_connection(
    authority: Authority, tmp_path: Path
) -> None:
    """Which messages have opened: messages and refreshes have the same key."""
    acts = [says(each) for each in (OK, REFUSED, GRANTED, OK)]
    with running(authority, tmp_path, *acts) as run:
        assert [run.ask(), run.ask()] == [200, 200]
        assert run.refreshes() == ["sk-ant-ort-test"]
        assert run.upstream.users == [0, 0, 0, 0]
        assert run.login.access_token == Secret("sk-ant-oat-test-new")


def test_one_that_upstream_has_closed_is_not_used(authority: Authority, tmp_path: Path) -> None:
    acts = [says(each) for each in (OK, GRANTED, OK)]
    with running(authority, tmp_path, *acts) as run:
        assert run.ask() == 200
        run.upstream.close_connections()
        run.pass_time(LIFETIME + 1)
        assert run.ask() == 200
        assert run.refreshes() == ["sk-ant-ort-test"]
        assert run.upstream.users == [0, 1, 1]


def test_one_that_ends_as_the_token_is_sent_costs_no_login(
    authority: Authority, tmp_path: Path
) -> None:
    """It is not sent again on its own: the next request that needs a new token does, by a new connection."""
    acts = [says(REFUSED), b"", says(REFUSED), says(GRANTED), says(OK)]
    with running(authority, tmp_path, *acts) as run:
        assert run.ask() != 200
        assert run.refreshes() == ["sk-ant-ort-test"]
        assert run.login.disabled is None
        run.pass_time(3600)  # no cooldown is left
        assert run.ask() == 200
        assert run.refreshes() == ["sk-ant-ort-test"] * 2
        assert run.upstream.users[0:2] == [0, 0]
        assert run.upstream.users[3] not in run.upstream.users[:3]


def test_a_spare_is_ready_when_a_refresh_comes_near(authority: Authority, tmp_path: Path) -> None:
    """To another server than that of messages. Before, it gets none."""
    with running(authority, tmp_path, says(OK), warm=1, apart=True) as run:
        assert run.ask() == 200
        assert run.tokens.connections == []
        run.pass_time(LIFETIME - AHEAD - 60)
        assert run.ask() == 200
        wait_until(lambda: len(run.tokens.connections) == 1, "a spare")
        run.pass_time(70)
        assert run.ask() == 200
        assert run.refreshes() == ["sk-ant-ort-test"]
        assert run.tokens.users == [0]
