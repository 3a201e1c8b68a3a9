import json

import pytest

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.content import Content, instead, streamed, whole

EVENTS = [b"1", b"2", b"3", b"stop"]


def test_a_good_reply_wants_nothing_else() -> None:
    assert instead(Reply(), True, "req_1") is None
    assert instead(Reply(error_after=1), True, "req_1") is None


def test_a_status_is_an_error_in_anthropics_form() -> None:
    content = instead(Reply(429), True, "req_1")
    assert content is not None
    body = json.loads(b"".join(content.writes))
    assert (content.status, content.type) == (429, "application/json")
    assert body["error"]["type"] == "rate_limit_error"
    assert body["request_id"] == "req_1"


def test_a_script_words_its_error() -> None:
    content = instead(Reply(400, error_type="overloaded_error", message="Busy"), True, "req_1")
    assert content is not None
    error = json.loads(content.writes[0])["error"]
    assert error == {"type": "overloaded_error", "message": "Busy"}


@pytest.mark.parametrize("stream", [True, False])
def test_empty_has_no_byte(stream: bool) -> None:
    content = instead(Reply(empty=True), stream, "req_1")
    assert content is not None
    assert content.writes == ()


def test_a_page_is_html() -> None:
    content = instead(Reply(502, html=True), True, "req_1")
    assert content is not None
    assert content.type.startswith("text/html")
    assert b"502: Bad gateway" in content.writes[0]


def test_a_body_is_taken_as_it_is() -> None:
    content = instead(Reply(body=b"\xff", content_type="text/plain"), True, "req_1")
    assert content == Content(200, "text/plain", (b"\xff",), pieces=True)


def test_the_first_event_is_an_error() -> None:
    content = instead(Reply(error_first="overloaded_error"), True, "req_1")
    assert content is not None
    assert content.status == 200
    assert [write.split(b"\n")[0] for write in content.writes] == [b"event: error"]


@pytest.mark.parametrize(
    ("reply", "status"),
    [(Reply(error_first="rate_limit_error"), 429), (Reply(error_after=2), 529)],
)
def test_an_error_within_a_stream_is_a_status_without_one(reply: Reply, status: int) -> None:
    content = instead(reply, False, "req_1")
    assert content is not None
    assert content.status == status


def test_an_error_comes_after_some_events() -> None:
    *good, error = streamed(Reply(error_after=2, error_type="api_error"), EVENTS).writes
    assert good == [b"1", b"2"]
    assert b'"api_error"' in error


@pytest.mark.parametrize(
    ("reply", "writes"),
    [
        pytest.param(Reply(), (b"1", b"2", b"3", b"stop"), id="one event a write"),
        pytest.param(Reply(no_stop=True), (b"1", b"2", b"3"), id="no stop"),
        pytest.param(Reply(coalesce=3), (b"123", b"stop"), id="three events a write"),
    ],
)
def test_a_stream_is_written_event_by_event(reply: Reply, writes: tuple[bytes, ...]) -> None:
    content = streamed(reply, EVENTS)
    assert content.writes == writes
    assert content.length is None


def test_a_body_has_its_length() -> None:
    content = whole(Reply(), b"body")
    assert (content.writes, content.length) == ((b"body",), 4)


@pytest.mark.parametrize("reply", [Reply(cut_after=7), Reply(stall_after=7)])
def test_a_body_that_breaks_off_is_in_two_pieces(reply: Reply) -> None:
    content = whole(reply, b"body")
    assert (content.writes, content.length) == ((b"bo", b"dy"), 4)
