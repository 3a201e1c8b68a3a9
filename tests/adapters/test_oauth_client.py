from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from neurolink_mitm.adapters import oauth_wire
from neurolink_mitm.adapters.network import read_network
from neurolink_mitm.adapters.oauth_client import (
    CREATE_KEY_PATH,
    Login,
    LoginError,
    OAuthClient,
)
from neurolink_mitm.adapters.oauth_wire import LARGEST
from neurolink_mitm.core.auth.oauth import RefreshError, Tokens, Trouble, split_pasted
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import OAuth
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from tests.connect_proxy import COMPANY, Authority, connect_proxy, dead_proxy
from tests.fakes import NOW

ACCESS, REFRESH = "sk-ant-oat-test-a", "sk-ant-ort-test-a"
ACCOUNT = Account("a", ACCESS, "oauth", REFRESH, expires_in=60)
KEY = Account("k", "sk-ant-test-k")
PATH = "/v1/oauth/token"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer([ACCOUNT, KEY]) as server:
        yield server


def settings(*urls: str) -> OAuth:
    """Of token endpoints at these servers, and the authorize page of the first."""
    return OAuth(
        authorize_url=f"{urls[0]}/oauth/authorize",
        token_urls=tuple(f"{url}{PATH}" for url in urls),
        redirect_uri="https://example.com/shown",
    )


def client_of(*urls: str, **changes: Any) -> OAuthClient:
    return OAuthClient(settings(*urls), **changes)


async def failure(client: OAuthClient, token: str = REFRESH) -> RefreshError:
    with pytest.raises(RefreshError) as caught:
        await client.refresh(Secret(token))
    assert token not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    return caught.value


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"http://127.0.0.1:{found.getsockname()[1]}"


def asked(sandbox: SandboxServer) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in sandbox.requests if each.path == PATH]


# refresh


async def test_tokens_are_rotated(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url, clock=lambda: 1000.0)
    first = await client.refresh(Secret(REFRESH))
    assert first.refresh_token is not None
    assert (first.access_token, first.expires_at) == (Secret(f"{ACCESS}-2"), 1000.0 + 28_800)
    assert (first.email, first.organization_name) == ("a@example.com", "a's organization")
    second = await client.refresh(first.refresh_token)
    assert second.access_token == Secret(f"{ACCESS}-3")
    assert (await failure(client)).trouble is Trouble.INVALID_GRANT


async def test_the_body_is_json_and_no_more_than_needed(sandbox: SandboxServer) -> None:
    await client_of(sandbox.url).refresh(Secret(REFRESH))
    (request,) = sandbox.requests
    assert (request.header("content-type"), request.method) == ("application/json", "POST")
    assert (request.header("user-agent") or "").startswith("neurolink/")
    assert asked(sandbox) == [
        {"grant_type": "refresh_token", "refresh_token": REFRESH, "client_id": OAuth().client_id}
    ]


async def test_a_revoked_token(sandbox: SandboxServer) -> None:
    sandbox.revoke("a")
    error = await failure(client_of(sandbox.url, sandbox.url))
    assert error.trouble is Trouble.INVALID_GRANT
    assert str(error) == (
        "127.0.0.1 answered 400: invalid_grant: Refresh token not found or invalid"
    )
    assert len(asked(sandbox)) == 1


@pytest.mark.parametrize("wait", ["30", formatdate(NOW + 30, usegmt=True)])
async def test_a_limit_and_how_long_it_lasts(sandbox: SandboxServer, wait: str) -> None:
    sandbox.script_tokens(Reply(429, headers={"retry-after": wait}))
    error = await failure(client_of(sandbox.url, sandbox.url, clock=lambda: NOW))
    assert (error.trouble, error.retry_after) == (Trouble.RATE_LIMITED, 30)
    assert len(asked(sandbox)) == 1


