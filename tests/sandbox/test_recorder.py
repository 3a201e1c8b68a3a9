import threading

import pytest

from neurolink_mitm.sandbox.recorder import Received, Recorder


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
