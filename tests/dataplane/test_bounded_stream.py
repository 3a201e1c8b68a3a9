"""A request's head and body, event by event: who is refused, and what is kept meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import http

from neurolink_mitm.core.exchange import Kind, Outcome
from neurolink_mitm.dataplane import bounded_stream
from neurolink_mitm.dataplane.body_memory import BodyMemory
from neurolink_mitm.dataplane.bounded_stream import MAX_BODY, SOON_OVER
from neurolink_mitm.dataplane.hooks import json_response
from tests.dataplane.playbook import CLIENT, Close, Command, Hook, Open, Playbook, Send, Steps

REFUSED = [Hook("requestheaders"), Hook("responseheaders"), Hook("response")]


def head(length: int | None = None, *fields: str, version: str = "1.1") -> bytes:
    """Of a request whose body is announced with this length, or comes in chunks."""
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    lines = ["POST /v1/messages HTTP/" + version, "host: localhost", framing, *fields]
    return "\r\n".join([*lines, "", ""]).encode()


class Shut(Steps):
    """An addon refuses by the head."""

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        super().requestheaders(flow)
        flow.response = json_response(401, b"{}")


class NoRoom(BodyMemory):
    """Has room for what is announced, and then not for what comes; or for neither."""

    def __init__(self, *, announced: bool) -> None:
        super().__init__()
        self._announced = announced

    def has(self, size: int) -> bool:
        return self._announced

    def take(self, more: int, size: int) -> bool:
        return False


def answer(log: list[Command]) -> tuple[int, bool]:
    """Status of the answer, and whether the connection ends behind it."""
    said = b"".join(each.data for each in log if isinstance(each, Send) and each.peer == CLIENT)
    return int(said.split()[1]), b"connection: close" in said.lower()


def hooks(log: list[Command]) -> list[Command]:
    return [each for each in log if isinstance(each, Hook)]


def kept(play: Playbook) -> int:
    """Bytes of bodies in memory."""
    return sum(stream.held for stream in play.layer.streams.values())


# --- by the head


def test_without_the_gates_word_nobody_gets_on() -> None:
    log = Playbook(admitted=False).client(head(4))
    assert (answer(log), hooks(log)) == ((500, False), REFUSED)


@pytest.mark.parametrize(
    ("length", "fields", "leaves"),
    [
        (0, (), False),
        (SOON_OVER, (), False),
        (SOON_OVER + 1, (), True),
        (None, (), True),
        (4, ("expect: 100-continue",), True),
    ],
    ids=["none", "small", "large", "chunks", "waits-to-be-asked"],
)
def test_who_is_refused_may_go_on_if_the_body_is_soon_over(
    length: int | None, fields: tuple[str, ...], leaves: bool
) -> None:
    play = Playbook(Shut())
    log = play.client(head(length, *fields))
    assert (answer(log), hooks(log)) == ((401, leaves), REFUSED)
    if leaves or not length:
        assert play.layer.streams == {}


def test_the_body_of_a_refused_request_is_read_and_not_kept() -> None:
    play = Playbook(Shut())
    play.client(head(8) + b"body")
    assert kept(play) == 0
    assert play.client(b"body") == []
    assert play.layer.streams == {}
    assert answer(play.client(head(0))) == (401, False)


@pytest.mark.parametrize(
    ("kind", "status"), [(Kind.MESSAGES, 529), (Kind.LOCAL, None)], ids=["messages", "local"]
)
def test_one_client_too_many_is_told_so_but_for_our_own_pages(kind: Kind, status: Any) -> None:
    play = Playbook(kind=kind)
    play.layer.crowded = lambda: True
    log = play.client(head(4))
    assert (answer(log)[0] if log != [Hook("requestheaders")] else None) == status


@pytest.mark.parametrize(
    ("length", "announced", "status"),
    [(MAX_BODY + 1, True, 413), (MAX_BODY, False, 529)],
    ids=["too-large", "no-room"],
)
def test_a_body_that_is_announced(length: int, announced: bool, status: int) -> None:
    play = Playbook()
    play.layer.body_memory = NoRoom(announced=announced)
    assert answer(play.client(head(length))) == (status, True)


@pytest.mark.parametrize(
    ("version", "asked"),
    [("1.1", [Hook("requestheaders"), Send(CLIENT, b"HTTP/1.1 100 Continue\r\n\r\n")]),
     ("1.0", [Hook("requestheaders")])],
)  # fmt: skip
def test_who_waits_to_be_asked_for_the_body_is(version: str, asked: list[Command]) -> None:
    assert Playbook().client(head(4, "expect: 100-continue", version=version)) == asked


def test_nobody_asks_upstream_to_wait_too() -> None:
    play = Playbook()
    play.client(head(4, "expect: 100-continue"))
    play.client(b"body")
    [request] = play.opened("up1")
    assert isinstance(request, Send)
    assert b"expect" not in request.data.lower()


# --- by the body


def test_a_body_for_which_there_is_no_room_any_more() -> None:
    play = Playbook()
    play.layer.body_memory = NoRoom(announced=True)
    assert play.client(head(8)) == [Hook("requestheaders")]
    assert answer(play.client(b"body")) == (529, False)
    assert kept(play) == 0


def test_a_body_in_chunks_that_grows_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_stream, "MAX_BODY", 6)
    play = Playbook()
    assert play.client(head() + b"4\r\nbody\r\n") == [Hook("requestheaders")]
    assert kept(play) == 4
    assert answer(play.client(b"4\r\nbody\r\n")) == (413, True)
    assert kept(play) == 0


@pytest.mark.parametrize(("kind", "size"), [(Kind.MESSAGES, 4), (Kind.LOCAL, 0)])
def test_what_is_asked_of_the_proxy_itself_keeps_no_body(kind: Kind, size: int) -> None:
    play = Playbook(kind=kind)
    play.client(head(8) + b"body")
    assert kept(play) == size


# --- who leaves


def test_who_leaves_in_the_middle_of_the_body() -> None:
    play = Playbook()
    play.client(head(8) + b"body")
    log = play.client_leaves()
    assert [Hook("error")] == hooks(log)
    assert play.exchange.outcome is Outcome.CANCELLED


def test_who_leaves_while_the_head_is_judged() -> None:
    play = Playbook()
    play.held.add("requestheaders")
    play.client(head(4) + b"body")
    assert play.client_leaves() == []
    assert hooks(play.finish("requestheaders")) == [Hook("error")]


def test_the_body_that_has_come_meanwhile_is_not_lost() -> None:
    play = Playbook()
    play.held.add("requestheaders")
    assert play.client(head(4) + b"body") == [Hook("requestheaders")]
    assert play.finish("requestheaders") == [Hook("request"), Hook("attempt"), Open("up1")]
    assert Close("up1") not in play.opened("up1")