@pytest.mark.parametrize(
    ("reply", "trouble", "said"),
    [
        (Reply(503), Trouble.TRANSIENT, "answered 503"),
        (Reply(200, html=True), Trouble.TRANSIENT, "no tokens that can be read"),
        (Reply(502, html=True), Trouble.TRANSIENT, "answered 502"),
        (Reply(403, html=True), Trouble.TRANSIENT, "answered 403"),
        (Reply(body=b"{}"), Trouble.TRANSIENT, "no tokens that can be read"),
        (Reply(302, body=b"", headers={"location": "http://x"}), Trouble.TRANSIENT, "302"),
        (Reply(404, body=b""), Trouble.REFUSED, "answered 404"),
        (Reply(401, body=b'{"error": "invalid_client"}'), Trouble.REFUSED, "invalid_client"),
        (Reply(hang_up=True), Trouble.TRANSIENT, "broke off (RemoteProtocolError)"),
        (Reply(reset=True, cut_after=1), Trouble.TRANSIENT, "broke off (ReadError)"),
        (Reply(cut_after=1), Trouble.TRANSIENT, "broke off (RemoteProtocolError)"),
        (Reply(429, html=True), Trouble.RATE_LIMITED, "answered 429"),
    ],
    ids=lambda value: "" if not isinstance(value, Reply) else repr(value)[:60],
)
async def test_what_can_go_wrong(
    sandbox: SandboxServer, reply: Reply, trouble: Trouble, said: str
) -> None:
    sandbox.script_tokens(reply)
    error = await failure(client_of(sandbox.url))
    assert (error.trouble, error.answered) == (trouble, True)
    assert said in str(error)
    assert "<" not in str(error)


GRANTED = b'{"access_token": "sk-ant-oat-test-z", "expires_in": 60}'
BOMB = gzip.compress(bytes(100_000_000))


def test_the_bomb_is_small_enough_to_be_read() -> None:
    assert len(BOMB) < LARGEST


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_an_answer_that_is_compressed_unasked(
    sandbox: SandboxServer, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(GRANTED)
    sandbox.script_tokens(Reply(body=body, headers={"content-encoding": coding}))
    tokens = await client_of(sandbox.url).refresh(Secret(REFRESH))
    assert tokens.access_token == Secret("sk-ant-oat-test-z")


@pytest.mark.parametrize("way", ["refresh", "login"])
async def test_an_answer_is_not_unpacked_beyond_its_bound(sandbox: SandboxServer, way: str) -> None:
    sandbox.script_tokens(Reply(body=BOMB, headers={"content-encoding": "gzip"}))
    client = client_of(sandbox.url)
    tracemalloc.start()
    try:
        if way == "refresh":
            assert (await failure(client)).trouble is Trouble.TRANSIENT
        else:
            with pytest.raises(LoginError):
                await asyncio.to_thread(client.finish, client.begin(), "code", None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * LARGEST


async def test_a_server_that_says_nothing(sandbox: SandboxServer) -> None:
    sandbox.script_tokens(Reply(stall_after=0))
    error = await failure(client_of(sandbox.url, timeout=0.2))
    assert (error.trouble, str(error)) == (
        Trouble.TRANSIENT, "127.0.0.1 did not answer in time",
    )  # fmt: skip


async def test_a_server_that_is_slow(sandbox: SandboxServer) -> None:
    sandbox.script_tokens(Reply(delay=0.3))
    assert (await client_of(sandbox.url).refresh(Secret(REFRESH))).expires_at


async def test_a_server_that_is_not_there() -> None:
    error = await failure(client_of(closed_port()))
    assert (error.trouble, error.answered) == (Trouble.TRANSIENT, False)
    assert "can't be reached" in str(error)


# through a proxy, to a host that only it knows


HOST = "login.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(authority: Authority) -> Iterator[int]:
    tls = Tls(str(authority.certificate(HOST)))
    with SandboxServer([ACCOUNT, KEY], tls=tls) as server:
        yield urlsplit(server.url).port or 0


def by(proxy: str, authority: Authority | None = None, **changes: Any) -> OAuthClient:
    trusted = {"SSL_CERT_FILE": str(authority.path)} if authority else {}
    network = read_network({"HTTPS_PROXY": proxy, **trusted})
    return client_of(f"https://{HOST}", network=network, **changes)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_the_environments_proxy_and_authority(
    authority: Authority, secured: int, tls: bool
) -> None:
    certificate = authority.certificate("localhost") if tls else None
    with connect_proxy(secured, login="me:p@ss:w", certificate=certificate) as proxy:
        url = f"http{'s' * tls}://me:p@ss:w@localhost:{proxy.server_address[1]}"
        tokens = await by(url, authority).refresh(Secret(REFRESH))
    assert tokens.access_token.reveal().startswith("sk-ant-oat")
    assert proxy.targets == [f"{HOST}:443"]


async def test_an_accounts_own_proxy_is_the_one_for_its_refresh(
    authority: Authority, secured: int
) -> None:
    with connect_proxy(secured) as proxy, dead_proxy() as dead:
        await by(dead, authority).refresh(Secret(REFRESH), proxy.address)
    assert len(proxy.heads) == 1


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("me:wrong@", "does not take this user and password (407)"),
        ("", "asks for a user and password (407)"),
    ],
    ids=["wrong", "none"],
)
async def test_a_proxy_that_lets_nobody_through(secured: int, login: str, said: str) -> None:
    with connect_proxy(secured, login="me:right") as proxy:
        error = await failure(by(f"{login}{proxy.address}"))
    shown = f"the HTTP proxy http://{'…@' if login else ''}{proxy.address} (HTTPS_PROXY)"
    assert str(error) == f"{HOST} can't be reached: {shown} {said}"
    assert not error.answered


