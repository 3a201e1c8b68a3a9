"""What all look-alikes do alike, however they speak."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.lookalikes.gemini import Gemini
from tests.lookalikes.ollama import Ollama
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.script import Reply, fail, say
from tests.lookalikes.server import LIMIT, Lookalike
from tests.waiting import wait_until

Json = dict[str, Any]

KEYS = {"authorization": "Bearer test-key", "x-goog-api-key": "test-key"}


@dataclass
class Asking:
    """A look-alike, and a request for a stream that it takes."""

    provider: Lookalike
    path: str
    body: Json

    def ask(self, timeout: float = 10, **more: Any) -> httpx.Response:
        url = self.provider.url + self.path
        return httpx.post(url, json={**self.body, **more}, headers=KEYS, timeout=timeout)


USER: Json = {"role": "user", "content": "hi"}
MADE: dict[str, tuple[type[Lookalike], str, Json]] = {
    "chat": (
        OpenAIChat,
        "/v1/chat/completions",
        {"model": "gpt-4o", "messages": [USER], "stream": True},
    ),
    "responses": (
        OpenAIResponses,
        "/v1/responses",
        {"model": "gpt-5", "input": [USER], "stream": True},
    ),
    "gemini": (
        Gemini,
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {"contents": [{"parts": [{"text": "hi"}]}]},
    ),
    "ollama": (Ollama, "/api/chat", {"model": "qwen3", "messages": [USER]}),
}


@pytest.fixture(params=list(MADE.values()), ids=list(MADE))
def asking(request: pytest.FixtureRequest) -> Iterator[Asking]:
    made, path, body = request.param
    with made() as provider:
        yield Asking(provider, path, body)


def test_it_answers_by_the_script_and_then_by_what_is_asked(asking: Asking) -> None:
    asking.provider.script.add(say("abc"), say("def"))
    answers = [asking.ask().text for _ in range(3)]
    assert ["abc" in answers[0], "def" in answers[1]] == [True, True]
    assert "You sai" in answers[2]


def test_it_records_what_came(asking: Asking) -> None:
    asking.ask()
    (received,) = asking.provider.requests
    assert received.method == "POST"
    assert received.path == asking.path.partition("?")[0]
    assert received.headers["content-type"] == "application/json"
    assert received.body == asking.body == asking.provider.last


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_it_fails_with_the_status_and_the_words_of_the_script(asking: Asking, status: int) -> None:
    asking.provider.script.add(fail(status, "no way", retry_after=3))
    answer = asking.ask()
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "3")
    assert "no way" in str(answer.json()["error"])


def test_a_body_of_the_script_is_sent_as_it_is(asking: Asking) -> None:
    asking.provider.script.add(Reply(status=502, body=b"<html>", headers={"x-a": "b"}))
    answer = asking.ask()
    assert (answer.status_code, answer.content, answer.headers["x-a"]) == (502, b"<html>", "b")


@pytest.mark.parametrize("reply", [say("some words", cut_after=0), say("some words", cut_after=2)])
def test_a_cut_breaks_the_stream_off(asking: Asking, reply: Reply) -> None:
    asking.provider.script.add(reply)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        asking.ask()


def test_what_comes_before_a_cut_arrives(asking: Asking) -> None:
    asking.provider.script.add(say("some words " * 9, cut_after=5))
    came: list[bytes] = []

    def read() -> None:
        url = asking.provider.url + asking.path
        with httpx.stream("POST", url, json=asking.body, headers=KEYS) as answer:
            came.extend(answer.iter_raw())

    with pytest.raises(httpx.RemoteProtocolError):
        read()
    assert b"".join(came).count(b"\n") >= 5


def test_a_hang_up_comes_in_place_of_an_answer(asking: Asking) -> None:
    asking.provider.script.add(Reply(hang_up=True))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        asking.ask()


def test_an_error_within_the_stream_is_the_last_thing(asking: Asking) -> None:
    asking.provider.script.add(say("some words", error_after=2, message="boom"))
    answer = asking.ask()
    assert answer.status_code == 200
    assert "boom" in answer.text.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("reply", "comes"),
    [
        (Reply(delay=60), b""),
        (say("a", silence=60), b"HTTP/1.1 200"),
        (say("ab" * 9, pause=60), b"\r\n\r\n.+\n"),
    ],
    ids=["before the head", "before the first event", "between events"],
)
def test_a_client_that_does_not_wait_is_noticed(asking: Asking, reply: Reply, comes: bytes) -> None:
    asking.provider.script.add(reply)
    at = httpx.URL(asking.provider.url)
    body = json.dumps(asking.body).encode()
    with socket.create_connection((at.host, at.port), LIMIT) as client:
        client.sendall(
            f"POST {asking.path} HTTP/1.1\r\nhost: {at.host}\r\n"
            "authorization: Bearer test-key\r\nx-goog-api-key: test-key\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        wait_until(lambda: asking.provider.requests, "the request has come")
        came = b""
        while not re.search(comes, came, re.DOTALL):
            came += (data := client.recv(4096))
            assert data, f"it hung up after {came!r}"
    asking.provider.wait_for_leaving()


@pytest.mark.parametrize("moment", ["delay", "silence", "pause"])
def test_it_waits_as_long_as_the_script_says(asking: Asking, moment: str) -> None:
    asking.provider.script.add(say("a", **{moment: 0.2}))
    begun = time.monotonic()
    assert asking.ask().status_code == 200
    assert time.monotonic() - begun >= 0.2


def test_it_ends_while_a_stream_stands_still() -> None:
    made, path, body = MADE["chat"]

    def leave_it_standing() -> None:
        with made() as provider:
            provider.script.add(say("a", pause=600))
            Asking(provider, path, body).ask(timeout=0.2)

    begun = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        leave_it_standing()
    assert time.monotonic() - begun < 10


def test_what_is_no_json_is_refused(asking: Asking) -> None:
    url = asking.provider.url + asking.path
    assert httpx.post(url, content=b"{").status_code == 400
    assert httpx.post(url, content=b"[]").status_code == 400


def test_another_path_is_recorded_and_refused(asking: Asking) -> None:
    answer = httpx.post(f"{asking.provider.url}/v1/messages", json={})
    assert answer.status_code == 404
    assert asking.provider.requests[-1].path == "/v1/messages"


@pytest.mark.parametrize("place", ["header", "body", "query", "other path"])
def test_a_credential_of_anthropic_is_found_wherever_it_is(asking: Asking, place: str) -> None:
    asking.ask()
    asking.provider.assert_no_anthropic_credentials()
    secret = "sk-ant-test-1"
    url = asking.provider.url + {"other path": "/v1/messages"}.get(place, asking.path)
    headers = {"x-api-key": secret} if place in ("header", "other path") else {}
    params = {"key": secret} if place == "query" else None
    body = {"model": secret} if place == "body" else {}
    httpx.post(url, json=body, headers=headers, params=params)
    with pytest.raises(AssertionError, match="credential"):
        asking.provider.assert_no_anthropic_credentials()
