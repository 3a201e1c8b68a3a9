"""First as a list of acts, then seen from the other end of the wire."""

import time

import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.content import Content
from neurolink_mitm.sandbox.playback import Act, Head, Last, Pause, acts
from neurolink_mitm.sandbox.server import SandboxServer
from tests.sandbox.asking import Connect, Post, read_until

HEAD = Head(200, ())
EVENTS = Content(200, "text/event-stream", (b"1", b"2", b"3"))
BODY = Content(200, "application/json", (b"bo", b"dy"), pieces=True)


@pytest.mark.parametrize(
    ("reply", "content", "expected"),
    [
        pytest.param(Reply(), EVENTS, [HEAD, b"1", b"2", b"3", Last.END], id="good"),
        pytest.param(
            Reply(delay=9, event_delay=1),
            EVENTS,
            [Pause(9), HEAD, b"1", Pause(1), b"2", Pause(1), b"3", Last.END],
            id="slow",
        ),
        pytest.param(Reply(hang_up=True), EVENTS, [Last.CUT], id="hang up"),
        pytest.param(Reply(hang_up=True, reset=True), EVENTS, [Last.RESET], id="reset"),
        pytest.param(Reply(cut_after=0), EVENTS, [HEAD, Last.CUT], id="cut after the head"),
        pytest.param(Reply(cut_after=2), EVENTS, [HEAD, b"1", b"2", Last.CUT], id="cut"),
        pytest.param(Reply(cut_after=9), EVENTS, [HEAD, b"1", b"2", b"3", Last.CUT], id="cut last"),
        pytest.param(Reply(stall_after=0), EVENTS, [Last.STALL], id="no head"),
        pytest.param(Reply(stall_after="head"), EVENTS, [HEAD, Last.STALL], id="only the head"),
        pytest.param(Reply(stall_after=1), EVENTS, [HEAD, b"1", Last.STALL], id="stall"),
        pytest.param(Reply(cut_after=9), BODY, [HEAD, b"bo", Last.CUT], id="cut in a body"),
        pytest.param(Reply(stall_after=9), BODY, [HEAD, b"bo", Last.STALL], id="stall in a body"),
    ],
)
def test_acts(reply: Reply, content: Content, expected: list[Act]) -> None:
    assert list(acts(reply, HEAD, content)) == expected


def streamed_events(response: httpx.Response) -> list[str]:
    return [line[7:] for line in response.iter_lines() if line.startswith("event: ")]


def test_a_cut_stream_ends_without_its_last_chunk(sandbox: SandboxServer, connect: Connect) -> None:
    sandbox.script("a", Reply(cut_after=4))
    answer = read_until(connect(stream=True), None)
    assert answer.count(b"event: ") == 4
    assert not answer.endswith(b"0\r\n\r\n")


def test_a_cut_stream_is_an_error_to_a_client(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(cut_after=4))
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        post(stream=True)


def test_a_cut_body_is_shorter_than_announced(sandbox: SandboxServer, connect: Connect) -> None:
    sandbox.script("a", Reply(cut_after=1))
    head, _, body = read_until(connect(), None).partition(b"\r\n\r\n")
    announced = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    assert 0 < len(body) < int(announced.split(b":")[1])


def test_a_cut_is_not_the_clients_doing(sandbox: SandboxServer, connect: Connect) -> None:
    sandbox.script("a", Reply(cut_after=4))
    read_until(connect(stream=True), None)
    (received,) = sandbox.wait_for(lambda requests: requests[0].done)
    assert not received.disconnected


def test_hung_up_there_is_no_head(sandbox: SandboxServer, connect: Connect) -> None:
    sandbox.script("a", Reply(hang_up=True))
    assert read_until(connect(), None) == b""
    assert sandbox.requests[0].status is None


@pytest.mark.parametrize("reply", [Reply(hang_up=True, reset=True), Reply(cut_after=2, reset=True)])
def test_a_reset_is_an_error_of_the_connection(
    sandbox: SandboxServer, connect: Connect, reply: Reply
) -> None:
    sandbox.script("a", reply)
    connection = connect(stream=True)
    with pytest.raises(ConnectionResetError):
        read_until(connection, None)


def test_an_empty_answer_ends_cleanly(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(empty=True))
    response = post(stream=True)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/event-stream")


def test_without_its_stop_a_stream_still_ends_cleanly(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(no_stop=True))
    assert streamed_events(post(stream=True))[-1] == "message_delta"


def test_an_error_comes_first(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(error_first="overloaded_error"))
    response = post(stream=True)
    assert (response.status_code, streamed_events(response)) == (200, ["error"])


def test_an_error_comes_after_events(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(error_after=2))
    assert streamed_events(post(stream=True)) == ["message_start", "ping", "error"]


def test_a_stall_is_silent_until_the_client_leaves(
    sandbox: SandboxServer, connect: Connect
) -> None:
    sandbox.script("a", Reply(stall_after=2))
    connection = connect(stream=True)
    read_until(connection, b"event: ping")
    connection.settimeout(0.05)
    with pytest.raises(TimeoutError):
        read_until(connection, None)
    connection.close()
    (received,) = sandbox.wait_for(lambda requests: requests[0].done)
    assert received.disconnected


@pytest.mark.parametrize(("stall_after", "head"), [(0, b""), ("head", b"HTTP/1.1 200")])
def test_a_stall_before_the_first_event(
    sandbox: SandboxServer, connect: Connect, stall_after: int, head: bytes
) -> None:
    sandbox.script("a", Reply(stall_after=stall_after))
    connection = connect(stream=True)
    if head:
        assert read_until(connection, b"\r\n\r\n").startswith(head)
    connection.settimeout(0.05)
    with pytest.raises(TimeoutError):
        connection.recv(1)


def test_a_client_that_leaves_during_a_pause_is_noticed(
    sandbox: SandboxServer, connect: Connect
) -> None:
    sandbox.script("a", Reply(delay=60))
    connection = connect()
    sandbox.wait_for(lambda requests: requests[0].account == "a")
    connection.close()
    (received,) = sandbox.wait_for(lambda requests: requests[0].done)
    assert (received.disconnected, received.status) == (True, None)


def test_events_come_one_by_one(sandbox: SandboxServer, connect: Connect) -> None:
    sandbox.script("a", Reply(event_delay=60))
    answer = read_until(connect(stream=True), b"message_start")
    assert answer.count(b"event: ") == 1


def test_the_head_comes_after_its_delay(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(delay=0.05))
    begun = time.monotonic()
    assert post().status_code == 200
    assert time.monotonic() - begun >= 0.04  # timers may be a little early


def test_a_connection_is_kept_after_a_good_answer(sandbox: SandboxServer, connect: Connect) -> None:
    connection = connect(stream=True)
    read_until(connection, b"\r\n0\r\n\r\n")
    connection.sendall(b"HEAD / HTTP/1.1\r\nhost: sandbox\r\n\r\n")
    assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200")