async def test_a_proxy_that_is_dead() -> None:
    with dead_proxy() as address:
        error = await failure(by(address))
    proxy = f"the HTTP proxy http://{address} (HTTPS_PROXY) can't be reached"
    assert str(error) == f"{HOST} can't be reached: {proxy}"
    assert not error.answered


async def test_a_proxy_that_can_not_be_used() -> None:
    error = await failure(by("socks5://me:hunter2@h:1"))
    assert "can't be asked: HTTPS_PROXY: socks5:// proxies can't be used" in str(error)
    assert "hunter2" not in str(error)


async def test_a_certificate_of_the_companys_own(secured: int) -> None:
    with connect_proxy(secured) as proxy:
        error = await failure(by(proxy.address))
    assert "is not trusted: " in str(error)
    assert f"issued by CN={COMPANY}" in str(error)
    assert "NODE_EXTRA_CA_CERTS" in str(error)


async def test_an_echo_of_the_token_is_not_repeated(sandbox: SandboxServer) -> None:
    body = json.dumps({"error": "bad", "error_description": "no such token: odd-hunter2\n!"})
    sandbox.script_tokens(Reply(400, body=body.encode()))
    error = await failure(client_of(sandbox.url), "odd-hunter2")
    assert str(error) == "127.0.0.1 answered 400: bad: no such token: *** !"


@pytest.mark.parametrize(
    "reply",
    [Reply(404, body=b""), Reply(500), Reply(503), Reply(hang_up=True), Reply(502, html=True)],
)
async def test_the_second_address_is_asked(sandbox: SandboxServer, reply: Reply) -> None:
    with SandboxServer([ACCOUNT]) as first:
        first.script_tokens(reply)
        tokens = await client_of(first.url, sandbox.url).refresh(Secret(REFRESH))
    assert tokens.access_token == Secret(f"{ACCESS}-2")
    assert (len(asked(first)), len(asked(sandbox))) == (1, 1)


async def test_the_second_address_is_asked_when_the_first_is_not_there(
    sandbox: SandboxServer,
) -> None:
    tokens = await client_of(closed_port(), sandbox.url).refresh(Secret(REFRESH))
    assert tokens.access_token == Secret(f"{ACCESS}-2")


