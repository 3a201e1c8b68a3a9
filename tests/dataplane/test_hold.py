"""A request that waits for an account, event by event."""

from __future__ import annotations

import time
from typing import Any

import pytest

from neurolink_mitm.core.exchange import Hold, Outcome
from neurolink_mitm.core.settings.values import Timeouts
from neurolink_mitm.dataplane.hooks import exchange_of, resume
from tests.dataplane.playbook import Close, Hook, Open, Playbook, Steps
from tests.dataplane.test_stream import BEGIN, FAILED, HEAD, REQUEST, events, sent, status, told

HELD = Hook("hold")
LIMITED = b"HTTP/1.1 429 No\r\ncontent-length: 2\r\n\r\n{}"
LIMITS = Timeouts(connect=5, first_event=20, idle=30, total=100)


def holding(seconds: float = 300.0, *, recovery: bool = True, **exchange: Any) -> Playbook:
    """A request that was limited by its first upstream, and is held."""
    step = Hold(time.time() + seconds, "a is cooling", recovery=recovery)
    play = Playbook(Steps(steps=[step, step], exchange={"timeouts": LIMITS} | exchange))
    sent(play)
    assert FAILED in (log := play.upstream("up1", LIMITED))
    assert log[-1] == HELD
    return play


def test_it_goes_on_as_soon_as_it_is_resumed() -> None:
    play = holding()
    assert play.wait(200) == []
    assert play.resume() == [Hook("attempt"), Open("up2")]
    play.opened("up2")
    assert status(play.upstream("up2", HEAD + events(0, 2))) == 200


def test_or_at_the_end_of_its_time() -> None:
    play = holding(300)
    assert play.wait(299) == []
    assert play.wait(2) == [Hook("attempt"), Open("up2")]


def test_the_time_does_not_count_for_timeouts() -> None:
    """It has been held for longer than `total`, and has all of the rest left."""
    play = holding(5000)
    play.wait(4000)
    play.resume()
    play.opened("up2")
    assert play.wait(19) == []
    assert FAILED in play.wait(2)
    failure = play.exchange.attempts[-1].failure
    assert failure
    assert failure.error_type == "timeout"


def test_it_is_resumed_once() -> None:
    play = holding()
    play.resume()
    assert play.resume() == []
    assert play.resume(stream_id=3) == []


def test_a_request_can_be_held_before_its_first_attempt() -> None:
    class Cooling(Steps):
        def attempt(self, flow: Any) -> None:
            exchange = exchange_of(flow)
            assert exchange
            if exchange.step is None:
                exchange.step = Hold(time.time() + 60, "all are cooling", recovery=True)
            else:
                super().attempt(flow)

    play = Playbook(Cooling())
    assert play.client(REQUEST) == [*BEGIN[:3], HELD]
    assert play.resume() == [Hook("attempt"), Open("up1")]


def test_it_is_not_lost_if_it_is_resumed_while_addons_still_handle_the_hook() -> None:
    play = Playbook(Steps(steps=[Hold(time.time() + 60, "", recovery=True)]))
    sent(play)
    play.held = {"hold"}
    play.upstream("up1", LIMITED)
    assert play.resume() == []
    assert play.finish("hold") == [Hook("attempt"), Open("up2")]


def test_a_client_that_leaves_ends_it_at_once() -> None:
    play = holding()
    flow = play.addons.flows[-1]  # type: ignore[attr-defined]
    assert [each for each in play.client_leaves() if isinstance(each, Hook)] == [Hook("error")]
    assert play.layer.streams == {}
    assert play.exchange.outcome is Outcome.CANCELLED
    assert play.resume() == []
    resume(flow)


@pytest.mark.parametrize("how", ["drain", "stop"])
def test_the_end_of_the_proxy_is_not_waited_for(how: str) -> None:
    play = holding()
    log = play.drain() if how == "drain" else play.stop()
    assert status(log) == 529
    assert b"retry-after: 2" in told(log).lower()
    assert play.layer.streams == {}


def test_nor_by_a_request_that_would_be_held_later() -> None:
    play = Playbook(Steps(steps=[Hold(time.time() + 60, "", recovery=True)]))
    sent(play)
    assert play.drain() == []
    assert status(play.upstream("up1", LIMITED)) == 529


def test_one_that_waits_for_a_moment_goes_on_while_the_proxy_stops() -> None:
    play = holding(2, recovery=False)
    assert play.drain() == []
    assert play.resume() == [Hook("attempt"), Open("up2")]


def test_a_body_is_counted_by_the_bound_of_held_ones_alone() -> None:
    play = holding()
    [stream] = play.layer.streams.values()
    assert stream.is_held
    play.resume()
    assert not stream.is_held


def test_nothing_is_sent_to_the_client_meanwhile() -> None:
    play = holding(5000)
    assert [told(play.wait(600)) for _ in range(6)] == [b""] * 6
    assert not any(isinstance(each, Close) for each in play.wait(1))
