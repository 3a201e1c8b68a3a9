"""A client's connection and its upstreams, event by event."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.exchange import Reply
from tests.dataplane.playbook import Back, Close, Hook, Open, Playbook, Send, Steps
from tests.dataplane.test_stream import HEAD, REQUEST, events, status

WHOLE = HEAD + events(0, 5) + b"0\r\n\r\n"


def test_upstreams_that_are_gone_are_forgotten() -> None:
    """Of a client that stays for days: mitmproxy would keep each of them."""
    play = Playbook()
    for number in range(1, 6):
        server = f"up1#{number}" if number > 1 else "up1"
        assert Open(server) in play.client(REQUEST)
        play.opened(server)
        play.upstream(server, WHOLE)
        play.upstream_closes(server)
        assert len(play.upstreams()) <= 1


def test_those_that_could_not_be_reached_too() -> None:
    play = Playbook(Steps(steps=[Reply(502, "api_error", "x")]))
    for number in range(1, 4):
        play.client(REQUEST)
        assert status(play.opened(f"up1#{number}" if number > 1 else "up1", "refused")) == 502
        assert len(play.upstreams()) <= 1


def test_a_connection_is_handed_back_when_the_response_is_complete() -> None:
    """Not when the client leaves. It may be another client's next."""
    play = Playbook()
    play.client(REQUEST)
    play.opened("up1")
    assert Back("up1") not in play.upstream("up1", WHOLE[:-2])
    assert Back("up1") in play.upstream("up1", WHOLE[-2:])
    assert play.upstreams() == []
    assert Open("up1#2") in play.client(REQUEST)


@pytest.mark.parametrize(
    "response",
    [
        WHOLE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1),
        WHOLE + b"HTTP/1.1 200 OK\r\n",
    ],
    ids=["closing", "bytes after the end"],
)
def test_one_that_is_of_no_more_use_is_closed(response: bytes) -> None:
    play = Playbook()
    play.client(REQUEST)
    play.opened("up1")
    log = play.upstream("up1", response)
    assert Close("up1") in log
    assert Back("up1") not in log
    assert play.upstreams() == []


def test_a_connection_that_took_too_long_leaves_nothing_behind() -> None:
    play = Playbook(Steps(steps=[Reply(504, "timeout_error", "x")]))
    play.client(REQUEST)
    assert status(play.wait(play.exchange.timeouts.connect)) == 504
    assert play.opened("up1", "cancelled") == []  # as mitmproxy says a moment later
    assert play.layer.command_sources == {}
    assert play.upstreams() == []


def test_what_goes_to_one_peer_goes_in_one_write() -> None:
    play = Playbook()
    play.client(REQUEST)
    assert [type(each) for each in play.opened("up1")] == [Send]
    assert [type(each) for each in play.upstream("up1", WHOLE)].count(Send) == 1


def test_a_client_that_sends_half_a_request_is_hung_up_on() -> None:
    play = Playbook()
    play.client(REQUEST[:-1])
    assert play.wait(59) == []
    log = play.wait(2)
    assert status(log) == 408
    assert Hook("error") in log
    assert Close("up1") not in log