async def test_what_the_second_address_says_counts(sandbox: SandboxServer) -> None:
    sandbox.revoke("a")
    error = await failure(client_of(closed_port(), sandbox.url))
    assert error.trouble is Trouble.INVALID_GRANT


async def test_clocks_are_compared(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url, clock=lambda: time.time() + 90)
    assert client.date_skew is None
    await client.refresh(Secret(REFRESH))
    assert client.date_skew == pytest.approx(90, abs=5)


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Foo 2025 00:00:00 GMT"])
async def test_a_date_that_is_none_tells_nothing(sandbox: SandboxServer, date: str) -> None:
    client = client_of(sandbox.url, clock=lambda: time.time() + 90)
    await client.refresh(Secret(REFRESH))
    sandbox.script_tokens(Reply(503, headers={"date": date}))
    await failure(client)
    assert client.date_skew == pytest.approx(90, abs=5)


async def test_the_log_holds_no_token(
    sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        tokens = await client_of(sandbox.url).refresh(Secret(REFRESH))
        await failure(client_of(sandbox.url))
    assert caplog.text
    assert "sk-ant" not in caplog.text + repr(tokens)


# login


def page(login: Login) -> str:
    """What a user copies: the sandbox logs in at once."""
    text = httpx.get(login.url).raise_for_status().text
    return text.split('<pre id="code">')[1].split("</pre>")[0]


def test_a_login_by_a_copied_code(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url)
    login = client.begin()
    code, state = split_pasted(page(login))
    assert state == login.state
    tokens = client.finish(login, code, state)
    assert (tokens.access_token, tokens.email) == (Secret(f"{ACCESS}-2"), "a@example.com")


def test_a_login_by_a_code_without_state(sandbox: SandboxServer) -> None:
    """Copied by hand only: PKCE ties it to this login all the same."""
    client = client_of(sandbox.url)
    login = client.begin()
    code, _ = split_pasted(page(login))
    assert client.finish(login, code, None).access_token == Secret(f"{ACCESS}-2")


def test_a_login_by_callback(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url)
    login = client.begin("http://127.0.0.1:1/callback")
    location = httpx.get(login.url).headers["location"]
    code, state = split_pasted(location)
    assert client.finish(login, code, state).access_token == Secret(f"{ACCESS}-2")


def test_what_the_address_asks_for() -> None:
    login = OAuthClient(OAuth()).begin()
    parts = urlsplit(login.url)
    query = parse_qs(parts.query)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://claude.ai/oauth/authorize"
    assert len(query.pop("code_challenge")[0]) == 43
    assert query == {
        "response_type": ["code"],
        "client_id": [OAuth().client_id],
        "redirect_uri": [OAuth().redirect_uri],
        "scope": ["org:create_api_key user:profile user:inference"],
        "state": [login.state],
        "code_challenge_method": ["S256"],
        "code": ["true"],
    }
    assert login.verifier.reveal() not in login.url
    assert login.verifier.reveal() not in repr(login)
    assert 43 <= len(login.verifier.reveal()) <= 128  # RFC 7636 section 4.1


def test_no_two_logins_are_alike() -> None:
    one, other = (OAuthClient(OAuth()).begin() for _ in range(2))
    assert one.state != other.state
    assert one.verifier != other.verifier


def refused(client: OAuthClient, login: Login, code: str, state: str | None) -> str:
    with pytest.raises(LoginError) as caught:
        client.finish(login, code, state)
    text = "".join(traceback.format_exception(caught.value))
    assert code not in text
    assert login.verifier.reveal() not in text
    return str(caught.value)


@pytest.mark.parametrize("state", ["another", "", "hünter"])
def test_the_code_of_another_attempt_is_not_sent(sandbox: SandboxServer, state: str) -> None:
    client = client_of(sandbox.url)
    login = client.begin()
    assert "another login attempt" in refused(client, login, "code-1", state)
    assert asked(sandbox) == []


def test_a_callback_must_have_the_state(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url)
    login = client.begin("http://127.0.0.1:1/callback")
    assert "another login attempt" in refused(client, login, "code-1", None)


def test_a_wrong_code_says_what_to_do(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url)
    login = client.begin()
    said = refused(client, login, "wrong-code-1", login.state)
    assert "the code was not accepted" in said


def test_a_code_is_bound_to_its_verifier(sandbox: SandboxServer) -> None:
    client = client_of(sandbox.url)
    login = client.begin()
    code, state = split_pasted(page(login))
    stolen = replace(login, verifier=Secret("v" * 64))
    assert "PKCE" in refused(client, stolen, code, state)


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (Reply(429, headers={"retry-after": "7"}), "try again in 7 seconds"),
        (Reply(429), "try again in"),
        (Reply(503), "check the network"),
        (Reply(html=True), "check the network"),
        (Reply(401, body=b'{"error": "invalid_client"}'), "client-id"),
    ],
    ids=["429", "429 bare", "503", "html", "refused"],
)
def test_every_failed_login_says_what_to_do(
    sandbox: SandboxServer, reply: Reply, advice: str
) -> None:
    sandbox.script_tokens(reply)
    client = client_of(sandbox.url)
    login = client.begin()
    assert advice in refused(client, login, "the-code", login.state)


