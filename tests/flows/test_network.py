"""Requests through HTTP proxies, to an upstream with a company's certificate, which only the proxy can find."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from neurolink_mitm.adapters.network import read_network
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Account as SandboxAccount
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from tests.connect_proxy import COMPANY, Authority, connect_proxy, dead_proxy
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

HOST = "upstream.example"
ACCOUNTS = [SandboxAccount("a", "sk-ant-test-a"), SandboxAccount("b", "sk-ant-test-b")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[int]:
    tls = Tls(str(authority.certificate(HOST)))
    with SandboxServer(ACCOUNTS, tls=tls) as server:
        yield urlsplit(server.url).port or 0


def proxied(
    proxy: str | None, authority: Authority | None, *accounts: Any, **options: Any
) -> Proxy:
    """Ours, in an environment that names `proxy`."""
    variables = {"NODE_EXTRA_CA_CERTS": str(authority.path)} if authority else {}
    network = read_network(variables | ({"HTTPS_PROXY": proxy} if proxy else {}))
    trusted = (
        network.trust.write(authority.path.parent / "roots")
        if authority and network.trust
        else None
    )

    def change(runtime: Runtime) -> None:
        runtime.proxies = network.proxies

    pool = accounts or (account("a", f"https://{HOST}"),)
    return Proxy(pool, trusted=trusted, change=change, **options)


def ask(proxy: Proxy, path: str = "/v1/messages") -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=LIMIT, headers=CLAUDE_CODE) as client:
        return client.post(f"{proxy.url}{path}", json=message())


def told(answer: httpx.Response) -> str:
    return str(json.loads(answer.content)["error"]["message"])


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_through_the_environments_proxy(authority: Authority, secured: int, tls: bool) -> None:
    certificate = authority.certificate("localhost") if tls else None
    with connect_proxy(secured, login="me:p@ss:w", certificate=certificate) as between:
        url = f"http{'s' * tls}://me:p@ss:w@localhost:{between.server_address[1]}"
        with proxied(url, authority) as proxy:
            answer = ask(proxy)
            passed = ask(proxy, "/api/event")  # with the caller's own credentials
    assert answer.status_code == 200
    assert answer.headers["x-neurolink-account"] == "a"
    assert passed.status_code in (200, 404)
    assert set(between.targets) <= {f"{HOST}:443", "api.anthropic.com:443"}


def test_a_connection_serves_no_other_user_of_the_proxy(authority: Authority, secured: int) -> None:
    with connect_proxy(secured) as between:
        pool = [
            account(name, f"https://{HOST}", proxy_url=f"http://{name}:p@{between.address}")
            for name in ("a", "b")
        ]
        with (
            proxied(None, authority, *pool, strategy="round-robin") as proxy,
            httpx.Client(trust_env=False, timeout=LIMIT, headers=CLAUDE_CODE) as client,
        ):
            served = [
                client.post(f"{proxy.url}/v1/messages", json=message()).headers[
                    "x-neurolink-account"
                ]
                for _ in range(4)
            ]
    assert sorted(served) == ["a", "a", "b", "b"]
    logins = [
        base64.b64encode(f"{name}:p".encode()) in head for head in between.heads for name in "ab"
    ]
    assert logins.count(True) == len(between.heads) >= 2


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("me:hunter2@", "does not take this user and password (407)"),
        ("", "asks for a user and password (407)"),
    ],
    ids=["wrong", "none"],
)
def test_a_proxy_that_lets_nobody_through(secured: int, login: str, said: str) -> None:
    with connect_proxy(secured, login="me:right") as between:
        with proxied(f"{login}{between.address}", None) as proxy:
            answer = ask(proxy)
            status = httpx.get(f"{proxy.url}/status", trust_env=False).json()
        shown = (
            f"the HTTP proxy http://{'…@' if login else ''}{between.address} (HTTPS_PROXY) {said}"
        )
    assert (answer.status_code, told(answer)) == (502, f"Upstream could not be reached: {shown}")
    assert shown in status["stats"]["accounts"][0]["lastError"]


def test_a_proxy_that_is_dead() -> None:
    with dead_proxy() as address, proxied(address, None) as proxy:
        answer = ask(proxy)
    assert answer.status_code == 502
    assert f"the HTTP proxy http://{address} (HTTPS_PROXY) can't be reached: " in told(answer)


def test_a_proxy_that_can_not_be_used() -> None:
    with proxied("socks5://me:hunter2@h:1", None) as proxy:
        answer = ask(proxy)
    assert answer.status_code == 502
    assert "HTTPS_PROXY: socks5:// proxies can't be used" in told(answer)
    assert "hunter2" not in answer.text


def test_a_certificate_of_the_companys_own(secured: int) -> None:
    with connect_proxy(secured) as between, proxied(between.address, None) as proxy:
        answer = ask(proxy)
        status = httpx.get(f"{proxy.url}/status", trust_env=False).json()
    said = told(answer)
    assert answer.status_code == 502
    assert f"the certificate of {HOST} is not trusted: " in said
    assert f"issued by CN={COMPANY}" in said
    assert "NODE_EXTRA_CA_CERTS" in said
    assert f"issued by CN={COMPANY}" in status["stats"]["accounts"][0]["lastError"]


def test_an_untrusted_certificate_is_shown_once_to_all_accounts_there(secured: int) -> None:
    """Account c is reached another way, and serves."""
    with connect_proxy(secured) as between:
        there = [account(name, f"https://{HOST}") for name in ("a", "b")]
        with SandboxServer([SandboxAccount("c", "sk-ant-test-c")]) as plain:
            pool = [*there, account("c", plain.url)]
            with proxied(between.address, None, *pool) as proxy:
                served = ask(proxy)
                proxy.rows.wait()
                asked = [row.account for row in proxy.rows.attempts]
        assert served.headers["x-neurolink-account"] == "c"
        assert asked == ["a", "c"]
        # the attempt, a spare, and the look at the issuer
        assert 2 <= len(between.targets) <= 3
        with proxied(between.address, None, *there) as proxy:
            refused = ask(proxy)
        assert refused.headers["x-should-retry"] == "false"
        assert f"the certificate of {HOST} is not trusted: " in told(refused)


def test_a_proxy_whose_own_certificate_is_not_trusted(authority: Authority, secured: int) -> None:
    with (
        connect_proxy(secured, certificate=authority.certificate("localhost")) as between,
        proxied(f"https://localhost:{between.server_address[1]}", None) as proxy,
    ):
        answer = ask(proxy)
    assert "the certificate of the proxy localhost is not trusted: " in told(answer)
