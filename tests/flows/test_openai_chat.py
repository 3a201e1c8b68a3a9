"""Chat requests of other tools over the real proxy: failover, cuts, clients that leave, and what upstream sees."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from neurolink_mitm.core.settings.values import Config, ModelMapping, Routing, Timeouts
from neurolink_mitm.sandbox import Reply
from tests.flows.harness import MODEL, connect, raw_request, read_answer, read_to_end
from tests.flows.openai_client import (
    CHAT,
    RESPONSES,
    Client,
    chat,
    data,
    error_of,
    serving,
    text_of,
)
from tests.stalls import Witness

NAMES = ("a", "b")
LIMITED = Reply(429, headers={"retry-after": "30"})
CONFIG = Config(
    timeouts=Timeouts(idle=1),
    routing=Routing(model_mappings=(ModelMapping("gpt-4o*", MODEL),)),
)


@pytest.fixture(scope="module")
def served() -> Iterator[Client]:
    with serving(*NAMES, config=CONFIG) as client:
        yield client


@pytest.fixture
def client(served: Client) -> Client:
    return served.fresh()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_limited_account_is_left_unseen(client: Client, stream: bool) -> None:
    client.sandbox.script("a", LIMITED)
    before = client.proxy.runtime.totals.requests
    answer = client.ask(stream=stream, stream_options={"include_usage": True} if stream else None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-neurolink-account"] == "b"
    assert answer.headers["x-neurolink-attempts"] == "2"
    assert answer.headers["x-request-id"] == answer.headers["x-neurolink-request-id"]
    if stream:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        *chunks, done = data(answer.content)
        usage, text = chunks[-1]["usage"], text_of(answer.content)
        assert done == "[DONE]"
    else:
        assert answer.headers["content-type"] == "application/json"
        whole = answer.json()
        usage, text = whole["usage"], whole["choices"][0]["message"]["content"]
    assert text
    [row] = client.rows()
    assert (row.api, row.path, row.outcome) == ("openai-chat", CHAT, "complete")
    assert (row.account, row.attempts, row.stream) == ("b", 2, stream)
    cached = (row.cacheReadTokens or 0) + (row.cacheCreationTokens or 0)
    assert usage["prompt_tokens"] == (row.inputTokens or 0) + cached
    assert usage["completion_tokens"] == row.outputTokens
    assert client.proxy.runtime.totals.requests - before == 1
    assert [each.responseStatus for each in client.attempts] == [429, 200]


def test_what_upstream_sees(client: Client) -> None:
    client.send(
        json.dumps(chat(model="gpt-4o-mini")).encode(), CHAT + "?x=1",
        authorization="Bearer sk-mine", openai_organization="org", x_stainless_lang="python",
        user_agent="OpenAI/Python", session_id="s1", http_referer="https://tool.example",
    )  # fmt: skip
    [seen] = client.seen
    names = {name for name, _ in seen.headers}
    assert seen.path == "/v1/messages?beta=true"
    assert names <= {
        "host", "user-agent", "content-type", "content-length", "x-api-key", "anthropic-version",
        "accept-encoding",
    }  # fmt: skip
    assert seen.header("user-agent") == "OpenAI/Python"
    asked = json.loads(seen.body)
    assert asked["model"] == MODEL
    assert asked["messages"][0]["role"] == "user"
    [row] = client.rows()
    assert (row.model, row.actualModel, row.sessionId) == ("gpt-4o-mini", MODEL, "s1")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_cut_before_the_first_word_is_unseen(client: Client, path: str) -> None:
    client.sandbox.script("a", Reply(cut_after=3))
    last = data(client.ask(path).content)[-1]
    assert last == "[DONE]" or last["type"] == "response.completed"
    [row] = client.rows()
    assert (row.outcome, row.attempts, row.account) == ("complete", 2, "b")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(cut_after=5), "truncated"),
        (Reply(stall_after=5), "truncated"),
        (Reply(error_after=5, error_type="overloaded_error"), "error"),
    ],
    ids=["cut", "silence", "error"],
)
def test_an_answer_that_breaks_off_ends_in_an_error(
    client: Client, reply: Reply, outcome: str
) -> None:
    client.sandbox.script("a", reply)
    answer = client.ask()
    *_, chunk, last = data(answer.content)
    assert chunk["choices"][0]["delta"]["content"]
    assert list(last) == ["error"]
    assert last["error"]["code"] == "server_is_overloaded"
    [row] = client.rows()
    assert (row.outcome, row.attempts) == (outcome, 1)


def test_the_row_has_the_status_of_an_answer_that_is_not_the_json_asked_for(client: Client) -> None:
    client.sandbox.script("a", Reply(chunk_text="no JSON"))
    answer = client.ask(stream=False, response_format={"type": "json_object"})
    assert (answer.status_code, error_of(answer.content)["code"]) == (502, "invalid_json")
    [row] = client.rows()
    assert (row.responseStatus, row.outcome) == (502, "error")


def test_a_response_that_breaks_off_has_failed(client: Client) -> None:
    client.sandbox.script("a", Reply(cut_after=5))
    last = data(client.ask(RESPONSES).content)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    [row] = client.rows()
    assert (row.api, row.outcome, row.attempts) == ("openai-responses", "truncated", 1)


def test_a_client_that_leaves_ends_the_request_upstream(client: Client) -> None:
    client.sandbox.script("a", Reply(stall_after=5))
    with connect(client.proxy) as connection:
        connection.sendall(raw_request(json.dumps(chat()).encode(), CHAT))
        while b"content" not in connection.recv(65536):
            pass
    [row] = client.rows()
    assert (row.outcome, row.attempts) == ("client_cancelled", 1)
    client.sandbox.wait_for(lambda requests: requests[-1].disconnected)
    assert len(client.seen) == 1


def test_all_limited(client: Client) -> None:
    for name in NAMES:
        client.sandbox.script(name, LIMITED)
    answer = client.ask()
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    error = error_of(answer.content)
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(400, message="prompt is too long: 210000 tokens > 200000 maximum"), 400,
         "context_length_exceeded"),
        (Reply(404, message="model: claude-sonnet-4-6"), 404, "model_not_found"),
        (Reply(413), 413, None),
        (Reply(422, html=True), 422, None),
    ],
    ids=["too long", "no model", "too large", "a page"],
)  # fmt: skip
def test_upstreams_own_error(client: Client, reply: Reply, status: int, code: str | None) -> None:
    client.sandbox.script("a", reply)
    answer = client.ask()
    assert (answer.status_code, error_of(answer.content)["code"]) == (status, code)
    assert len(client.seen) == 1


def test_upstreams_page_after_all_were_tried(client: Client) -> None:
    for name in NAMES:
        client.sandbox.script(name, Reply(502, html=True), loop=True)
    answer = client.ask()
    assert answer.status_code == 502
    error = error_of(answer.content)
    assert error["type"] == "server_error"
    assert "<" not in error["message"]


def test_upstream_that_does_not_do_as_it_was_asked(client: Client) -> None:
    """It streams where it was asked not to, and the other way."""
    client.ask()
    stream = client.seen[-1].answer
    client.ask(stream=False)
    whole = client.seen[-1].answer
    client.fresh()
    client.sandbox.script("a", Reply(body=stream, content_type="text/event-stream"))
    answer = client.ask(stream=False)
    assert answer.json()["choices"][0]["message"]["content"] == text_of(client.ask().content)
    client.sandbox.script("a", Reply(body=whole, content_type="application/json"))
    answer = client.ask()
    assert data(answer.content)[-1] == "[DONE]"
    assert text_of(answer.content) == json.loads(whole)["content"][0]["text"]


def test_http_1_0_a_last_request_and_a_client_that_waits_to_be_asked_for_its_body(
    client: Client,
) -> None:
    body = json.dumps(chat(stream=False)).encode()
    with connect(client.proxy) as connection:
        connection.sendall(raw_request(body, CHAT).replace(b"HTTP/1.1", b"HTTP/1.0"))
        received = b""
        while more := connection.recv(65536):
            received += more
    assert json.loads(received.partition(b"\r\n\r\n")[2])["object"] == "chat.completion"
    with connect(client.proxy) as connection:
        connection.sendall(raw_request(body, CHAT, connection="close"))
        assert b"chat.completion" in read_to_end(connection)
    with connect(client.proxy) as connection:
        connection.sendall(raw_request(body, CHAT, expect="100-continue").removesuffix(body))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert b"chat.completion" in read_answer(connection)


def test_large_requests_hold_up_nobody(client: Client) -> None:
    """A thousand tools, a large image, thousands of messages."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = [
        {"type": "function", "function": {"name": f"tool_{at}", "parameters": schema}}
        for at in range(1000)
    ]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "aGkh" * 700_000}}
    turns = [{"role": ("user", "assistant")[at % 2], "content": "hello"} for at in range(4001)]
    with Witness(client.proxy.loop, over_ms=100) as witness:
        assert client.ask(tools=tools).status_code == 200
        assert client.ask(messages=[{"role": "user", "content": [image]}]).status_code == 200
        assert client.ask(messages=turns).status_code == 200
    assert witness.stalls == []
    sent = [json.loads(each.body) for each in client.seen]
    assert len(sent[0]["tools"]) == 1000
    assert len(sent[1]["messages"][0]["content"][-1]["source"]["data"]) == 2_800_000
    assert len(sent[2]["messages"]) == 4001