def test_a_login_by_the_second_address(sandbox: SandboxServer) -> None:
    client = OAuthClient(
        replace(settings(sandbox.url), token_urls=(f"{closed_port()}{PATH}", sandbox.url + PATH))
    )
    login = client.begin()
    assert client.finish(login, *split_pasted(page(login))).access_token


# keys


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server that has one answer; what it was asked."""
    seen: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            seen.append((self.path, self.headers["authorization"]))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_api_key_is_created() -> None:
    with answering(200, b'{"raw_key": "sk-ant-api-new"}') as (url, seen):
        key = client_of(url).create_api_key(Secret(ACCESS))
    assert key == Secret("sk-ant-api-new")
    assert seen == [(CREATE_KEY_PATH, f"Bearer {ACCESS}")]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, b'{"error": {"type": "permission_error", "message": "no"}}', "may not create"),
        (500, b"", "no API key was created"),
        (200, b"<html>", "no API key was created"),
        (200, b'{"raw_key": "a b"}', "no API key was created"),
    ],
)
def test_no_api_key_was_created(status: int, body: bytes, said: str) -> None:
    with (
        answering(status, body) as (url, _),
        pytest.raises(LoginError, match="Anthropic Console") as caught,
    ):
        client_of(url).create_api_key(Secret(ACCESS))
    assert said in str(caught.value)
    assert ACCESS not in str(caught.value)


def test_a_good_key(sandbox: SandboxServer) -> None:
    client_of(sandbox.url).check_api_key(Secret("sk-ant-test-k"), sandbox.url + "/")


def test_a_wrong_key(sandbox: SandboxServer) -> None:
    with pytest.raises(LoginError, match="was not accepted") as caught:
        client_of(sandbox.url).check_api_key(Secret("sk-ant-test-wrong"), sandbox.url)
    assert "sk-ant-test-wrong" not in str(caught.value)


def test_a_key_that_can_not_be_tried() -> None:
    url = closed_port()
    with pytest.raises(LoginError, match="--no-verify"):
        client_of(url).check_api_key(Secret("sk-ant-test-k"), url)


def test_nothing_shows_a_token() -> None:
    tokens = Tokens(Secret(ACCESS), Secret(REFRESH), None)
    assert "sk-ant" not in repr(tokens) + repr(client_of("http://x")) + str(tokens)


async def test_an_answer_that_came_while_the_process_was_stopped_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oauth_wire, "LATE", 0.05)
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=here)
    async with oauth_wire.timeout_while_awake(0.02):
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: (there.send(b"tokens"), time.sleep(0.1)))
        assert await reader.read(6) == b"tokens"
        for _ in range(5):  # layers of HTTP
            await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with oauth_wire.timeout_while_awake(0.02):
            await reader.read(1)
    writer.close()
    there.close()
