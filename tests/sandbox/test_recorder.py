import socket
import threading
from collections.abc import Callable

import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Account, Reply
from neurolink_mitm.sandbox.recorder import Received, Recorder
from neurolink_mitm.sandbox.server import SandboxServer
from tests.sandbox.asking import BY_KEY, KEY, Post, message


def request(path: str = "/") -> Received:
    return Received("GET", path, [("x-a", "1"), ("x-a", "2")], 0.0, "req_1", b"body")


def test_only_the_last_are_kept() -> None:
    recorder = Recorder(keep=2, bodies=True)
    for path in ("/1", "/2", "/3"):
        recorder.received(request(path))
    assert [r.path for r in recorder.requests] == ["/2", "/3"]


def test_what_was_sent_is_kept_with_its_time() -> None:
    recorder, asked = Recorder(1, bodies=True), request()
    recorder.body_sent(asked, b"a")
    recorder.body_sent(asked, b"b")
    assert asked.answer == b"ab"
    assert asked.sent[0][0] <= asked.sent[1][0]


def test_without_bodies_neither_is_kept() -> None:
    recorder, asked = Recorder(1, bodies=False), request()
    recorder.body_sent(asked, b"a")
    recorder.finished(asked)
    assert (asked.body, asked.answer) == (b"", b"")


def test_a_header_is_found_by_its_first_value() -> None:
    assert (request().header("X-A"), request().header("x-b")) == ("1", None)


def test_waiting_ends_when_it_is_so() -> None:
    recorder, asked = Recorder(1, bodies=True), request()
    recorder.received(asked)
    leaving = threading.Timer(0.01, recorder.left, [asked])
    leaving.start()
    assert recorder.wait_for(lambda requests: requests[0].disconnected, timeout=5) == [asked]
    leaving.join()


def test_waiting_in_vain_says_what_came() -> None:
    recorder = Recorder(1, bodies=True)
    recorder.received(request("/came"))
    with pytest.raises(TimeoutError, match="/came"):
        recorder.wait_for(lambda requests: len(requests) == 2, timeout=0.01)


def test_cleared_it_is_empty() -> None:
    recorder = Recorder(1, bodies=True)
    recorder.received(request())
    recorder.clear()
    assert recorder.requests == []


def test_a_request_is_recorded_as_it_came(sandbox: SandboxServer, client: httpx.Client) -> None:
    body = b'{"model": "claude-x"  , "odd":\t"spacing"}'
    client.post("/v1/messages?beta=true&x=%20", content=body, headers=[("x-b", "2"), ("x-B", "1")])
    (received,) = sandbox.requests
    assert (received.method, received.path) == ("POST", "/v1/messages?beta=true&x=%20")
    assert received.body == body
    assert [pair for pair in received.headers if pair[0] == "x-b"] == [("x-b", "2"), ("x-b", "1")]


def test_an_answer_is_recorded_as_it_went(sandbox: SandboxServer, post: Post) -> None:
    response = post(stream=True)
    (received,) = sandbox.wait_for(lambda requests: requests[0].done)
    assert received.answer == response.content
    assert received.request_id == response.headers["request-id"]
    assert (received.account, received.status, received.disconnected) == ("a", 200, False)


def test_times_are_in_order(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(event_delay=0.001))
    post(stream=True)
    (received,) = sandbox.requests
    times = [received.time, *(time for time, _ in received.sent)]
    assert times == sorted(times)


def test_what_was_refused_is_recorded(sandbox: SandboxServer) -> None:
    httpx.get(f"{sandbox.url}/nowhere")
    httpx.get(f"{sandbox.url}/v1/files")
    assert [(r.path, r.account, r.status) for r in sandbox.requests] == [
        ("/nowhere", None, 404),
        ("/v1/files", None, 401),
    ]


def test_a_client_that_leaves_amid_its_request_is_recorded(sandbox: SandboxServer) -> None:
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as half:
        half.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        sandbox.wait_for(lambda requests: len(requests) == 1)
    (received,) = sandbox.wait_for(lambda requests: requests[0].done)
    assert (received.disconnected, received.body, received.status) == (True, b"half", None)


def test_a_body_in_chunks_is_put_together(sandbox: SandboxServer, client: httpx.Client) -> None:
    client.post("/v1/files", content=iter([b"one", b"two"]))
    assert sandbox.requests[0].body == b"onetwo"


def test_controlling_is_not_recorded(sandbox: SandboxServer, client: httpx.Client) -> None:
    client.get("/sandbox/requests")
    assert sandbox.requests == []


@pytest.fixture
def bench() -> Callable[..., SandboxServer]:
    return lambda: SandboxServer([Account("a", KEY)], keep=3, bodies=False)


def test_a_long_run_keeps_little(bench: Callable[..., SandboxServer]) -> None:
    with bench() as sandbox, httpx.Client(base_url=sandbox.url, headers=BY_KEY) as client:
        for _ in range(5):
            assert client.post("/v1/messages", json=message()).status_code == 200
        received = sandbox.wait_for(lambda requests: requests[-1].done)
        assert [(r.body, r.answer, r.status) for r in received] == [(b"", b"", 200)] * 3
