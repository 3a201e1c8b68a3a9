"""What an addon before ours decides: `--set block_list=…`, `--set proxyauth=…`, a user's own script."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from mitmproxy import http

from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

Decide = Callable[[http.HTTPFlow], None]


class Earlier:
    """Decides in one hook, as block_list does in `request` and proxyauth in `requestheaders`."""

    def __init__(self, hook: str, decide: Decide) -> None:
        setattr(self, hook, decide)


def refuse(flow: http.HTTPFlow) -> None:
    flow.response = http.Response.make(418, b"mine")


def refuse_and_stream(flow: http.HTTPFlow) -> None:
    refuse(flow)
    flow.request.stream = True


def stream(flow: http.HTTPFlow) -> None:
    flow.request.stream = True


def ask(sandbox: SandboxServer, hook: str, decide: Decide) -> httpx.Response:
    earlier = Earlier(hook, decide)
    pool = [account("a", sandbox.url)]
    with Proxy(pool, addons=lambda runtime: [earlier, *stack(runtime)]) as proxy:
        url = f"{proxy.url}/v1/messages"
        return httpx.post(url, json=message(), headers=CLAUDE_CODE, timeout=LIMIT)


@pytest.mark.parametrize(
    ("hook", "decide"),
    [
        ("request", refuse),
        ("requestheaders", refuse),
        ("requestheaders", refuse_and_stream),
    ],
    ids=["request", "requestheaders", "streamed"],
)
def test_its_answer_stays(sandbox: SandboxServer, hook: str, decide: Decide) -> None:
    answer = ask(sandbox, hook, decide)
    assert (answer.status_code, answer.content, len(sandbox.requests)) == (418, b"mine", 0)


@pytest.mark.parametrize("hook", ["request", "requestheaders"])
def test_a_flow_that_it_kills_goes_nowhere(sandbox: SandboxServer, hook: str) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(sandbox, hook, http.HTTPFlow.kill)
    assert not sandbox.requests


def test_a_body_that_it_would_stream_is_sent_whole(sandbox: SandboxServer) -> None:
    assert ask(sandbox, "requestheaders", stream).status_code == 200
    assert sandbox.requests[-1].header("x-api-key") == "sk-ant-test-a"
