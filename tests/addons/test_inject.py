from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.inject import Inject
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request.http_proxy import HttpProxies
from neurolink_mitm.core.request.target import UpstreamKey, Via
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dataplane.hooks import AttemptHook
from neurolink_mitm.ports import Runtime
from tests.addons.flows import answer, current, make_flow, refusal
from tests.fakes import make_account, make_attempt, make_runtime

CALLER = {"x-api-key": "sk-ant-caller", "cookie": "c=1", "connection": "x-hop", "x-hop": "1"}


def attempted(
    account: Account | None = None,
    method: str = "POST",
    path: str = "/v1/messages",
    headers: dict[str, str] | None = None,
    runtime: Runtime | None = None,
) -> http.HTTPFlow:
    flow = make_flow(method, path, headers, attempts=[make_attempt(account)])
    Inject(runtime or make_runtime()).attempt(flow)
    return flow


# --- where it goes


def test_it_goes_to_the_accounts_endpoint() -> None:
    request = attempted(make_account(base_url="http://gate.example:8080")).request
    assert (request.scheme, request.host, request.port) == ("http", "gate.example", 8080)


def test_a_path_of_the_endpoint_comes_first() -> None:
    account = make_account(base_url="https://gate.example/anthropic/")
    assert attempted(account, path="/v1/files").request.path == "/anthropic/v1/files"


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("/v1/files", "/api/oauth/profile"),
        ("/v1/files", "/v1/../api/oauth/profile"),
        ("/v1/messages", "/v1/files"),
        ("/api/x", "/v1/files"),
    ],
)
def test_a_path_that_another_addon_has_turned_into_anothers_goes_nowhere(
    path: str, changed: str
) -> None:
    flow = make_flow("POST", path, attempts=[make_attempt(make_account())])
    flow.request.path = changed
    Inject(make_runtime()).attempt(flow)
    assert refusal(flow) == (404, "not_found_error")
    assert not current(flow).ready


def test_without_account_it_goes_to_the_default_endpoint() -> None:
    runtime = make_runtime(config=Config(default_base_url="https://other.example"))
    request = attempted(None, "GET", "/api/x", runtime=runtime).request
    assert (request.scheme, request.host, request.port) == ("https", "other.example", 443)


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        ("https://api.anthropic.com", "api.anthropic.com"),
        ("http://gate.example:8080", "gate.example:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://b\xfccher.example", "xn--bcher-kva.example"),
    ],
)
def test_the_host_header_is_upstreams(base_url: str, host: str) -> None:
    request = attempted(make_account(base_url=base_url)).request
    assert request.headers.get_all("host") == [host]


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/v1/messages", "/v1/messages?beta=true"),
        ("POST", "/v1/messages?a=1", "/v1/messages?a=1&beta=true"),
        ("POST", "/v1/messages?beta=false", "/v1/messages?beta=false"),
        ("POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("GET", "/v1/files?limit=1", "/v1/files?limit=1"),
    ],
)
def test_messages_ask_for_beta(method: str, path: str, sent: str) -> None:
    assert attempted(make_account(), method, path).request.path == sent


def test_a_path_that_is_no_utf_8_goes_as_it_came() -> None:
    flow = make_flow("GET", "/v1/x", attempts=[make_attempt(make_account())])
    flow.request.data.path = b"/v1/\xff%20\xc3\xa9"
    Inject(make_runtime()).attempt(flow)
    assert flow.request.data.path == b"/v1/\xff%20\xc3\xa9"


# --- with which credential


def credentials(flow: http.HTTPFlow) -> dict[str, list[str]]:
    names = ("x-api-key", "authorization", "cookie")
    return {n: flow.request.headers.get_all(n) for n in names if n in flow.request.headers}


def test_a_key_replaces_the_callers_credentials() -> None:
    flow = attempted(make_account("work"), headers=CALLER)
    assert credentials(flow) == {"x-api-key": ["sk-ant-test-work"]}


def test_a_login_replaces_the_callers_credentials() -> None:
    flow = attempted(make_account("work", "sk-ant-oat-test-work"), headers=CALLER)
    assert credentials(flow) == {"authorization": ["Bearer sk-ant-oat-test-work"]}


def test_without_account_the_callers_credentials_stay() -> None:
    flow = attempted(None, "GET", "/api/x", CALLER)
    assert credentials(flow) == {"x-api-key": ["sk-ant-caller"], "cookie": ["c=1"]}


@pytest.mark.parametrize("account", [make_account("a"), None], ids=["account", "own"])
def test_what_is_for_us_stays_here(account: Account | None) -> None:
    """Whatever shaping does or leaves undone."""
    named = {"x-neurolink-user-id": "bob", "X-NeuroLink-Session-Id": "s", "x-neurolink-admin": "t"}
    path = "/v1/messages" if account else "/api/x"
    flow = attempted(account, path=path, headers={**named, **CALLER, "x-other": "1"})
    assert not [name for name in flow.request.headers if name.lower().startswith("x-neurolink")]
    assert flow.request.headers["x-other"] == "1"


@pytest.mark.parametrize(
    ("account", "path"),
    [(make_account(), "/v1/files"), (None, "/api/x")],
    ids=["account", "forwarded"],
)
def test_hop_by_hop_fields_stay_here(account: Account | None, path: str) -> None:
    headers = attempted(account, path=path, headers=CALLER).request.headers
    assert [name for name in ("connection", "x-hop") if name in headers] == []


