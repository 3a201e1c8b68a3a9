"""What reaches upstream, and whose credentials it carries."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import (
    CLAUDE_CODE,
    LIMIT,
    MODEL,
    Proxy,
    account,
    connect,
    message,
    raw_request,
)
from tests.waiting import wait_until

BODY = (
    b'{ "model" :"claude-sonnet-4-6",\n"max_tokens":9,"stream":true,  "messages":'
    b'[{"role":"user","content":"\\u00e9\xc3\xa9"}],"unknown":{"b":1,"a":2}}'
)


def test_body_is_untouched(client: httpx.Client, sandbox: SandboxServer) -> None:
    client.post("/v1/messages", content=BODY, headers={"content-type": "application/json"})
    assert sandbox.requests[-1].body == BODY


def test_credentials_are_the_accounts(client: httpx.Client, sandbox: SandboxServer) -> None:
    mine = {
        "authorization": "Bearer sk-ant-test-mine",
        "x-api-key": "sk-ant-test-mine",
        "cookie": "a=b",
    }
    client.post("/v1/messages", json=message(), headers=mine)
    received = sandbox.requests[-1]
    assert received.header("x-api-key") == "sk-ant-test-a"
    assert received.header("authorization") is None
    assert received.header("cookie") is None
    assert "mine" not in str(received.headers)


def test_second_attempt_carries_nothing_of_the_first(sandbox: SandboxServer) -> None:
    """An OAuth attempt that fails leaves neither its bearer nor its beta on the API key's attempt."""
    sandbox.script("o", Reply(529))
    pool = [account("o", sandbox.url, token="sk-ant-oat-test-o"), account("a", sandbox.url)]
    with Proxy(pool) as proxy:
        httpx.post(
            f"{proxy.url}/v1/messages",
            json=message(),
            headers=CLAUDE_CODE | {"anthropic-beta": "tools-x"},
            timeout=LIMIT,
        )
    first, second = sandbox.requests
    assert first.header("authorization") == "Bearer sk-ant-oat-test-o"
    assert first.header("anthropic-beta") == "tools-x,oauth-2025-04-20"
    assert second.header("authorization") is None
    assert second.header("anthropic-beta") == "tools-x"
    assert second.header("x-api-key") == "sk-ant-test-a"
    assert first.body == second.body


def test_defaults_are_added(client: httpx.Client, sandbox: SandboxServer) -> None:
    client.post("/v1/messages?x=1", json=message())
    received = sandbox.requests[-1]
    assert received.path == "/v1/messages?x=1&beta=true"
    assert received.header("anthropic-version") == "2023-06-01"
    assert received.header("accept-encoding") == "identity"
    assert received.header("host") == sandbox.url.removeprefix("http://")


def test_count_tokens(client: httpx.Client, sandbox: SandboxServer) -> None:
    answer = client.post("/v1/messages/count_tokens", json=message())
    assert "input_tokens" in answer.json()
    assert sandbox.requests[-1].account == "a"


def test_other_api_paths_go_to_the_account(client: httpx.Client, sandbox: SandboxServer) -> None:
    answer = client.get("/v1/files?limit=3")
    assert answer.status_code == 200
    assert (sandbox.requests[-1].path, sandbox.requests[-1].account) == ("/v1/files?limit=3", "a")


def test_models_are_local(client: httpx.Client, sandbox: SandboxServer) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert all(model["id"].startswith("claude-") for model in listed["data"])
    assert not sandbox.requests


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_probe_of_the_root(client: httpx.Client, sandbox: SandboxServer, method: str) -> None:
    assert client.request(method, "/").status_code == 200
    assert not sandbox.requests


def test_health_and_status(client: httpx.Client) -> None:
    client.post("/v1/messages", json=message())
    assert client.get("/health").json()["status"] == "ok"
    stats = client.get("/status").json()["stats"]
    assert (stats["totalRequests"], stats["totalSuccess"], stats["totalAttempts"]) == (1, 1, 1)
    assert stats["accounts"][0]["success"] == 1


def test_requests_in_flight(sandbox: SandboxServer) -> None:
    """After a failover, in its stream, and once its client has left."""
    sandbox.script("a", Reply(529))
    sandbox.script("b", Reply(stall_after=2))
    with Proxy([account("a", sandbox.url), account("b", sandbox.url)]) as proxy:

        def reported() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = httpx.get(f"{proxy.url}/status").json()["requests"]
            return found

        asked = raw_request(x_claude_code_session_id="s1")
        with connect(proxy) as client:
            client.sendall(asked)
            client.recv(1)
            [request] = reported()
        wait_until(lambda: reported() == [], "it has ended")
    expected = {"model": MODEL, "session": "s1", "state": "streaming", "account": "b", "attempt": 2}
    assert request | expected == request
    assert request["responseBytes"] > 0
    attempts = [(a["account"], a["status"], a["reason"]) for a in request["attempts"]]
    assert attempts == [("a", 529, "upstream trouble (529)"), ("b", 200, None)]
    assert request["firstByteAt"] is not None


