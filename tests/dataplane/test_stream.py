"""A request and its attempts, event by event."""

from __future__ import annotations

import json
import zlib
from typing import Any, cast

import pytest
from mitmproxy import http
from mitmproxy.connection import Server

from neurolink_mitm.core.exchange import Kind, Outcome, Pause, Reply
from neurolink_mitm.core.failover.errors import FailureStage
from neurolink_mitm.core.request.body import BodyIndex, MessagesRequest
from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.core.response.reader import HOLD_LIMIT
from neurolink_mitm.core.settings.values import Timeouts
from neurolink_mitm.dataplane.answer_stream import GRACE, KEEP_ALIVE, LONG
from neurolink_mitm.dataplane.upstreams.dial import Dialled
from neurolink_mitm.dataplane.upstreams.leases import Lease, Leases
from tests.core.openai.formats import PlainAnswer
from tests.dataplane.playbook import CLIENT, Back, Close, Command, Hook, Open, Playbook, Send, Steps
from tests.dataplane.upstreams.fakes import KEY, FakeConnection, FakeTransport

LIMITS = Timeouts(connect=5, first_event=20, idle=30, total=100)
BODY = b'{"model": "m"}'
REQUEST = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 14\r\n\r\n" + BODY
BEGIN = [Hook("requestheaders"), Hook("request"), Hook("attempt"), Open("up1")]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FAILED = Hook("attempt_failed")
NEXT = [FAILED, Hook("attempt"), Open("up2")]
EVENTS = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 7}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def said(number: int) -> bytes:
    """The event of this number."""
    data = EVENTS[number]
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


def event(number: int) -> bytes:
    """As it comes on the wire."""
    return chunk(said(number))


def events(first: int, last: int) -> bytes:
    return b"".join(event(number) for number in range(first, last + 1))


def told(log: list[Command], peer: str = CLIENT) -> bytes:
    """What was sent to a peer."""
    return b"".join(each.data for each in log if isinstance(each, Send) and each.peer == peer)


def status(log: list[Command]) -> int:
    return int(told(log).split()[1])


@pytest.fixture
def play() -> Playbook:
    return Playbook(timeouts=LIMITS)


def sent(play: Playbook, server: str = "up1") -> None:
    """The request has come, and has gone to its first upstream."""
    assert play.client(REQUEST) == BEGIN
    assert told(play.opened(server), server).endswith(BODY)


# --- one attempt


def test_an_answer_goes_out_with_its_first_content(play: Playbook) -> None:
    sent(play)
    assert play.upstream("up1", HEAD + events(0, 1)) == []
    first = play.upstream("up1", event(2))
    assert first[0] == Hook("responseheaders")
    assert b"message_start" in told(first)
    assert b'"hi"' in told(first)
    assert told(play.upstream("up1", event(3))) == event(3)
    assert play.upstream("up1", events(4, 5) + b"0\r\n\r\n")[0] == Hook("response")


def test_a_body_is_held_no_longer_than_it_may_be_sent_again() -> None:
    """Streams wait for the garbage collector, in which their bodies would pile up."""
    play = Playbook(timeouts=LIMITS, index=BodyIndex(BODY))
    sent(play)
    play.upstream("up1", HEAD + events(0, 1))
    held = play.exchange.index
    play.exchange.messages_request = MessagesRequest("claude-x", True, 0, None, index=held)
    play.upstream("up1", event(2))
    assert (held is None, play.exchange.index) == (False, None)
    assert play.exchange.messages_request is None


def test_the_next_request_of_a_client_asks_for_a_connection_of_its_own(play: Playbook) -> None:
    """Which one it gets is for the set to say that all clients share."""
    for server in ("up1", "up1#2"):
        play.client(REQUEST)
        assert told(play.opened(server), server).endswith(BODY)
        play.upstream(server, HEAD + events(0, 5) + b"0\r\n\r\n")


# --- the next one


def test_after_a_failure_the_request_goes_elsewhere(play: Playbook) -> None:
    sent(play)
    answer = b"HTTP/1.1 429 No\r\ncontent-length: 2\r\n\r\n{}"
    assert play.upstream("up1", answer) == [NEXT[0], Back("up1"), *NEXT[1:]]
    assert told(play.opened("up2"), "up2").endswith(BODY)
    [first] = play.exchange.attempts[:1]
    assert first.failure
    assert (first.failure.status, first.failure.stage) == (429, FailureStage.STATUS)
    assert status(play.upstream("up2", HEAD + events(0, 2))) == 200