@pytest.mark.parametrize(
    ("token", "beta"), [("sk-ant-oat-test", "oauth-2025-04-20"), ("sk-ant-test", None)],
    ids=["oauth", "key"],
)  # fmt: skip
def test_only_a_login_needs_its_beta(token: str, beta: str | None) -> None:
    headers = attempted(make_account("work", token)).request.headers
    assert headers.get("anthropic-beta") == beta


def test_the_body_is_left_as_it_came() -> None:
    flow = make_flow(body=b' {"a": 1} ', attempts=[make_attempt(make_account())])
    Inject(make_runtime()).attempt(flow)
    assert flow.request.raw_content == b' {"a": 1} '


# --- by which way


@pytest.mark.parametrize(
    ("proxy_url", "via"),
    [
        (None, None),
        ("direct", None),
        ("http://proxy.example:3128", Via("http", "proxy.example", 3128)),
    ],
    ids=["none", "direct", "proxy"],
)
def test_an_account_may_have_its_proxy(proxy_url: str | None, via: Via | None) -> None:
    assert current(attempted(make_account(proxy_url=proxy_url))).via == via


PROXIES = HttpProxies.read({"HTTPS_PROXY": "env.example:1"})


@pytest.mark.parametrize(
    ("own", "via"),
    [
        (None, Via("http", "env.example", 1)),
        ("own.example:2", Via("http", "own.example", 2)),
        ("direct", None),
    ],
    ids=["environment", "own", "direct"],
)
def test_the_environments_proxy_is_for_accounts_without_one(
    own: str | None, via: Via | None
) -> None:
    runtime = make_runtime()
    runtime.proxies = PROXIES
    flow = make_flow(attempts=[make_attempt(make_account(proxy_url=own))])
    Inject(runtime).attempt(flow)
    assert current(flow).via == via


def test_what_no_account_serves_goes_through_the_environments_proxy() -> None:
    """Side calls with the caller's own credentials, and all of `--passthrough`."""
    runtime = make_runtime()
    runtime.proxies = PROXIES
    flow = make_flow("GET", "/api/x", attempts=[make_attempt(None)])
    Inject(runtime).attempt(flow)
    assert current(flow).via == Via("http", "env.example", 1)


def test_a_proxy_that_can_not_be_used_is_a_failure_in_words() -> None:
    runtime = make_runtime()
    runtime.proxies = HttpProxies.read({"HTTPS_PROXY": "socks5://u:hunter2@h:1"})
    flow = make_flow(attempts=[make_attempt(make_account())])
    Inject(runtime).attempt(flow)
    attempt = current(flow)
    assert not attempt.ready
    assert attempt.failure
    assert "HTTPS_PROXY: socks5:// proxies can't be used" in attempt.failure.message
    assert not attempt.failure.sent


# --- only what is ready is sent


def test_then_it_is_ready() -> None:
    assert current(attempted(make_account())).ready


def test_what_was_answered_already_is_not_made_ready() -> None:
    flow = make_flow(attempts=[make_attempt(make_account())])
    answer(flow, 429)
    Inject(make_runtime()).attempt(flow)
    assert not current(flow).ready
    assert "sk-ant-test-work" not in str(flow.request.headers)


def test_without_an_attempt_nothing_is_made_ready() -> None:
    flow = make_flow()
    Inject(make_runtime()).attempt(flow)
    assert flow.request.host == "address"


def test_what_is_for_an_account_does_not_go_without_one() -> None:
    """As if the addon that chooses were broken: the caller's credential is none for it."""
    assert not current(attempted(None)).ready


def test_a_flow_without_record_is_let_alone() -> None:
    flow = make_flow(opened=False)
    Inject(make_runtime()).attempt(flow)
    assert flow.request.host == "address"


@pytest.mark.parametrize("base_url", ["ftp://x", "https://" + "x" * 64 + ".example"])
async def test_an_account_that_can_not_be_used_is_not_made_ready(base_url: str) -> None:
    flow = make_flow(attempts=[make_attempt(make_account(base_url=base_url))])
    with taddons.context(Inject(make_runtime())) as context:
        await context.master.addons.trigger_event(AttemptHook(flow))
    assert not current(flow).ready


# --- the way of the account that would be next


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({}, None),
        ({"base_url": "https://b.example"}, UpstreamKey("b.example", 443, True)),
        (
            {"proxy_url": "http://proxy.example:3128"},
            UpstreamKey(
                "api.anthropic.com", 443, True, Via("http", "proxy.example", 3128, None, "proxyUrl")
            ),
        ),
        ({"base_url": "https://b.example", "proxy_url": "socks5://p:1"}, None),
        ({"base_url": "https://b.example", "enabled": False}, None),
    ],
    ids=["the same", "another host", "an HTTP proxy", "a way that can't be gone", "none is left"],
)
def test_the_way_of_the_next_account_is_known(
    other: dict[str, Any], key: UpstreamKey | None
) -> None:
    first, second = make_account("a"), make_account("b", **other)
    flow = attempted(first, runtime=make_runtime(first, second))
    assert current(flow).next_key == key
    assert current(flow).ready
