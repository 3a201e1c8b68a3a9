from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import pytest
from mitmproxy import http

from neurolink_mitm.addons.openai_response import OpenAiResponse
from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.response.reader import EventStreamReader, ResponseReader, WholeReader
from neurolink_mitm.dataplane.hooks import error_response
from tests.addons.flows import make_flow, record
from tests.core.openai.formats import PlainAnswer
from tests.core.openai.test_editors import GIVEN, PLAIN
from tests.fakes import make_account, make_attempt, make_runtime
from tests.flows.raw_upstream import MESSAGE, STREAM, compressed


class Remembering(PlainAnswer):
    thread: threading.Thread | None = None

    def whole(self, message: bytes, request_id: str, created: int) -> bytes:
        Remembering.thread = threading.current_thread()
        return super().whole(message, request_id, created)


def answered(response: http.Response, **exchange: Any) -> http.Response:
    made: dict[str, Any] = {"api": Api.CHAT, "answer": PlainAnswer()} | exchange
    flow = make_flow("POST", "/v1/chat/completions", **made)
    flow.response = response
    OpenAiResponse(make_runtime()).responseheaders(flow)
    assert flow.response is response
    return response


def streamed(stream: Any = True, wanted: bool = True, **fields: str) -> http.Response:
    """A response that upstream sends as events, as it goes to the client."""
    made = http.Response.make(200, b"", {"content-type": "text/event-stream", **fields})
    made.stream = stream
    attempt = make_attempt(make_account(), reader=EventStreamReader())
    return answered(made, attempts=[attempt], stream=wanted)


def whole(reader: ResponseReader | None = None, wanted: bool = False) -> http.Response:
    made = http.Response.make(200, b"", {"content-type": "application/json"})
    made.stream = True
    attempt = make_attempt(make_account(), reader=reader or WholeReader(200, may_be_empty=False))
    return answered(made, attempts=[attempt], stream=wanted)


def given(response: http.Response, *chunks: bytes) -> bytes:
    assert callable(response.stream)
    pieces: list[Any] = [response.stream(chunk) for chunk in (*chunks, b"")]
    return b"".join(pieces).replace(b": keep-alive\n\n", b"")


def error(response: http.Response) -> Any:
    assert response.headers["content-type"] == "application/json"
    return json.loads(response.content or b"")["error"]


# --- errors


def test_an_error_of_ours_is_put_into_this_form_with_its_fields() -> None:
    reply = Reply(429, "rate_limit_error", "all are cooling", retry_after=7)
    response = answered(error_response(reply, "req_1"), request_id="req_1")
    assert error(response)["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-request-id"] == "req_1"
    assert response.headers["content-length"] == str(len(response.raw_content or b""))


def test_an_error_in_this_form_stays() -> None:
    made = error_response(Reply(400, "invalid_request_error", "x"))
    made.content = RequestError("x", "model", "c").body
    assert error(answered(made)) == {
        "message": "x", "type": "invalid_request_error", "param": "model", "code": "c",
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"<html>502</html>", b"", b"bad gateway"])
def test_a_page_of_upstreams_is_an_error_in_this_form(body: bytes) -> None:
    made = http.Response.make(502, body, {"content-type": "text/html"})
    assert error(answered(made))["type"] == "server_error"


def test_a_compressed_error_is_unpacked() -> None:
    body = compressed(error_body("invalid_request_error", "no such tool"), "gzip")
    made = http.Response.make(400, b"", {"content-encoding": "gzip"})
    made.raw_content = body
    response = answered(made)
    assert error(response)["message"] == "no such tool"
    assert "content-encoding" not in response.headers


def test_without_an_exchange_the_path_tells_the_form() -> None:
    flow = make_flow("POST", "/v1/responses", opened=False)
    flow.response = error_response(Reply(500, "api_error", "x"))
    OpenAiResponse(make_runtime()).responseheaders(flow)
    assert error(flow.response)["type"] == "server_error"


