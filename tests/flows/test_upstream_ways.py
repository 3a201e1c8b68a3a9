"""Who may use which connection: pins, HTTP proxies and their users; and whose credential goes over it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from neurolink_mitm.addons.inspect import Inspect
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.settings.values import Config, Network
from neurolink_mitm.stack import stack
from tests.connect_proxy import Authority, connect_proxy
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message
from tests.flows.raw_upstream import JSON, MESSAGE, RawUpstream, answer, hang_up, says
from tests.waiting import wait_until

ANSWER = answer(MESSAGE, **JSON)
PLAN = "sk-ant-oat-test-plan"
"""The token of a subscription, whose requests alone are shaped, and so have pins."""


@pytest.fixture
def upstream(certificate: Path) -> Iterator[RawUpstream]:
    with RawUpstream(says(ANSWER), certificate=certificate) as upstream:
        yield upstream


def get(proxy: Proxy) -> httpx.Response:
    """What a new client gets."""
    url, asked = f"{proxy.url}/v1/messages", message(stream=False)
    return httpx.post(url, json=asked, headers=CLAUDE_CODE, timeout=LIMIT, trust_env=False)


def ask(proxy: Proxy) -> str:
    """Who has served it."""
    served = get(proxy)
    assert served.status_code == 200, served.text
    return served.headers["x-neurolink-account"]


def pinned(pin: str, **network: int) -> Config:
    plugins = Plugins(tls_fingerprint=shaping.TlsFingerprint(True, {"localhost": (pin,)}))
    return Config(cloaking=Cloaking(plugins=plugins), network=Network(**network))


def users(upstream: RawUpstream) -> dict[int, set[bytes]]:
    """By connection, the credentials that went over it."""
    found: dict[int, set[bytes]] = {}
    for number, request in zip(upstream.users, upstream.requests, strict=True):
        head = request.partition(b"\r\n\r\n")[0].lower()
        names = (b"x-api-key: ", b"authorization: ")
        shown = (line for line in head.split(b"\r\n") if line.startswith(names))
        found.setdefault(number, set()).update(shown)
    return found


# --- pins


def test_a_connection_whose_certificate_was_compared_is_not_for_others(
    authority: Authority, certificate: Path, upstream: RawUpstream
) -> None:
    shown = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    pool = [account("plan", upstream.url, token=PLAN), account("key", upstream.url)]
    config = pinned(shown.hex(), warm=0)
    with Proxy(pool, config, "round-robin", trusted=authority.path) as proxy:
        served = [ask(proxy) for _ in range(4)]
        assert sorted(served) == ["key", "key", "plan", "plan"]
        assert len(upstream.connections) == 2
        assert [len(each) for each in users(upstream).values()] == [1, 1]


def test_nothing_is_sent_to_one_with_another_certificate(
    authority: Authority, upstream: RawUpstream
) -> None:
    """Nor is its connection kept, nor that of a spare, nor are spares connected again and again."""
    pool = [account("plan", upstream.url, token=PLAN)]
    with Proxy(pool, pinned("ab" * 32, warm=1), trusted=authority.path) as proxy:
        answers = [get(proxy) for _ in range(4)]
        assert [each.status_code for each in answers] == [502] * 4
        assert "localhost shows the certificate" in answers[0].text
        assert (upstream.requests, len(proxy.plane.upstreams)) == ([], 0)
        assert len(upstream.connections) <= 4 + 1


# --- HTTP proxies


def test_each_way_has_its_own_connections(authority: Authority, upstream: RawUpstream) -> None:
    """Two users of one HTTP proxy, and none; spares too are connected by the login that will use them."""
    with connect_proxy(upstream.port) as between:
        ways = {"a": f"http://a:p@{between.address}", "b": f"http://b:p@{between.address}"}
        pool = [account(name, upstream.url, proxy_url=url) for name, url in ways.items()]
        pool.append(account("c", upstream.url, proxy_url="direct"))
        with Proxy(pool, strategy="round-robin", trusted=authority.path) as proxy:
            assert sorted(ask(proxy) for _ in range(9)) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
            wait_until(lambda: len(proxy.plane.upstreams) == 6, "all are unused, with a spare each")
        logins = [base64.b64encode(f"{name}:p".encode()) for name in ways]
        by_login = [sum(login in head for head in between.heads) for login in logins]
        assert (by_login, len(between.heads)) == ([2, 2], 4)
    assert len(upstream.connections) == 6
    assert all(len(each) == 1 for each in users(upstream).values())


# --- credentials that are masked where flows are shown


def test_masked_credentials_are_sent_again_as_they_are(
    authority: Authority, upstream: RawUpstream
) -> None:
    upstream.script(says(ANSWER), hang_up, says(ANSWER))
    pool = [account("a", upstream.url)]
    with Proxy(
        pool,
        replace(Config(), network=Network(warm=0)),
        trusted=authority.path,
        addons=lambda runtime: [*stack(runtime), Inspect()],
    ) as proxy:
        assert [ask(proxy), ask(proxy)] == ["a", "a"]
    assert len(upstream.requests) == 3
    assert set().union(*users(upstream).values()) == {b"x-api-key: sk-ant-test-a"}