def lend(play: Playbook, *reused: bool) -> None:
    """Say of the connections to come, in turn, whether they were used before; those after are new."""
    each = iter(reused)
    transport, here = FakeTransport(), ("127.0.0.1", 1)
    connection = FakeConnection(KEY, 0)
    connection.made(Dialled(transport, connection, 0.25, 0.5, here, here, None))
    play.layer.lease_of = lambda server: Lease(  # type: ignore[method-assign]
        cast(Server, server), cast(Leases, None), connection, next(each, False)
    )


def test_a_reused_connection_that_ends_without_a_word_is_replaced(play: Playbook) -> None:
    """Once, by a new one, in the same attempt: upstream may have closed it before the request came."""
    lend(play, True)
    sent(play)
    assert play.upstream_closes("up1") == [Open("up1#2")]
    assert told(play.opened("up1#2"), "up1#2").endswith(BODY)
    [attempt] = play.exchange.attempts
    assert (attempt.reused, attempt.connect_seconds, attempt.tls_seconds) == (False, 0.25, 0.5)
    assert play.upstream_closes("up1#2") == NEXT
    assert len(play.exchange.attempts) == 1


@pytest.mark.parametrize(
    ("came", "known"),
    [(b"HTTP/1.1 200", {}), (b"", {"kind": Kind.API, "method": "POST"})],
    ids=["it had begun to answer", "may not be sent twice"],
)
def test_but_not_always(came: bytes, known: dict[str, Any]) -> None:
    play = Playbook(**known)
    lend(play, True)
    sent(play)
    if came:
        play.upstream("up1", came)
    assert FAILED in play.upstream_closes("up1")


def test_spares_are_made_ready_for_the_way_that_may_be_next(play: Playbook) -> None:
    """Once the request is sent."""
    asked: list[UpstreamKey] = []
    play.layer.prepare = asked.append  # type: ignore[method-assign]
    play.client(REQUEST)
    attempt = play.exchange.attempt
    assert attempt
    attempt.next_key = KEY
    assert asked == []
    play.opened("up1")
    assert asked == [KEY]


def test_how_long_upstream_took_to_answer(play: Playbook) -> None:
    sent(play)
    play.wait(1.5)
    play.upstream("up1", HEAD[:5])
    play.wait(1)
    play.upstream("up1", HEAD[5:])
    assert play.exchange.attempts[0].wait_seconds == pytest.approx(1.5)


@pytest.mark.parametrize("step", [Reply(502, "api_error", "in vain")], ids=["our-own"])
def test_or_the_client_is_told(step: Any) -> None:
    play = Playbook(Steps(steps=[step]))
    sent(play)
    log = play.upstream_closes("up1")
    assert [each for each in log if isinstance(each, Hook)] == [
        FAILED, Hook("responseheaders"), Hook("response"),
    ]  # fmt: skip
    assert status(log) == 502


def test_a_pause_is_waited_for() -> None:
    play = Playbook(Steps(steps=[Pause(2.0)]))
    sent(play)
    assert FAILED in play.upstream_closes("up1")
    assert play.wait(1.9) == []
    assert play.wait(0.2) == [Hook("attempt"), Open("up2")]


def test_what_was_not_made_ready_is_not_sent() -> None:
    class Unready(Steps):
        def attempt(self, flow: Any) -> None: ...

    play = Playbook(Unready())
    assert status(play.client(REQUEST)) == 500


# --- limits


def test_a_connection_that_takes_too_long(play: Playbook) -> None:
    play.client(REQUEST)
    assert play.wait(4.9) == []
    assert play.wait(0.2) == [Close("up1"), *NEXT]
    failure = play.exchange.attempts[0].failure
    assert failure
    assert (failure.error_type, failure.sent) == ("connect_timeout", False)


def test_one_that_took_too_long_is_not_waited_for_again() -> None:
    play = Playbook(Steps(hosts=["up1", "up1"], exchange={"timeouts": LIMITS}))
    play.client(REQUEST)
    assert play.wait(5) == [Close("up1"), FAILED, Hook("attempt"), Open("up1#2")]
    assert play.opened("up1", "cancelled") == []
    assert told(play.opened("up1#2"), "up1#2").endswith(BODY)


def test_silence(play: Playbook) -> None:
    sent(play)
    assert play.wait(19.9) == []
    assert play.wait(0.2) == [Close("up1"), *NEXT]


def test_the_time_for_the_whole_is_up() -> None:
    limits = Timeouts(connect=5, first_event=20, total=10)
    play = Playbook(Steps(steps=[Reply(504, "timeout_error", "x")], exchange={"timeouts": limits}))
    sent(play)
    assert play.wait(9.9) == []
    assert status(play.wait(0.2)) == 504
    failure = play.exchange.attempts[0].failure
    assert failure
    assert failure.error_type == "total_timeout"