def test_what_is_answered_here_stays() -> None:
    made = http.Response.make(200, b'{"object":"response"}')
    assert answered(made).content == b'{"object":"response"}'


def test_anthropics_form_stays_for_anthropics_clients() -> None:
    made = error_response(Reply(400, "invalid_request_error", "x"))
    before = made.content
    assert answered(made, api=Api.ANTHROPIC, answer=None).content == before


# --- responses


def test_a_stream_is_translated_as_it_comes() -> None:
    response = streamed()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert given(response, STREAM[:100], STREAM[100:]) == GIVEN


def test_words_are_restored_before() -> None:
    def shaped(data: bytes) -> bytes:
        return data.replace(b"XX", b"content") if data else b""

    hidden = STREAM.replace(b"content", b"XX")
    assert given(streamed(shaped), hidden) == GIVEN


def test_a_whole_response_is_translated_at_its_end() -> None:
    response = whole()
    assert json.loads(given(response, MESSAGE[:9], MESSAGE[9:])) == PLAIN
    assert response.status_code == 200


def test_a_long_whole_response_is_translated_in_a_thread() -> None:
    flow = make_flow("POST", "/v1/chat/completions", api=Api.CHAT, answer=Remembering())
    flow.response = http.Response.make(200)
    flow.response.stream = True
    addon = OpenAiResponse(make_runtime())
    addon.responseheaders(flow)
    stream: Any = flow.response.stream
    assert stream(MESSAGE) == b""

    async def complete() -> None:
        waiting = addon.response_complete(flow)
        assert waiting
        await waiting

    asyncio.run(complete())
    assert Remembering.thread is not threading.main_thread()
    assert json.loads(stream(b"")) == PLAIN


def test_upstream_that_streams_for_a_client_that_wants_it_whole() -> None:
    response = streamed(wanted=False)
    assert response.headers["content-type"] == "application/json"
    assert json.loads(given(response, STREAM)) == PLAIN


def test_upstream_that_does_not_stream_for_a_client_that_wants_a_stream() -> None:
    assert given(whole(wanted=True), MESSAGE) == GIVEN


def test_what_cant_be_translated_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    response = whole()
    with caplog.at_level(logging.ERROR):
        told = json.loads(given(response, b'{"secret": 1}'))
    assert told["error"]["type"] == "server_error"
    assert response.status_code == 502
    assert [r.getMessage() for r in caplog.records] == [
        "the answer to req_1 can't be translated: ValueError"
    ]


def test_an_answer_that_is_no_json_is_shown_to_the_client_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = http.Response.make(200, b"")
    made.stream = True
    response = answered(made, answer=ChatAnswer("gpt-4o", json=True))
    told = json.loads(given(response, MESSAGE))["error"]
    assert (response.status_code, told["code"]) == (502, "invalid_json")
    assert "hello" in told["message"]
    assert "hello" not in caplog.text


def test_a_stream_that_cant_be_translated_ends_in_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = STREAM.replace(b"hello", b"explode")
    told = given(streamed(), bad[:300], bad[300:], STREAM)
    assert told.count(b"could not translate") == 1
    assert b"DONE" not in told
    assert "a secret" not in caplog.text


def test_a_response_in_an_unknown_coding_is_an_error() -> None:
    response = streamed(wanted=False, **{"content-encoding": "lzma"})
    assert json.loads(given(response, b"\x00\x01"))["error"]["type"] == "server_error"
    assert "content-encoding" not in response.headers


def test_notes_are_for_the_log() -> None:
    made = http.Response.make(200, b"")
    made.stream = True
    flow = make_flow(
        "POST", "/v1/chat/completions", api=Api.CHAT, answer=PlainAnswer(), why="first",
        notes=("no seed", "no n"), attempts=[make_attempt(make_account())],
    )  # fmt: skip
    flow.response = made
    OpenAiResponse(make_runtime()).responseheaders(flow)
    assert record(flow).why == "first; no seed; no n"
