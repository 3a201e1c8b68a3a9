"""What is refused on OpenAI's paths, by whomever: always in OpenAI's form."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from neurolink_mitm.dataplane import bounded_stream
from neurolink_mitm.dataplane import layer as failover_layer
from tests.flows.harness import (
    connect,
    raw_request,
    read_answer,
    read_to_end,
)
from tests.flows.openai_client import CHAT, RESPONSES, Client, chat, error_of, raw_error, serving

PATHS = (CHAT, RESPONSES)


@pytest.fixture(scope="module")
def served() -> Iterator[Client]:
    with serving("a") as client:
        yield client


@pytest.fixture
def client(served: Client) -> Iterator[Client]:
    yield served.fresh()
    assert served.seen == [], "it went upstream"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/completions", 404),
        ("POST", "/v1/images/generations", 404),
        ("GET", "/v1/assistants?limit=20", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1//chat/completions", 404),
        ("POST", "/v1/Chat/Completions", 404),
        ("POST", "/chat/completions", 404),
        ("GET", "/v1/responses/resp_1", 404),
        ("GET", "/v1/chat/completions", 405),
        ("OPTIONS", "/v1/responses", 405),
    ],
)
def test_what_is_not_served(client: Client, method: str, path: str, status: int) -> None:
    answer = client.send(b"{}", path, method, x_api_key="sk-ant-mine")
    assert answer.status_code == status
    assert error_of(answer.content)["type"] == "invalid_request_error"
    assert answer.headers["x-should-retry"] == "false"
    [row] = client.rows()
    assert (row.responseStatus, row.attempts) == (status, 0)


def test_a_head_gets_no_body(client: Client) -> None:
    answer = client.send(b"", CHAT, "HEAD")
    assert (answer.status_code, answer.content) == (405, b"")


def test_a_websocket_is_refused_so_that_codex_goes_on_by_http(client: Client) -> None:
    fields = {
        "connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13",
        "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==", "content_length": "",
    }  # fmt: skip
    with connect(client.proxy) as connection:
        connection.sendall(raw_request(b"", RESPONSES, "GET", **fields))
        status, error = raw_error(read_to_end(connection))
    assert status == 426
    assert "POST /v1/responses" in error["message"]


def test_a_model_without_a_mapping(client: Client) -> None:
    answer = client.ask(model="gpt-4o")
    error = error_of(answer.content)
    assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "model-mappings:" in error["message"]
    assert 'from: "gpt-4o"' in error["message"]


BAD = {
    "empty": b"",
    "text": b"not json",
    "list": b"[]",
    "binary": b"\xff\xfe",
    "deep": b"[" * 200_000,
    "deep inside": b'{"model":"claude-x","messages":' + b"[" * 200_000,
    "model": json.dumps(chat(model=7)).encode(),
    "no model": json.dumps({"messages": []}).encode(),
    "messages": json.dumps(chat(messages="hi")).encode(),
    "no messages": json.dumps({"model": "claude-x"}).encode(),
    "role": json.dumps(chat(messages=[{"role": "robot", "content": "x"}])).encode(),
    "stream": json.dumps(chat(stream="yes")).encode(),
    "n": json.dumps(chat(n=2)).encode(),
}


@pytest.mark.parametrize("path", PATHS)
def test_bad_bodies(client: Client, path: str) -> None:
    answers = {name: client.send(body, path) for name, body in BAD.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(BAD, 400)
    kinds = {error_of(answer.content)["type"] for answer in answers.values()}
    assert kinds == {"invalid_request_error"}


def test_a_body_that_cant_be_unpacked(client: Client) -> None:
    answer = client.send(b"{}", content_encoding="compress")
    assert (answer.status_code, error_of(answer.content)["type"]) == (415, "invalid_request_error")


def test_another_sites_page(client: Client) -> None:
    answer = client.send(b"{}", origin="https://evil.example")
    assert answer.status_code == 403
    assert error_of(answer.content)["type"] == "invalid_request_error"
    answer = client.send(
        b"", CHAT, "OPTIONS", origin="https://evil.example", access_control_request_method="POST"
    )
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_what_the_data_plane_refuses(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_stream, "MAX_BODY", 1000)
    monkeypatch.setattr(failover_layer, "CLIENT_PATIENCE", 0.1)
    sent = {
        413: raw_request(b"x" * 2000, path),
        431: f"POST {path} HTTP/1.1\r\nx: ".encode() + b"a" * 70_000,
        400: f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n".encode(),
        408: raw_request(b"{}", path)[:-1],
    }
    seen = {}
    for status, data_sent in sent.items():
        with connect(client.proxy) as connection:
            connection.sendall(data_sent)
            seen[status] = raw_error(
                read_answer(connection) if status == 413 else read_to_end(connection)
            )
    assert {status: error[0] for status, error in seen.items()} == {each: each for each in sent}