def test_an_answer_that_flows_may_take_longer_than_the_time_for_the_whole(play: Playbook) -> None:
    sent(play)
    play.upstream("up1", HEAD + events(0, 2))
    for _ in range(10):
        assert play.wait(LIMITS.idle - 1) == []
        assert told(play.upstream("up1", event(2))) == event(2)
    log = play.wait(LIMITS.idle)
    assert Close("up1") in log
    assert b"event: error" in told(log)


def test_a_client_of_openais_gets_a_comment_while_nothing_comes() -> None:
    play = Playbook(timeouts=LIMITS, answer=PlainAnswer())
    sent(play)
    play.upstream("up1", HEAD + events(0, 2))
    assert play.wait(KEEP_ALIVE - 1) == []
    play.upstream("up1", b"5\r\nevent\r\n")  # a piece of an event is nothing for the client
    assert told(play.wait(1)) == chunk(b": keep-alive\n\n")
    assert play.wait(KEEP_ALIVE - 1) == []
    log = play.wait(1)
    assert Close("up1") not in log
    assert told(log) == chunk(b": keep-alive\n\n")
    log = play.wait(LIMITS.idle - KEEP_ALIVE - 1)
    assert Close("up1") in log  # upstream has been silent for too long all the same


def test_a_client_of_openais_that_gets_it_whole_gets_no_comment() -> None:
    play = Playbook(timeouts=LIMITS, answer=PlainAnswer())
    sent(play)
    play.upstream("up1", HEAD + events(0, 2))
    flow = play.addons.flows[0]  # type: ignore[attr-defined]
    flow.response.headers["content-type"] = "application/json"
    assert play.wait(KEEP_ALIVE) == []


def test_a_slow_start_is_shown(play: Playbook) -> None:
    """`message_start` has come, content has not: a client that sees it does not time out on us."""
    sent(play)
    assert play.upstream("up1", HEAD + event(0)) == []
    assert play.wait(GRACE - 0.1) == []
    assert b"message_start" in told(play.wait(0.2))