def test_subscription_serves_claude_code_only(sandbox: SandboxServer) -> None:
    with Proxy([account("o", sandbox.url, token="sk-ant-oat-test-o")]) as proxy:
        refused = httpx.post(f"{proxy.url}/v1/messages", json=message(), timeout=LIMIT)
        assert refused.status_code == 400
        assert "API key" in refused.json()["error"]["message"]
        served = httpx.post(
            f"{proxy.url}/v1/messages", json=message(), headers=CLAUDE_CODE, timeout=LIMIT
        )
        assert served.status_code == 200
    assert [r.account for r in sandbox.requests] == ["o"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/hello", {}, 404),
        ("/api/hello", {"x-api-key": "sk-ant-test-c"}, 404),  # forwarded, and the sandbox has none
    ],
    ids=["without credentials", "with the caller's own"],
)
def test_unknown_path(
    sandbox: SandboxServer, path: str, headers: dict[str, str], status: int
) -> None:
    with Proxy([account("a", sandbox.url)], Config(default_base_url=sandbox.url)) as proxy:
        answer = httpx.get(proxy.url + path, headers=headers, timeout=LIMIT)
    assert answer.status_code == status
    assert len(sandbox.requests) == len(headers)
    assert all(r.header("x-api-key") == "sk-ant-test-c" for r in sandbox.requests)


def test_passthrough(sandbox: SandboxServer) -> None:
    config = Config(default_base_url=sandbox.url)
    with Proxy([account("a", sandbox.url)], config, passthrough=True) as proxy:
        answer = httpx.post(
            f"{proxy.url}/v1/messages",
            json=message(),
            headers={"x-api-key": "sk-ant-test-c", "anthropic-version": "2023-06-01"},
            timeout=LIMIT,
        )
        assert answer.status_code == 200
        assert answer.content == sandbox.requests[-1].answer
        assert sandbox.requests[-1].account == "c"
        assert sandbox.requests[-1].path == "/v1/messages"
        assert proxy.rows.wait()[0].outcome == "complete"


def test_client_keys(sandbox: SandboxServer) -> None:
    config = Config(
        default_base_url=sandbox.url, clients=Clients(api_keys=(Secret("sk-client-test"),))
    )
    with Proxy([account("a", sandbox.url)], config) as proxy:
        url = f"{proxy.url}/v1/messages"
        assert httpx.post(url, json=message(), timeout=LIMIT).status_code == 401
        wrong = {"x-api-key": "sk-client-wrong"}
        assert httpx.post(url, json=message(), headers=wrong, timeout=LIMIT).status_code == 401
        right = {"authorization": "Bearer sk-client-test"}
        assert httpx.post(url, json=message(), headers=right, timeout=LIMIT).status_code == 200
        # It opens this proxy, and never leaves it.
        away = httpx.get(f"{proxy.url}/api/x", headers=right, timeout=LIMIT)
        assert away.status_code == 404
        assert httpx.get(f"{proxy.url}/health", timeout=LIMIT).status_code == 200
    assert len(sandbox.requests) == 1
    assert "sk-client" not in str([r.headers for r in sandbox.requests])


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}],
    ids=["rebound name", "foreign page", "opaque origin"],
)
def test_pages_of_others(
    client: httpx.Client, sandbox: SandboxServer, headers: dict[str, str]
) -> None:
    answer = client.post("/v1/messages", json=message(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    assert not sandbox.requests


def test_broken_gate_stays_shut(sandbox: SandboxServer) -> None:
    """An addon's exception does not stop a request in mitmproxy; here it has to."""

    class Breaks:
        api_keys = property(lambda self: 1 / 0)

    config = Config(clients=Breaks())  # type: ignore[arg-type]
    with Proxy([account("a", sandbox.url)], config) as proxy:
        answer = httpx.post(f"{proxy.url}/v1/messages", json=message(), timeout=LIMIT)
        assert answer.status_code == 500
        assert json.loads(answer.content)["type"] == "error"
    assert not sandbox.requests


@pytest.mark.parametrize("broken", ["Rotate", "Inject", "Route", "Trace"])
def test_broken_addon_sends_nothing(sandbox: SandboxServer, broken: str) -> None:
    """The stack without one of its addons refuses, rather than send what is not ready."""
    from neurolink_mitm.stack import stack

    def crippled(runtime: object) -> list[object]:
        return [a for a in stack(runtime) if type(a).__name__ != broken]  # type: ignore[arg-type]

    with Proxy([account("a", sandbox.url)], addons=crippled) as proxy:
        answer = httpx.post(f"{proxy.url}/v1/messages", json=message(), timeout=LIMIT)
    refused = answer.status_code == 500 and not sandbox.requests
    harmless = broken == "Route" and sandbox.requests[-1].account == "a"
    assert refused or harmless
