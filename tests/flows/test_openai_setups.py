"""OpenAI's paths under other setups: client keys, subscriptions, no account, broken addons, a stop, passthrough."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mitmproxy import http

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.flows.harness import (
    CLAUDE_CODE,
    connect,
    raw_request,
    read_to_end,
)
from tests.flows.openai_client import (
    ASKED,
    CHAT,
    RESPONSES,
    Client,
    chat,
    error_of,
    raw_error,
    serving,
)
from tests.flows.test_capture import SIDES, Logs, capturing

KEY = "sk-nl-0123456789abcdef"


def test_a_client_key_is_asked_for() -> None:
    config = Config(clients=Clients((Secret(KEY),)))
    with serving("a", config=config) as client:
        for wrong in ({}, {"authorization": "Bearer sk-other"}):
            answer = client.send(json.dumps(chat()).encode(), **wrong)
            assert answer.status_code == 401
            assert error_of(answer.content)["code"] == "invalid_api_key"
        right = client.send(json.dumps(chat()).encode(), authorization=f"Bearer {KEY}")
        assert right.status_code == 200
        assert KEY not in str(client.seen[0].headers)


@pytest.mark.parametrize("agent", ["OpenAI/Python 2.54.0", CLAUDE_CODE["user-agent"]])
def test_a_subscription_serves_claude_code_only(agent: str) -> None:
    """However the client calls itself."""
    with serving("o", token="sk-ant-oat-test-{}") as client:
        answer = client.send(json.dumps(chat()).encode(), user_agent=agent)
        assert answer.status_code == 400
        assert (
            "neurolink auth login anthropic --add --method api-key"
            in answer.json()["error"]["message"]
        )
        assert error_of(answer.content)["type"] == "invalid_request_error"
        assert client.seen == []


def test_no_account_at_all() -> None:
    with serving() as client:
        answer = client.ask()
    assert answer.status_code == 401
    assert "api-key" in error_of(answer.content)["message"]


def test_an_addon_that_breaks_lets_nothing_through() -> None:
    class Breaking:
        def attempt(self, flow: http.HTTPFlow) -> None:
            raise RuntimeError("a secret")

    def broken(runtime: Runtime) -> list[object]:
        return [each for each in stack(runtime) if type(each).__name__ != "Inject"] + [Breaking()]

    with serving("a", addons=broken) as client:
        answer = client.ask()
        assert answer.status_code == 500
        assert error_of(answer.content)["type"] == "server_error"
        assert client.seen == []


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_both_forms_are_captured(sandbox: SandboxServer, tmp_path: Path, path: str) -> None:
    logs = Logs(tmp_path)
    with capturing(sandbox, tmp_path, "all") as proxy, Client(proxy, sandbox) as client:
        answer = client.ask(path)
        client.rows()
    assert [row["phase"] for row in logs.rows] == SIDES
    asked, sent, answered, given = map(logs.body, logs.rows)
    assert asked["body"] == ASKED[path]()
    assert logs.rows[0]["url"] == path
    assert logs.rows[1]["url"].endswith("/v1/messages?beta=true")
    assert sent["body"]["messages"][0]["role"] == "user"
    assert answered["body"].startswith("event: message_start")
    assert given["body"] == answer.text


def test_a_proxy_that_stops() -> None:
    """Before and within an answer."""
    asked = raw_request(json.dumps(chat()).encode(), CHAT)
    with serving("a") as client, connect(client.proxy) as one, connect(client.proxy) as two:
        client.sandbox.script("a", Reply(stall_after="head"), Reply(stall_after=5))
        one.sendall(asked)
        client.sandbox.wait_for(lambda requests: len(requests) == 1)
        two.sendall(asked)
        received = b""
        while b'"content":"' not in received:
            received += two.recv(65536)
        client.proxy.master.shutdown()
        status, error = raw_error(read_to_end(one))
        received += read_to_end(two)
    assert (status, error["message"]) == (529, "this proxy is stopping")
    assert b'data: {"error":{"message":' in received
    assert b"[DONE]" not in received


def test_in_passthrough_they_are_forwarded_untouched() -> None:
    body = json.dumps(chat(model="gpt-4o")).encode()

    def change(runtime: Runtime) -> None:
        runtime.config = Config(default_base_url=runtime.pool.accounts[0].base_url)

    with serving("a", passthrough=True, change=change) as client:
        answer = client.send(body, CHAT + "?x=1", authorization="Bearer sk-mine")
        [seen] = client.seen
    assert (seen.path, seen.body) == (CHAT + "?x=1", body)
    assert seen.header("authorization") == "Bearer sk-mine"
    assert answer.content == seen.answer