def test_a_whole_answer_that_flows_may_take_longer_than_the_first_event() -> None:
    """Nobody sees it before its end; upstream has not fallen silent all the same."""
    play = Playbook(kind=Kind.API, stream=False, timeouts=LIMITS)
    sent(play)
    assert play.upstream("up1", b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n") == []
    for _ in range(2):
        assert play.wait(LIMITS.first_event - 1) == []
        assert play.upstream("up1", b"[]") == []
    assert told(play.upstream("up1", b"[]")).endswith(b"[][][]")


def test_but_not_if_it_does_not_flow() -> None:
    play = Playbook(kind=Kind.API, stream=False, timeouts=LIMITS)
    sent(play)
    play.upstream("up1", b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n[]")
    assert play.wait(LIMITS.idle) == [Close("up1"), *NEXT]


# --- what comes late


@pytest.mark.parametrize(
    "late", [b"", HEAD + events(0, 2), b"HTTP/1.1 429 No\r\n\r\n"], ids=["end", "answer", "error"]
)
@pytest.mark.parametrize("during", ["attempt_failed", "attempt", None])
def test_a_late_word_of_a_dropped_attempt(play: Playbook, late: bytes, during: str | None) -> None:
    """Its end, too, is no failure of the attempt that has come since."""
    sent(play)
    if during:
        play.held.add(during)
    play.wait(20)
    assert (play.upstream("up1", late) if late else play.upstream_closes("up1")) == []
    assert play.upstream_closes("up1") == []
    if during:
        play.held.clear()
        assert play.finish(during)[-1] == Open("up2")
    assert told(play.opened("up2"), "up2").endswith(BODY)
    assert status(play.upstream("up2", HEAD + events(0, 2))) == 200
    assert len(play.exchange.attempts) == 2


OVERLOADED = chunk(
    b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'
)


@pytest.mark.parametrize(
    "rest", [b"", b"0\r\n\r\n", b"no size\r\n"], ids=["nothing", "end", "broken"]
)
def test_what_one_read_brings_behind_a_failure_is_not_the_next_attempts(
    play: Playbook, rest: bytes
) -> None:
    sent(play)
    assert play.upstream("up1", HEAD + OVERLOADED + rest)[-2:] == NEXT[-2:]
    assert told(play.opened("up2"), "up2").endswith(BODY)
    assert status(play.upstream("up2", HEAD + events(0, 2))) == 200
    assert [each.failure and each.failure.error_type for each in play.exchange.attempts] == [
        "overloaded_error", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rest", [b"", b"0\r\n\r\n", b"no size\r\n"], ids=["nothing", "end", "broken"]
)
def test_nor_what_it_brings_behind_a_cut(play: Playbook, rest: bytes) -> None:
    """Compression that breaks in the middle of an answer ends it well, once."""
    sent(play)
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"".join(map(said, range(3)))) + packer.flush(zlib.Z_SYNC_FLUSH)
    head = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
    assert status(play.upstream("up1", head + chunk(packed))) == 200
    log = play.upstream("up1", chunk(b"\xff" * 9) + rest)
    assert told(log).count(b"event: error") == 1
    assert log.count(Hook("response")) == 1


# --- a client that leaves


@pytest.mark.parametrize("hook", ["request", "attempt"])
def test_who_leaves_during_a_hook_is_not_sent(play: Playbook, hook: str) -> None:
    play.held.add(hook)
    play.client(REQUEST)
    assert play.client_leaves() == []
    log = play.finish(hook)
    assert [each for each in log if not isinstance(each, Close)] == [Hook("error")]
    assert (play.exchange.attempts, play.exchange.outcome) == ([], Outcome.CANCELLED)


def test_who_leaves_while_connecting_is_not_sent(play: Playbook) -> None:
    play.client(REQUEST)
    assert play.client_leaves() == [Close("up1"), Hook("error")]
    assert play.opened("up1") == []
    assert (play.exchange.attempts, play.exchange.outcome) == ([], Outcome.CANCELLED)


@pytest.mark.parametrize(
    "came",
    [b"", HEAD, HEAD + events(0, 0), HEAD + events(0, 2)],
    ids=["nothing", "head", "held", "content"],
)
def test_who_leaves_later_has_been_sent(play: Playbook, came: bytes) -> None:
    sent(play)
    if came:
        play.upstream("up1", came)
    log = play.client_leaves()
    assert Hook("error") in log
    assert Close("up1") in log
    assert [each.failure for each in play.exchange.attempts] == [None]
    assert play.exchange.left_upstream


# --- a proxy that stops


@pytest.mark.parametrize(
    "hook", ["request", "attempt", None], ids=["request", "attempt", "connecting"]
)
def test_what_waits_when_the_proxy_stops_is_not_sent(play: Playbook, hook: str | None) -> None:
    if hook:
        play.held.add(hook)
    play.client(REQUEST)
    assert status(play.stop()) == 529
    assert play.exchange.attempts == []


@pytest.mark.parametrize("came", [b"", HEAD, HEAD + events(0, 0)], ids=["nothing", "head", "held"])
def test_what_upstream_works_on_when_the_proxy_stops_has_been_sent(
    play: Playbook, came: bytes
) -> None:
    sent(play)
    if came:
        play.upstream("up1", came)
    log = play.stop()
    assert status(log) == 529
    assert Close("up1") in log
    assert [each.failure for each in play.exchange.attempts] == [None]
    assert not play.exchange.served


def test_an_answer_that_has_begun_ends_well_when_the_proxy_stops(play: Playbook) -> None:
    sent(play)
    play.upstream("up1", HEAD + events(0, 2))
    assert b"event: error" in told(play.stop())


# --- a long answer in another API's form


class Translated(Steps):
    """Their answers are translated at the end."""

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response
        flow.response.stream = lambda data: data or b"!"


LONG_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


@pytest.fixture(params=[LONG + 1, HOLD_LIMIT + 1], ids=["held", "flowing"])
def prepared(request: pytest.FixtureRequest) -> Playbook:
    """An addon prepares the end of a long answer; `flowing`: its head was sent before."""
    shown: Any = {"kind": Kind.MESSAGES, "stream": False, "answer": PlainAnswer()}
    play = Playbook(Translated(exchange=shown))
    sent(play)
    play.held.add("response_complete")
    log = play.upstream("up1", LONG_HEAD % request.param + b"[" * request.param)
    assert log.count(Hook("response_complete")) == 1
    return play


def test_a_long_answer_waits_for_the_addon_that_prepares_its_end(prepared: Playbook) -> None:
    log = prepared.finish("response_complete")
    assert told(log).removesuffix(b"\r\n0\r\n\r\n").endswith(b"!")
    assert log.count(Hook("response")) == 1


def test_a_client_may_leave_meanwhile(prepared: Playbook) -> None:
    assert prepared.client_leaves() == []
    log = prepared.finish("response_complete")
    assert [each for each in log if isinstance(each, Hook)] == [Hook("error")]
    assert prepared.exchange.outcome is Outcome.CANCELLED
